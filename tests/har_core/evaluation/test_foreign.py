import numpy as np
import pytest

from har_core.errors import DatasetError
from har_core.evaluation.foreign import JudgedPictures, judge_pictures, list_pictures
from har_core.model.loading import load_model
from tests.drawing import photo_bytes
from tests.guarded import checkerboard, write_guarded_bundle


def test_foreign_pictures_are_flagged_and_ordinary_ones_are_not(tiny_models, tmp_path):
    write_guarded_bundle(tiny_models)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(photo_bytes("running", 90))
    (tmp_path / "in" / "b.png").write_bytes(checkerboard())
    (tmp_path / "in" / "c.jpg").write_text("no picture")
    (tmp_path / "in" / "._a.jpg").write_bytes(b"left behind by macOS")
    (tmp_path / "in" / "folder.jpg").mkdir()
    pictures = list_pictures(tmp_path / "in")
    assert [path.name for path in pictures] == ["a.jpg", "b.png", "c.jpg"]
    judged = judge_pictures(load_model("guarded"), pictures)
    assert judged.flagged.tolist() == [False, True]
    assert judged.read.tolist() == [0, 1]
    assert judged.auroc.low <= judged.auroc.value <= judged.auroc.high
    with pytest.raises(DatasetError, match="None of the pictures"):
        judge_pictures(load_model("guarded"), pictures[2:])


def test_area_under_the_curve_is_the_mean_novelty():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    held_out, foreign = np.sort(rng.normal(size=300)), rng.normal(1.5, 1, 200)
    novelty = np.searchsorted(held_out, foreign) / 300
    judged = JudgedPictures(novelty, novelty > 0.96, np.arange(200))
    expected = roc_auc_score(np.repeat([0, 1], [300, 200]), np.concatenate([held_out, foreign]))
    assert judged.auroc.value == pytest.approx(expected)
    width = judged.auroc.high - judged.auroc.low
    assert width == pytest.approx(2 * 1.96 * novelty.std() / np.sqrt(200), rel=0.1)


def test_model_that_cannot_tell_and_empty_folder_are_refused(tiny_models, tmp_path):
    with pytest.raises(DatasetError, match="cannot tell"):
        judge_pictures(load_model("tiny"), [tmp_path / "a.jpg"])
    with pytest.raises(DatasetError, match="holds no pictures"):
        list_pictures(tmp_path / "nowhere")
