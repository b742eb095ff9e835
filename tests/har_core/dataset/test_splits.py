"""Splits are matched by name and content; groups that cross them are found."""

import io
from pathlib import Path

import pandas as pd
import pytest

from har_core.dataset.splits import leaking_groups, split_columns
from har_core.dataset.table import open_dataset
from har_core.errors import ModelBundleError
from har_core.model import bundle
from har_core.model.manifest import ONNX_FILE, SPLITS_FILE, BundleManifest
from har_core.model.records import match_splits, recorded_splits
from tests.drawing import CLASS_NAMES, colour_network

RECORDED = pd.DataFrame(
    {
        "filename": ["a.jpg", "b.jpg", "c.jpg"],
        "label": ["running", "running", "sitting"],
        "split": ["train", "test", "validation"],
        "duplicate_group": [0, 0, 1],
        "sha256": ["A", "B", "C"],
    }
)


def write_bundle(folder: Path, content: bytes | None) -> BundleManifest:
    manifest = BundleManifest("m", "net", 224, "minus_one_to_one", CLASS_NAMES)
    files = {ONNX_FILE: colour_network()}
    if content is not None:
        files[SPLITS_FILE] = content
    return bundle.write_bundle(folder / "m", manifest, files)


def test_recorded_splits_are_read_from_a_bundle(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    RECORDED.to_parquet(buffer)
    manifest = write_bundle(tmp_path, buffer.getvalue())
    recorded = recorded_splits(tmp_path / "m", manifest)
    assert recorded is not None
    assert list(recorded["split"]) == ["train", "test", "validation"]


def test_bundle_without_or_with_damaged_splits(tmp_path: Path) -> None:
    assert recorded_splits(tmp_path / "m", write_bundle(tmp_path, None)) is None
    manifest = write_bundle(tmp_path / "damaged", b"no parquet")
    with pytest.raises(ModelBundleError, match=r"splits\.parquet"):
        recorded_splits(tmp_path / "damaged" / "m", manifest)


def test_other_content_under_a_recorded_name_has_no_split() -> None:
    photographs = pd.DataFrame({"filename": ["b.jpg", "a.jpg", "x.jpg"], "sha256": ["B", "?", "A"]})
    assert list(match_splits(photographs, RECORDED)) == ["test", "", ""]
    assert list(match_splits(photographs[["filename"]], RECORDED)) == ["test", "train", ""]


def test_split_columns_of_a_table_are_recognised_by_their_values(tmp_path: Path) -> None:
    csv = tmp_path / "train.csv"
    csv.write_text(
        "filename,label,fold,subset,source\na.jpg,running,1,Train ,web\n"
        "b.jpg,sitting,2,test,web\nc.jpg,sitting,2,train,web\n"
    )
    splits = split_columns(open_dataset(tmp_path, photographs_needed=False))
    assert list(splits.columns) == ["filename", "subset"]
    assert splits["subset"].tolist() == ["train", "test", "train"]


def test_variants_of_a_splits_name_are_one(tmp_path: Path) -> None:
    csv = tmp_path / "train.csv"
    rows = ["train,val,val", "training,valid,valid", "Test,dev,x", "testing, Validation,", ",,"]
    lines = [f"{number}.jpg,running,{row}" for number, row in enumerate(rows)]
    csv.write_text("\n".join(["filename,label,subset,one_only,other", *lines]))
    splits = split_columns(open_dataset(tmp_path, photographs_needed=False))
    assert list(splits.columns) == ["filename", "subset"]
    assert splits["subset"].tolist() == ["train", "train", "test", "test", ""]
    csv.write_text("filename,label,subset\na,x,Val\nb,x,dev\nc,x,train\n")
    assert split_columns(open_dataset(tmp_path, photographs_needed=False))["subset"].tolist() == [
        "validation",
        "validation",
        "train",
    ]


def test_groups_that_cross_splits_leak() -> None:
    photographs = pd.DataFrame(
        {
            "filename": list("abcdef"),
            "label": "running",
            "duplicate_group": pd.array([1, 1, 2, 2, None, 3], dtype="Int64"),
        }
    )
    split = pd.Series(["train", "test", "train", "train", "test", "train"])
    leaks = leaking_groups(photographs, split)
    assert list(leaks["filename"]) == ["a", "b"]
    unknown = split.replace("test", "")
    assert leaking_groups(photographs, unknown).empty
