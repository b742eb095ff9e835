"""Split columns of a table are recognised; groups that cross splits are found."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.dataset.splits import (
    check_labels,
    leaking_groups,
    rows_of_own_split,
    split_columns,
    stratified_group_split,
)
from har_core.dataset.table import open_dataset
from har_core.errors import DatasetError


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


def test_a_photograph_that_rows_put_in_two_splits_is_in_both(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        "filename,label,split\na.jpg,x,train\na.jpg,x,test\nb.jpg,y,train\nb.jpg,y,\nc.jpg,y,val\n"
    )
    splits = split_columns(open_dataset(tmp_path, photographs_needed=False))
    assert splits["filename"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert splits["split"].tolist() == ["test + train", "train", "validation"]


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
    alone = pd.Series(["", "", "", "", "test + train", "train"])
    assert list(leaking_groups(photographs, alone)["filename"]) == ["e"]
    unknown = split.replace("test", "")
    assert leaking_groups(photographs, unknown).empty


def test_rows_of_a_folders_split_are_found_by_any_usual_name_of_it() -> None:
    table = pd.DataFrame({"filename": list("abc"), "split": ["train", "validation", "train"]})
    assert rows_of_own_split(table, "val")["filename"].tolist() == ["b"]
    with pytest.raises(DatasetError, match=r"no split 'test'.*folders are train, validation\."):
        rows_of_own_split(table, "test")


def test_split_keeps_groups_together_and_classes_balanced() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], [500, 300, 100])
    groups = np.arange(900)
    groups[rng.choice(500, 60, replace=False)] = 0
    split = stratified_group_split(labels, groups, seed=3)
    assert pd.Series(split).groupby(groups).nunique().max() == 1
    shares = pd.crosstab(labels, split, normalize="index")
    assert (shares[["validation", "test"]] == 0.1).all().all()
    assert np.array_equal(split, stratified_group_split(labels, groups, seed=3))
    assert not np.array_equal(split, stratified_group_split(labels, groups, seed=4))


def test_class_of_a_burst_and_two_more_is_in_every_split_whatever_the_seed() -> None:
    labels = np.repeat(["burst", "other"], [30, 30])
    groups = np.r_[np.zeros(28, int), 1, 2, np.arange(3, 33)]
    for seed in range(1000):
        split = stratified_group_split(labels, groups, seed=seed)
        for name in ("burst", "other"):
            assert set(split[labels == name]) == {"train", "validation", "test"}, (name, seed)
        assert set(split[:28]) == {"train"}


def test_largest_burst_is_always_for_training() -> None:
    labels = np.repeat(["a", "b"], 100)
    groups = np.r_[np.zeros(60, int), np.arange(1, 141)]
    for seed in range(200):
        split = stratified_group_split(labels, groups, seed=seed)
        assert set(split[:60]) == {"train"}
        assert [(split[labels == "a"] == name).sum() for name in ("validation", "test")] == [10, 10]


def test_shares_are_as_near_as_groups_of_any_size_allow() -> None:
    rng = np.random.default_rng(0)
    for seed in range(50):
        groups = np.repeat(np.arange(60), rng.integers(1, 9, 60))
        labels = np.where(groups < 30, "a", "b")
        split = stratified_group_split(labels, groups, seed=seed)
        shares = pd.crosstab(labels, split, normalize="index")
        assert (shares[["validation", "test"]] - 0.1).abs().max().max() < 0.006


def test_group_of_two_labels_takes_none_of_the_rarer_ones_splits_away() -> None:
    """Two of the three groups of *rare* are copies of photographs of *common*."""
    labels = np.array(["common"] * 20 + ["rare"] * 3)
    groups = np.r_[np.arange(20), 0, 1, 20]
    for seed in range(100):
        split = stratified_group_split(labels, groups, seed=seed)
        assert set(split[labels == "rare"]) == {"train", "validation", "test"}
        assert set(split[labels == "common"]) == {"train", "validation", "test"}


def test_class_that_misses_a_split_through_labels_of_its_copies_is_named() -> None:
    """Two of the three groups of *b* are dealt out as groups of *a*, which is as rare."""
    labels = np.array(["a", "a", "a", "b", "b", "b"])
    with pytest.raises(DatasetError, match=r"cannot be in every split: 'b' \("):
        stratified_group_split(labels, np.array([0, 1, 2, 0, 1, 3]))


def test_class_that_is_one_burst_is_named() -> None:
    labels = np.repeat(["fine", "burst"], [30, 6])
    assert check_labels(labels) == ("burst", "fine")
    with pytest.raises(DatasetError, match=r"no near duplicates of each other.*'burst' \(1\)"):
        check_labels(labels, np.r_[np.arange(30), np.full(6, 30)])


def test_table_of_many_photographs_is_split_in_seconds() -> None:
    labels = np.repeat(["a", "b"], 50_000)
    split = stratified_group_split(labels, np.arange(100_000))
    assert pd.Series(split).value_counts().to_dict() == {
        "train": 80_000,
        "validation": 10_000,
        "test": 10_000,
    }


def test_a_thousand_small_classes_do_not_flood_the_terminal() -> None:
    with pytest.raises(DatasetError) as error:
        check_labels([f"class {n}" for n in range(1000)])
    assert len(str(error.value)) < 500
    assert "and 990 more" in str(error.value)
