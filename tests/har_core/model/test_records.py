"""A bundle's records mean photographs, by the sha256 of their bytes; names decide nothing."""

import dataclasses
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.errors import DatasetError, ModelBundleError
from har_core.model import bundle
from har_core.model.answers import AnswerRules
from har_core.model.manifest import (
    CROSS_VALIDATED_FILE,
    INHERITED_FILE,
    ONNX_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    UNLABELLED_FILE,
    BundleManifest,
)
from har_core.model.records import (
    held_out_predictions,
    join_probabilities,
    match_probabilities,
    match_splits,
    predicted_splits,
    read_lineage,
    read_predictions,
    read_splits,
    recorded_cross_validation,
    rows_of_split,
    were_seen,
)
from har_core.model.temperature import apply_temperature
from tests.drawing import CLASS_NAMES, colour_network

SPLITS = pd.DataFrame(
    {
        "filename": ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
        "label": ["running", "running", "sitting", "clapping"],
        "split": ["train", "test", "validation", "test"],
        "duplicate_group": [0, 1, 2, 1],
        "sha256": ["A", "B", "C", "D"],
    }
)
PREDICTIONS = SPLITS.loc[SPLITS["split"] != "train", ["filename", "label", "split"]].assign(
    clapping=[0.9, 0.2, 0.1], running=[0.09, 0.5, 0.1], sitting=[0.01, 0.3, 0.8]
)


def write_bundle(folder: Path, temperature: float = 1.0, **files: bytes) -> BundleManifest:
    manifest = BundleManifest(
        "m", "net", 224, "minus_one_to_one", CLASS_NAMES, temperature=temperature
    )
    names = {
        "splits": SPLITS_FILE,
        "predictions": PREDICTIONS_FILE,
        "cross_validated": CROSS_VALIDATED_FILE,
        "unlabelled": UNLABELLED_FILE,
    }
    content = {ONNX_FILE: colour_network(), **{names[n]: c for n, c in files.items()}}
    return bundle.write_bundle(folder / "m", manifest, content)


def parquet(table: pd.DataFrame) -> bytes:
    content = table.to_parquet()
    assert content is not None
    return content


def test_splits_are_read_from_a_bundle(tmp_path: Path) -> None:
    write_bundle(tmp_path, splits=parquet(SPLITS))
    splits = read_splits(tmp_path / "m")
    assert splits is not None
    assert splits["split"].tolist() == SPLITS["split"].tolist()


@pytest.mark.parametrize("content", [b"no parquet", parquet(SPLITS.drop(columns="sha256"))])
def test_damaged_records_are_named(tmp_path: Path, content: bytes) -> None:
    manifest = write_bundle(tmp_path, splits=content, predictions=content, cross_validated=content)
    folder = tmp_path / "m"
    with pytest.raises(ModelBundleError, match=r"splits\.parquet"):
        read_splits(folder)
    with pytest.raises(ModelBundleError, match=r"\.parquet"):
        held_out_predictions(folder, manifest)
    with pytest.raises(ModelBundleError, match=r"cross_validated\.parquet"):
        recorded_cross_validation(folder, manifest)


def test_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    less = {"splits": SPLITS.drop(columns="sha256"), "cross_validated": SPLITS[["sha256", "label"]]}
    less["predictions"] = PREDICTIONS.drop(columns=["running", "sitting"])
    manifest = write_bundle(tmp_path, **{name: parquet(table) for name, table in less.items()})
    folder = tmp_path / "m"
    with pytest.raises(ModelBundleError, match=r"splits\.parquet lacks the column sha256\."):
        read_splits(folder)
    lacks = "lacks the column clapping, running, sitting"
    with pytest.raises(ModelBundleError, match=rf"cross_validated\.parquet {lacks}\."):
        recorded_cross_validation(folder, manifest)
    (folder / SPLITS_FILE).unlink()
    with pytest.raises(ModelBundleError, match=r"predictions\.parquet lacks .* running, sitting\."):
        held_out_predictions(folder, manifest)


def test_a_bundle_without_records_says_so_by_none(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path)
    folder = tmp_path / "m"
    assert read_splits(folder) is None
    assert read_predictions(folder, manifest) is None
    assert held_out_predictions(folder, manifest) is None
    assert recorded_cross_validation(folder, manifest) is None
    assert predicted_splits(folder, manifest) == []


def test_splits_are_matched_by_content_alone() -> None:
    sha256 = pd.Series(["B", "?", "A", "", None], index=list("vwxyz"))
    matched = match_splits(sha256, SPLITS)
    assert matched.to_dict() == {"v": "test", "w": "", "x": "train", "y": "", "z": ""}


def test_copies_recorded_in_several_splits_are_in_no_single_one() -> None:
    leaking = SPLITS.assign(sha256=["A", "A", "C", "C"])
    matched = match_splits(pd.Series(["A", "C"]), leaking)
    assert matched.tolist() == ["test + train", "test + validation"]


def test_a_copy_that_is_left_out_leaves_a_photograph_in_its_split(tmp_path: Path) -> None:
    splits = SPLITS.assign(sha256=["A", "B", "B", "C"], split=["train", "test", "", ""])
    assert match_splits(pd.Series(["A", "B", "C"]), splits).tolist() == ["train", "test", ""]
    write_bundle(tmp_path, splits=parquet(splits))
    for name in ("", "other"):
        with pytest.raises(DatasetError, match="the model records test, train"):
            rows_of_split(pd.DataFrame({"filename": [], "path": []}), tmp_path / "m", name)


