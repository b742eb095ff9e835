"""A dataset's own splits are used; what would leak is left out, what lacks is drawn."""

import numpy as np
import pandas as pd
import pytest

from har_core.dataset.given_splits import left_out, split_as_given, split_of_folders
from har_core.errors import DatasetError


def test_given_splits_are_taken_over() -> None:
    given = ["train", "validation", "test"] * 4
    split = split_as_given(["a"] * 6 + ["b"] * 6, range(12), given)
    assert list(split) == given


def test_copies_of_what_measures_are_not_learned() -> None:
    given = ["train", "test", "validation", "train", "validation", "train", "train"]
    split = split_as_given(["a"] * 3 + ["b"] * 2 + ["a", "b"], [0, 0, 0, 1, 1, 2, 3], given)
    assert list(split) == ["", "test", "", "", "validation", "train", "train"]


@pytest.mark.parametrize("given_too", ["test", "validation"])
def test_a_split_that_lacks_is_drawn_from_training(given_too: str) -> None:
    labels = ["a", "b"] * 40
    given = np.where(np.arange(80) < 60, "train", given_too)
    split = split_as_given(labels, range(80), given)
    assert (split[60:] == given_too).all()
    other = {"test": "validation", "validation": "test"}[given_too]
    assert (split[:60] == other).sum() == 6
    assert set(split) == {"train", "validation", "test"}
    assert (split == given_too).sum() == 20
    split = split_as_given(labels, range(80), given, validation=0.2, test=0.2)
    assert (split[:60] == other).sum() == 12


def test_what_folders_split_is_not_refused_for_a_split_that_nobody_draws() -> None:
    """Drawn anew, *b* would miss a split, since its near duplicates carry another label."""
    given = ["train", "train", "test", "train", "train", "validation", "train"]
    table = pd.DataFrame(
        {
            "label": list("aaabbba"),
            "sha256": list("tuvwxyz"),
            "duplicate_group": [0, 1, 2, 0, 1, 3, 4],
            "split": given,
        }
    )
    recorded = pd.DataFrame({"sha256": ["z"], "split": ["train"]})
    assert list(split_of_folders(table, recorded)) == given


def test_what_an_earlier_model_knows_stays_where_it_was() -> None:
    table = pd.DataFrame(
        {
            "label": ["a", "a", "a", "b", "b", "b"],
            "sha256": list("uvwxyz"),
            "duplicate_group": range(6),
            "split": ["train", "train", "test", "train", "train", "test"],
        }
    )
    recorded = pd.DataFrame({"sha256": ["u", "x"], "split": ["test", "validation"]})
    assert list(split_of_folders(table, recorded)) == [
        *("test", "train", "test"),
        *("validation", "train", "test"),
    ]


def test_no_test_photograph_is_drawn_of_what_an_earlier_model_has_learned_from() -> None:
    n = 40
    table = pd.DataFrame(
        {
            "label": ["a", "b"] * (n // 2),
            "sha256": list(map(str, range(n))),
            "duplicate_group": [*range(n - 2), 0, 1],  # the last two are copies of the first
            "split": "train",
        }
    )
    learned = pd.DataFrame({"sha256": table["sha256"][: n // 2], "split": "train"})
    split = split_of_folders(table, learned)
    assert (split[: n // 2] == "train").all() and (split[-2:] == "train").all()
    assert {"train", "validation", "test"} == set(split[n // 2 :])
    everything = pd.DataFrame({"sha256": table["sha256"], "split": "train"})
    assert set(split_of_folders(table, everything)) == {"train"}
    with pytest.raises(DatasetError, match="folders and the splits of the earlier model are test;"):
        split_of_folders(table, everything.assign(split="test"))


def test_what_resembles_what_an_earlier_model_has_learned_from_does_not_measure() -> None:
    table = pd.DataFrame(
        {
            "filename": list("uvwxyzt"),
            "label": ["a", "a", "a", "a", "b", "b", "a"],
            "sha256": list("uvwxyzt"),
            "duplicate_group": [0, 0, 0, 1, 2, 3, 4],
            "split": ["train", "test", "validation", "test", "train", "validation", "train"],
        }
    )
    learned = pd.DataFrame({"sha256": ["u"], "split": ["train"]})
    split = split_of_folders(table, learned)
    assert list(split) == ["train", "", "", "test", "train", "validation", "train"]
    told = left_out(table.assign(split=split))
    assert list(told["filename"]) == ["v", "w"]
    assert set(told["reason"]) == {
        "near duplicate of a photograph that the earlier model has learned from"
    }
    # Of what it was tested on, a near duplicate is not learned from.
    split = split_of_folders(table, learned.assign(split="test"))
    assert list(split) == ["test", "test", "", "test", "train", "validation", "train"]
    assert left_out(table.assign(split=split))["reason"].str.endswith("measured by").all()


def test_what_measured_an_earlier_model_measures_on_beside_what_it_has_learned_from() -> None:
    """A test photograph that the earlier model was measured on stays; its copy is not learned."""
    split = split_as_given(
        ["a", "a", "a", "b", "b"],
        [0, 0, 1, 2, 3],
        ["train", "test", "train", "train", "test"],
        known=[True, True, False, False, False],
    )
    assert list(split) == ["", "test", "train", "train", "test"]


def test_what_an_earlier_model_has_left_out_is_left_out_again() -> None:
    table = pd.DataFrame(
        {
            "label": list("aaabbb"),
            "sha256": list("uvwxyz"),
            "duplicate_group": [0, 0, 1, 2, 3, 4],
            "split": ["test", "train", "train", "test", "train", "validation"],
        }
    )
    first = split_of_folders(table, None)
    assert list(first) == ["test", "", "train", "test", "train", "validation"]
    assert list(split_of_folders(table, table.assign(split=first))) == list(first)


def test_a_class_without_training_photographs_is_named() -> None:
    with pytest.raises(DatasetError, match="class 'b'"):
        split_as_given(["a", "a", "a", "b"], range(4), ["train", "validation", "test", "test"])
    with pytest.raises(DatasetError, match="folders are validation and test; none is train"):
        split_as_given(["a", "b"], range(2), ["validation", "test"])
