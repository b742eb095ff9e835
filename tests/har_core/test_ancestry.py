import numpy as np
import pandas as pd
import pytest

from har_core import bundle, load_model
from har_core.ancestry import Teachers, check_held_out
from har_core.errors import ModelBundleError
from har_core.preparation import prepare_dataset
from har_core.preprocessing import resize_image
from tests.drawing import draw_photo, write_tiny_bundle


@pytest.fixture
def prepared(tiny_dataset, tmp_path):
    return prepare_dataset(tiny_dataset, tmp_path)


def write_splits(folder, prepared, splits):
    table = pd.DataFrame({"split": splits, "sha256": prepared.table["sha256"]})
    (folder / bundle.SPLITS_FILE).write_bytes(table.to_parquet())


def test_teachers_give_their_mean_probabilities(tiny_models, prepared):
    write_tiny_bundle(tiny_models, "soft", temperature=3.0)
    pixels = resize_image(np.asarray(draw_photo("running")), 224)[np.newaxis]
    teachers = Teachers(["tiny", "soft"], prepared)
    expected = [load_model(name).predict_probabilities(pixels)[0] for name in ("tiny", "soft")]
    np.testing.assert_allclose(
        teachers.probabilities(pixels.astype(np.float32))[0], np.mean(expected, axis=0), atol=1e-6
    )


def test_teacher_of_other_classes_is_refused(tiny_models, prepared):
    object.__setattr__(prepared, "class_names", ("clapping", "running", "swimming"))
    with pytest.raises(ModelBundleError, match="other classes"):
        Teachers(["tiny"], prepared)


def test_model_that_saw_held_out_photographs_is_refused(tiny_models, prepared):
    check_held_out(tiny_models / "tiny", prepared)  # no record: nothing is known of it
    same = prepared.table["split"].tolist()
    write_splits(tiny_models / "tiny", prepared, same)
    check_held_out(tiny_models / "tiny", prepared)
    write_splits(tiny_models / "tiny", prepared, ["train"] * len(same))
    n_held_out = sum(split != "train" for split in same)
    with pytest.raises(ModelBundleError, match=f"{n_held_out} of the {n_held_out} photographs"):
        Teachers(["tiny"], prepared)
