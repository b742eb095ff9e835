"""A model's view of a dataset: features, doubtful labels, outliers, map; remembered, resumable."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from har_core.analysis import features
from har_core.analysis import whole_set as analysis_module
from har_core.analysis.features import FeatureNetwork, compute_features
from har_core.analysis.suspects import (
    cross_validated_probabilities,
    find_label_suspects,
)
from har_core.analysis.whole_set import (
    analyse_photographs,
    arrange,
    group_numbers,
    load_analysis,
)
from har_core.errors import DatasetError, ModelBundleError
from har_core.keras_io.feature_outputs import last_feature_map
from har_core.model import bundle
from har_core.model.answers import AnswerRules
from har_core.model.loading import load_model
from har_core.model.manifest import KERAS_FILE, BundleManifest, read_manifest
from har_core.scan.scanning import scan_dataset
from tests.drawing import CLASS_NAMES, encode, photo_bytes, write_dataset


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tiny_models: Path) -> Path:
    return tiny_models / "tiny"


@pytest.fixture
def photographs(tmp_path: Path) -> pd.DataFrame:
    folder = write_dataset(tmp_path / "photos", per_class=10)
    csv = folder / "train.csv"
    # One red picture is labelled as running, whose pictures are green.
    csv.write_text(csv.read_text().replace("clapping_3.jpg,clapping", "clapping_3.jpg,running"))
    (folder / "train" / "sitting_9.jpg").write_bytes(b"")
    return scan_dataset(folder, workers=1)


def test_features_of_a_network_are_its_pooled_last_map(model: Path) -> None:
    network = FeatureNetwork(model)
    red = np.zeros((1, 224, 224, 3), np.uint8)
    red[..., 0] = 255
    vectors, probabilities = network.run(red)
    assert vectors == pytest.approx(np.array([[1, -1, -1]]))
    assert probabilities.argmax() == CLASS_NAMES.index("clapping")
    assert probabilities.sum() == pytest.approx(1)


def test_photograph_that_was_replaced_since_the_scan_is_not_taken_for_the_other(
    model: Path, photographs: pd.DataFrame
) -> None:
    row = photographs[photographs["pixels"].notna()].iloc[0]
    Path(row["path"]).write_bytes(photo_bytes("sitting", 77))
    with pytest.raises(DatasetError, match="has changed since it was looked at last; scan"):
        compute_features(model, photographs)
    with features.FeatureCache(read_manifest(model)) as cache:
        assert row["sha256"] not in cache.known()


def test_feature_map_inside_a_convolutional_graph_is_found() -> None:
    from onnx import TensorProto, helper, numpy_helper

    weights = np.ones((6, 3, 32, 32), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["pixels"], ["nchw"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["nchw", "weights"], ["maps"], strides=[32, 32]),
            helper.make_node("Relu", ["maps"], ["relu"]),
            helper.make_node("Flatten", ["relu"], ["flat"]),
            helper.make_node("Softmax", ["flat"], ["probabilities"]),
        ],
        "net",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 224, 224, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 294])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert last_feature_map(model) == ("relu", (2, 3))


def test_model_without_onnx_graph_is_refused(tmp_path: Path) -> None:
    manifest = BundleManifest("k", "net", 224, "minus_one_to_one", CLASS_NAMES)
    bundle.write_bundle(tmp_path / "k", manifest, {KERAS_FILE: b"keras"})
    with pytest.raises(ModelBundleError, match=r"no model\.onnx"):
        FeatureNetwork(tmp_path / "k")


def test_features_are_computed_once_and_go_on_after_cancelling(
    model: Path, photographs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "_BATCH", 8)

    def cancel(what: str, done: int, total: int) -> None:
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_features(model, photographs, progress=cancel)
    steps: list[tuple[str, int, int]] = []
    computed = compute_features(model, photographs, progress=lambda *step: steps.append(step))
    assert steps[0][1:] == (16, 29)
    assert computed.features.shape == (29, 3)
    steps.clear()
    compute_features(model, photographs, progress=lambda *step: steps.append(step))
    assert [step[1:] for step in steps] == [(29, 29)]


def test_photograph_that_vanished_since_the_scan_is_a_clear_error(
    model: Path, photographs: pd.DataFrame
) -> None:
    Path(photographs["path"].iloc[0]).unlink()
    with pytest.raises(DatasetError, match="scan the dataset again"):
        compute_features(model, photographs)


def test_analysis_finds_the_wrong_label_and_is_remembered(
    model: Path, photographs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(model)
    assert load_analysis(manifest, photographs) is None
    analysis = analyse_photographs(model, photographs)
    assert len(analysis.table) == 29
    assert analysis.table[["x", "y"]].notna().all().all()
    assert analysis.table["outlier_score"].between(0, 1).all()
    labels = photographs["label"].iloc[analysis.labelled]
    suspects = find_label_suspects(
        labels, analysis.probabilities, list(analysis.class_names), np.arange(len(labels))
    )
    worst = suspects.ranking.iloc[0]
    assert photographs.loc[worst.name, "filename"] == "clapping_3.jpg"
    assert (worst["label"], worst["suggested"]) == ("running", "clapping")
    monkeypatch.setattr(
        analysis_module, "cross_validated_probabilities", lambda *a, **k: pytest.fail("again")
    )
    loaded = load_analysis(manifest, photographs)
    assert loaded is not None
    pd.testing.assert_frame_equal(loaded.table, analysis.table)


def test_analysis_belongs_to_the_labels_it_was_made_of(
    model: Path, photographs: pd.DataFrame
) -> None:
    analyse_photographs(model, photographs)
    relabelled = photographs.assign(label=photographs["label"].replace("running", "clapping"))
    assert load_analysis(read_manifest(model), relabelled) is None


def test_analysis_is_read_rightly_after_an_unusable_row_went(
    model: Path, photographs: pd.DataFrame
) -> None:
    # The empty file, which stood last, now comes first.
    first = photographs.iloc[[-1, *range(len(photographs) - 1)]].reset_index(drop=True)
    analysis = analyse_photographs(model, first)
    without = first.iloc[1:].reset_index(drop=True)
    loaded = load_analysis(read_manifest(model), without)
    assert loaded is not None
    before = first["filename"].iloc[analysis.labelled]
    assert without["filename"].iloc[loaded.labelled].tolist() == before.tolist()
    assert np.array_equal(loaded.probabilities, analysis.probabilities)


def test_changed_answers_reach_what_was_computed_before(
    model: Path, photographs: pd.DataFrame
) -> None:
    bundle.update_manifest(model, temperature=4.0)
    analyse_photographs(model, photographs)
    surer = AnswerRules(confidence=((0.0, 0.6), (1.0, 0.99)))
    bundle.update_manifest(model, temperature=0.5, answers=surer.to_dict())
    loaded = load_analysis(read_manifest(model), photographs)
    assert loaded is not None
    answer = load_model(model).predict(Path(photographs["path"].iloc[0]).read_bytes())
    assert loaded.table["prediction"].iloc[0] == answer.action
    assert loaded.table["confidence"].iloc[0] == pytest.approx(answer.confidence, abs=1e-4)
    assert answer.confidence >= 0.6
    # Its features were kept, too: analysing other labels runs the network no more.
    relabelled = photographs.assign(label=photographs["label"].replace("running", "sitting"))
    again = analyse_photographs(model, relabelled).table
    assert again["confidence"].tolist() == pytest.approx(loaded.table["confidence"].tolist())


def test_misspelt_label_does_not_keep_the_others_from_being_judged(
    model: Path, photographs: pd.DataFrame
) -> None:
    misspelt = photographs.assign(
        label=photographs["label"].where(photographs.index != 0, "claping")
    )
    analysis = analyse_photographs(model, misspelt)
    assert analysis.class_names.tolist() == list(CLASS_NAMES)
    assert analysis.labelled.tolist() == list(range(1, 29))
    assert len(analysis.table) == 29


def test_photograph_that_the_network_has_no_features_of_is_left_out(
    model: Path, photographs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = analyse_photographs(model, photographs)
    run = FeatureNetwork.run

    def blind_to_green(self: FeatureNetwork, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vectors, probabilities = run(self, pixels)
        vectors[vectors.argmax(axis=1) == 1] = np.nan
        return vectors, probabilities

    monkeypatch.setattr(FeatureNetwork, "run", blind_to_green)
    monkeypatch.setenv("HAR_CACHE_DIR", os.environ["HAR_CACHE_DIR"] + "2")
    analyse_photographs(model, photographs)
    analysis = load_analysis(read_manifest(model), photographs)
    assert analysis is not None
    seen = whole.table.index[whole.table["prediction"].ne("running")]
    assert analysis.table.index.tolist() == seen.tolist()
    pd.testing.assert_series_equal(
        analysis.table["prediction"], whole.table.loc[seen, "prediction"]
    )
    assert set(analysis.labelled) <= set(seen)
    assert len(analysis.components) == len(analysis.neighbours) == len(seen)
    assert analysis.neighbours.max() < len(seen)


def test_features_beyond_what_is_kept_of_them_stay_numbers(
    model: Path, photographs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = FeatureNetwork.run

    def larger(self: FeatureNetwork, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vectors, probabilities = run(self, pixels)
        return vectors * np.float32(1e6), probabilities

    monkeypatch.setattr(FeatureNetwork, "run", larger)
    analysis = analyse_photographs(model, photographs)
    assert len(analysis.table) == 29
    assert analysis.table["outlier_score"].notna().all()
    assert len(analysis.labelled) == 29
    assert (analysis.neighbours >= 0).all()


@pytest.mark.parametrize(("burst", "judged"), [("sitting", ["clapping", "running"]), (None, [])])
def test_burst_keeps_neither_other_classes_from_being_judged_nor_the_map(
    model: Path, photographs: pd.DataFrame, burst: str | None, judged: list[str]
) -> None:
    alike = photographs["label"].eq(burst or "sitting") | (burst is None)
    analysis = analyse_photographs(model, photographs.assign(duplicate_group=alike.where(alike)))
    assert analysis.class_names.tolist() == judged
    assert set(photographs["label"].iloc[analysis.labelled]) == set(judged)
    assert analysis.table["x"].notna().all()


@pytest.mark.parametrize("width", [1, 2, 50])
def test_photographs_that_look_the_same_lie_on_one_point(width: int) -> None:
    same = np.full((450, width), 0.5, np.float32)
    assert (arrange(same) == 0).all()
    same[0] = 1
    assert np.isfinite(arrange(same[:12])).all()


def test_map_and_outliers_need_no_labels(model: Path, photographs: pd.DataFrame) -> None:
    analyse_photographs(model, photographs.assign(label="running"))
    analysis = load_analysis(read_manifest(model), photographs.assign(label="running"))
    assert analysis is not None
    assert analysis.table[["x", "y", "outlier_score"]].notna().all().all()
    assert len(analysis.labelled) == len(analysis.probabilities) == 0


def test_without_photographs_there_are_no_suspects() -> None:
    nobody = pd.Series([], dtype=object)
    suspects = find_label_suspects(nobody, np.zeros((0, 3)), CLASS_NAMES, np.zeros(0, int))
    assert suspects.ranking.empty
    assert suspects.by_class.empty


def test_of_one_class_no_label_is_contradicted() -> None:
    said = np.array([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.0, 0.0, 1.0]])
    labels = pd.Series([CLASS_NAMES[0]] * 3)
    suspects = find_label_suspects(labels, said, CLASS_NAMES, np.arange(3))
    assert not suspects.ranking["is_label_issue"].any()
    (row,) = suspects.by_class.itertuples()
    assert (row.Index, row.photographs, row.suspects, row.noise) == (CLASS_NAMES[0], 3, 0, 0)


def test_copies_share_a_fold_so_that_none_is_judged_by_its_copy() -> None:
    rng = np.random.default_rng(0)
    # Noise without any signal, in pairs of copies that carry the same label.
    vectors = np.repeat(rng.normal(size=(150, 300)), 2, axis=0)
    labels = np.repeat(rng.choice(["a", "b"], 150), 2)
    pairs = np.repeat(np.arange(150), 2)
    apart, _ = cross_validated_probabilities(vectors, labels, np.arange(300))
    together, names = cross_validated_probabilities(vectors, labels, pairs)
    assert together.sum(axis=1) == pytest.approx(1)

    def accuracy(probabilities: np.ndarray) -> float:
        return float((names[probabilities.argmax(axis=1)] == labels).mean())

    assert accuracy(apart) > 0.85
    assert accuracy(together) < 0.7


def test_class_that_is_too_small_to_judge_is_named() -> None:
    labels = np.array(["a"] * 20 + ["rare"] * 3)
    with pytest.raises(DatasetError, match="'rare' has only 3"):
        cross_validated_probabilities(np.zeros((23, 2)), labels, np.arange(23))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.r_[np.arange(20), np.full(20, 20)], "'b' are near duplicates of each other"),
        (np.arange(40) // 10, "40 photographs are only 4 that differ"),
    ],
)
def test_photographs_that_are_mostly_copies_cannot_judge_each_other(
    groups: np.ndarray, message: str
) -> None:
    labels = np.repeat(["a", "b"], 20)
    with pytest.raises(DatasetError, match=message):
        cross_validated_probabilities(np.zeros((40, 2)), labels, groups)


def test_estimated_noise_of_a_class_is_near_the_planted_share() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 1500)
    given = truth.copy()
    wrong = (truth == 0) & (rng.random(1500) < 0.2)
    given[wrong] = 1
    probabilities = np.full((1500, 3), 0.03)
    probabilities[np.arange(1500), truth] = 0.94
    names = np.array(CLASS_NAMES)
    suspects = find_label_suspects(
        pd.Series(names[given]), probabilities, CLASS_NAMES, np.arange(1500)
    )
    planted = wrong.sum() / (given == 1).sum()
    assert suspects.by_class.loc["running", "noise"] == pytest.approx(planted, abs=0.03)
    assert suspects.by_class.loc["sitting", "noise"] == pytest.approx(0, abs=0.02)
    assert set(np.flatnonzero(wrong)) == set(suspects.ranking.index[: wrong.sum()])


def test_copies_of_photographs_make_no_share_of_doubtful_labels_surer() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 60)
    given = np.where(rng.random(120) < 0.2, 1 - truth, truth)
    said = np.full((120, 2), 0.05)
    said[np.arange(120), truth] = 0.95
    names = np.array(["a", "b"])

    def shares(copies: int, groups: np.ndarray) -> pd.DataFrame:
        labels = pd.Series(np.repeat(names[given], copies))
        found = find_label_suspects(labels, np.repeat(said, copies, axis=0), ["a", "b"], groups)
        return found.by_class[["noise", "noise_low", "noise_high"]]

    once = shares(1, np.arange(120))
    pd.testing.assert_frame_equal(shares(9, np.repeat(np.arange(120), 9)), once)
    width = once["noise_high"] - once["noise_low"]
    surer = shares(9, np.arange(9 * 120))
    assert (surer["noise_high"] - surer["noise_low"] < width / 2).all()
    # A photograph that half of its class are copies of counts as much as they do.
    lopsided = shares(1, np.where(np.arange(120) < 60, 0, np.arange(120)))
    assert (lopsided["noise_high"] - lopsided["noise_low"] > width).all()


@pytest.mark.parametrize("number", [1, 2, 4, 5, 6])
def test_groups_number_only_duplicates_alike(number: int) -> None:
    groups = pd.array([number, None, number, None], dtype="Int64")
    numbers = group_numbers(pd.DataFrame({"duplicate_group": groups}))
    assert numbers[0] == numbers[2]
    assert len(set(numbers)) == 3


def test_threads_take_turns_with_cleanlab_which_works_on_its_modules_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import cleanlab.filter

    find, inside = cleanlab.filter.find_label_issues, 0

    def find_alone(*args: Any, **options: Any) -> Any:
        nonlocal inside
        inside += 1
        time.sleep(0.02)
        assert inside == 1
        found = find(*args, **options)
        inside -= 1
        return found

    monkeypatch.setattr(cleanlab.filter, "find_label_issues", find_alone)
    rng = np.random.default_rng(0)
    labels, said = pd.Series(rng.choice(CLASS_NAMES, 90)), rng.dirichlet(np.ones(3), 90)
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda _: find_label_suspects(labels, said, CLASS_NAMES, np.arange(90)), range(4)
            )
        )


def test_thumbnail_is_made_once_and_again_when_the_file_changes(
    tmp_path: Path, cache_folder: Path
) -> None:
    from har_core.images.thumbnails import thumbnail, thumbnails

    path = tmp_path / "photo.jpg"
    path.write_bytes(photo_bytes(size=(1200, 800)))
    first = thumbnail(path)
    assert first is not None
    assert Image.open(next(cache_folder.rglob("*.jpg"))).size == (260, 173)
    assert thumbnail(path) == first
    assert len(list(cache_folder.rglob("*.jpg"))) == 1
    path.write_bytes(encode(Image.new("RGB", (90, 90), "red")))
    assert thumbnail(path) != first
    (tmp_path / "broken.jpg").write_bytes(b"<html>")
    assert thumbnails([str(tmp_path / "broken.jpg"), None, str(tmp_path / "gone.jpg")]) == [
        None,
        None,
        None,
    ]
