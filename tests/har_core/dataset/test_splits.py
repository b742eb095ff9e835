"""Split columns of a table are recognised; groups that cross splits are found."""

from pathlib import Path

import pandas as pd

from har_core.dataset.splits import leaking_groups, split_columns
from har_core.dataset.table import open_dataset


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
    both = pd.Series(["test + train", "test + train", *[""] * 4])
    assert list(leaking_groups(photographs, both)["filename"]) == ["a", "b"]
    unknown = split.replace("test", "")
    assert leaking_groups(photographs, unknown).empty
