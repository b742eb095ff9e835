"""What a table of labels says by itself."""

from io import BytesIO

import pandas as pd
import pytest

from har_core.dataset.decisions import labels_csv
from har_core.dataset.slips import (
    ClassBalance,
    describe_variants,
    find_label_slips,
    fix_label_slips,
    suggest_spellings,
)
from har_core.dataset.table import read_table
from har_core.errors import DatasetError


def balance(**counts: int) -> ClassBalance:
    return ClassBalance.of(pd.Series([name for name, n in counts.items() for _ in range(n)]))


def test_equal_classes_are_balanced_with_entropy_one() -> None:
    even = balance(running=5, sitting=5, clapping=5)
    assert even.imbalance_ratio == 1
    assert even.normalised_entropy == pytest.approx(1)
    assert even.describe() == "balanced"


def test_uneven_classes_are_read_out_with_their_ratio() -> None:
    uneven = balance(running=32, sitting=10)
    assert uneven.imbalance_ratio == pytest.approx(3.2)
    assert uneven.normalised_entropy == pytest.approx(0.7919, abs=1e-3)
    assert uneven.describe() == "3.2 : 1: consider class weights"
    assert "'sitting'" in balance(running=50, sitting=1).describe()


def test_unlabelled_rows_are_no_class() -> None:
    assert list(ClassBalance.of(pd.Series(["", "a", "b", ""])).counts.index) == ["a", "b"]
    assert ClassBalance.of(pd.Series(["a"])).describe().startswith("One class")


TABLE = (
    b"filename,label\n1.jpg,running\n2.jpg,Running \n3.jpg,running\n4.jpg,\n5.jpg,using laptop\n"
    b"6.jpg,using_laptop\n7.jpg,using_laptop\n1.jpg,running\n8.jpg,sitting\n8.jpg,running\n"
    b"train/9.jpg,sitting\n9.jpg,Sitting\n"
)


def test_spelling_variants_empty_labels_and_repeated_names_are_found() -> None:
    slips = find_label_slips(read_table(BytesIO(TABLE))[0])
    variants = dict(zip(slips.variants["label"], slips.variants["suggested"], strict=True))
    assert variants == {
        "Running ": "running",
        "using laptop": "using_laptop",
        "Sitting": "sitting",
    }
    assert list(slips.empty["filename"]) == ["4.jpg"]
    conflicts = slips.repeated.groupby("filename")["conflict"].any()
    assert conflicts.to_dict() == {"1.jpg": False, "8.jpg": True, "9.jpg": False}


def test_fixed_table_has_no_slips() -> None:
    fixed = fix_label_slips(read_table(BytesIO(TABLE))[0])
    assert not find_label_slips(fixed)
    assert list(fixed["filename"]) == [f"{n}.jpg" for n in (1, 2, 3, 5, 6, 7, 9)]
    assert set(fixed["label"]) == {"running", "using_laptop", "sitting"}


def test_fixed_table_keeps_its_other_columns() -> None:
    table, columns = read_table(
        BytesIO(b"Filename,Split,Label\n1.jpg,test,Run\n2.jpg,train,Run\n3.jpg,test,\n")
    )
    assert labels_csv(fix_label_slips(table), columns) == (
        "Filename,Split,Label\n1.jpg,test,Run\n2.jpg,train,Run\n"
    )


def test_uploaded_table_that_is_none_is_refused_with_reason() -> None:
    for content, reason in (
        (b"", "cannot be read"),
        (b"\xff\xd8\xff\xe0 a photograph", "cannot be read|lacks"),
        (b"name,sort\n1.jpg,running\n", "lacks the columns filename and label"),
        (b"name,class\n1.jpg,running\n", "lacks the column filename; it has name, class"),
        (b"file\n1.jpg\n", "lacks the column label"),
        (b"filename,label\n", "no rows"),
    ):
        with pytest.raises(DatasetError, match=reason):
            read_table(BytesIO(content))


@pytest.mark.parametrize(
    "written", ["running\u200b", "\ufeffrunning", "run\u00adning", "\uff52unning", "\u00a0running"]
)
def test_letters_that_look_the_same_are_a_variant(written: str) -> None:
    labels = pd.Series(["running", "running", written])
    assert suggest_spellings(labels)[written] == "running"
    assert repr(written) in describe_variants(labels)


def test_accents_of_their_own_are_a_variant_and_a_missing_label_is_none() -> None:
    labels = pd.Series(["caf\u00e9", "caf\u00e9", "cafe\u0301", "-", "-", "", " "])
    suggested = suggest_spellings(labels)
    assert suggested["cafe\u0301"] == "caf\u00e9"
    assert suggested["-"] == "-" and suggested[""] == suggested[" "] == ""