def test_photographs_without_a_known_content_were_never_seen() -> None:
    unknown = pd.concat([SPLITS, SPLITS.head(1).assign(sha256="")])
    assert were_seen(["A", "B", "", "C"], unknown, ["train"]).tolist() == [True] + [False] * 3
    assert were_seen(["A", "B", "", "C"], unknown, ["train", "validation"]).sum() == 2


@pytest.mark.parametrize("recorded", ["by the predictions", "by the splits"])
def test_predictions_know_their_photographs(tmp_path: Path, recorded: str) -> None:
    predictions = PREDICTIONS
    if recorded == "by the predictions":
        predictions = PREDICTIONS.assign(sha256=["B", "C", "D"])
    manifest = write_bundle(tmp_path, splits=parquet(SPLITS), predictions=parquet(predictions))
    table = read_predictions(tmp_path / "m", manifest)
    assert table is not None
    assert table["sha256"].tolist() == ["B", "C", "D"]
    assert table["duplicate_group"].tolist() == [1, 2, 1]
    assert predicted_splits(tmp_path / "m", manifest) == ["test", "validation"]


def test_predictions_of_unknown_photographs_match_none(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, predictions=parquet(PREDICTIONS))
    table = read_predictions(tmp_path / "m", manifest)
    assert table is not None
    assert table["sha256"].tolist() == ["", "", ""]
    assert table["duplicate_group"].nunique() == 3
    found = match_probabilities(pd.Series(["", "B", None]), table, CLASS_NAMES)
    assert found.empty


def test_a_photograph_of_no_recorded_group_is_in_none_of_the_others(tmp_path: Path) -> None:
    predictions = PREDICTIONS.assign(sha256=["B", "?", "D"])
    manifest = write_bundle(tmp_path, splits=parquet(SPLITS), predictions=parquet(predictions))
    table = read_predictions(tmp_path / "m", manifest)
    assert table is not None
    first, unknown, third = table["duplicate_group"]
    assert first == third != unknown


def test_held_out_predictions_are_what_the_model_answers_now(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, 2.0, splits=parquet(SPLITS), predictions=parquet(PREDICTIONS))
    surer = AnswerRules(confidence=((0.0, 0.8), (1.0, 0.9)))
    manifest = dataclasses.replace(manifest, answers=surer.to_dict())
    held_out = held_out_predictions(tmp_path / "m", manifest)
    assert held_out is not None
    (expected,) = surer.shown(apply_temperature(np.array([[0.9, 0.09, 0.01]]), 2.0))
    assert expected[0] > 0.8
    found = match_probabilities(pd.Series(["?", "B"], index=[7, 8]), held_out, CLASS_NAMES)
    assert found.index.tolist() == [8]
    assert found.loc[8].to_numpy(float) == pytest.approx(expected)


def test_rows_of_a_split_are_photographs_not_names(tmp_path: Path) -> None:
    contents = {"b.jpg": b"another", "renamed.jpg": b"b", "a.jpg": b"a"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    recorded = SPLITS.assign(
        sha256=[sha256(n[:1].encode()).hexdigest() for n in SPLITS["filename"]]
    )
    write_bundle(tmp_path, splits=parquet(recorded))
    table = pd.DataFrame(
        {"filename": list(contents), "path": [str(tmp_path / name) for name in contents]}
    )
    chosen = rows_of_split(table, tmp_path / "m", "test")
    assert chosen["filename"].tolist() == ["renamed.jpg"]
    with pytest.raises(DatasetError, match=r"no photograph.*test split.*1 has the name"):
        rows_of_split(table[table["filename"] != "renamed.jpg"], tmp_path / "m", "test")
    with pytest.raises(DatasetError, match=r"no split 'dev'.*test, train, validation"):
        rows_of_split(table, tmp_path / "m", "dev")


def test_a_thousand_classes_are_joined_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    names = [f"class {n}" for n in range(1000)]
    table = pd.DataFrame({"filename": ["a", "b"]}, index=[7, 3])
    joined = join_probabilities(table, names, np.arange(2000).reshape(2, 1000) / 2000)
    assert list(joined.columns) == ["filename", *names]
    assert joined.loc[3, "class 0"] == 0.5
    assert joined["class 1"].dtype == np.float32
    assert not len(recwarn)


def test_photographs_learned_from_without_labels_are_training_photographs(tmp_path: Path) -> None:
    further = pd.DataFrame({"filename": ["u.jpg", "v.jpg"], "sha256": ["U", "V"]})
    write_bundle(tmp_path, splits=SPLITS.to_parquet(), unlabelled=further.to_parquet())
    splits = read_splits(tmp_path / "m")
    assert splits is not None
    assert match_splits(pd.Series(["A", "U", "X"]), splits).tolist() == ["train", "train", ""]
    assert were_seen(["U", "B"], splits, ["train"]).tolist() == [True, False]
    assert splits["duplicate_group"].nunique() == 5  # b and d are one group, u and v are none


def test_what_was_learned_from_without_its_label_is_no_test_photograph_of_an_ancestor(
    tmp_path: Path,
) -> None:
    unlabelled = pd.DataFrame({"filename": ["u.jpg"], "sha256": ["U"]})
    write_bundle(tmp_path, splits=parquet(SPLITS), unlabelled=parquet(unlabelled))
    met = SPLITS.assign(sha256=["U", "V", "W", "X"], split="test")
    met.to_parquet(tmp_path / "m" / INHERITED_FILE)
    lineage = read_lineage(tmp_path / "m")
    assert lineage is not None
    assert match_splits(pd.Series(["U", "V"]), lineage).tolist() == ["train", "test"]
    # Each record counts its groups from 0: three of the model's own, u alone, three inherited.
    assert lineage["duplicate_group"].nunique() == 7
