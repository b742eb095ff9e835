"""What is offered to exclude in bulk never takes the last copy of a picture."""

from pathlib import Path

import pandas as pd

from dashboard.dataset.cleanup import suggest_exclusions
from har_core.dataset.decisions import Action, Decision, Decisions

SURPLUS = "Duplicates, all but the largest of each group"
CONFLICTS = "Duplicates with different labels, all of them"


def group(*labels: str) -> pd.DataFrame:
    """Return a scan of one duplicate group, the largest first: a.jpg, b.jpg, …"""
    n = len(labels)
    return pd.DataFrame(
        {
            "filename": [f"{letter}.jpg" for letter in "abcdef"[:n]],
            "label": labels,
            "listed": True,
            "labels": 1,
            "width": [300 - 10 * i for i in range(n)],
            "height": 200,
            "duplicate_group": pd.array([1] * n, dtype="Int64"),
            "is_label_conflict_issue": len(set(labels) - {""}) > 1,
            "is_missing_issue": False,
            "is_unreadable_issue": False,
        }
    )


def decided(action: Action, *filenames: str, label: str = "") -> Decisions:
    return Decisions(Path("decisions.json"), (Decision(action, filenames, label),))


NOTHING = Decisions(Path("decisions.json"))


def test_the_largest_copy_stays() -> None:
    assert suggest_exclusions(group("run", "run", "run"), NOTHING) == {SURPLUS: ["b.jpg", "c.jpg"]}


def test_the_largest_copy_that_is_not_excluded_stays() -> None:
    copies = group("run", "run", "run")
    assert suggest_exclusions(copies, decided("exclude", "a.jpg")) == {SURPLUS: ["c.jpg"]}
    assert suggest_exclusions(copies, decided("exclude", "a.jpg", "c.jpg")) == {}


def test_conflict_that_was_decided_is_none() -> None:
    copies = group("run", "sit")
    assert suggest_exclusions(copies, NOTHING) == {CONFLICTS: ["a.jpg", "b.jpg"]}
    assert suggest_exclusions(copies, decided("exclude", "b.jpg")) == {}
    relabelled = decided("relabel", "b.jpg", label="run")
    assert suggest_exclusions(copies, relabelled) == {SURPLUS: ["b.jpg"]}


def test_a_file_listed_under_two_labels_is_settled_by_a_new_one() -> None:
    twice = group("run").assign(
        labels=2, duplicate_group=pd.array([None], dtype="Int64"), is_label_conflict_issue=True
    )
    assert suggest_exclusions(twice, NOTHING) == {CONFLICTS: ["a.jpg"]}
    assert suggest_exclusions(twice, decided("relabel", "a.jpg", label="sit")) == {}


def test_only_what_the_table_lists_is_offered() -> None:
    assert suggest_exclusions(group("").assign(listed=False), NOTHING) == {}


def test_copy_without_a_label_does_not_stand_for_one_that_has_it() -> None:
    assert suggest_exclusions(group("", "run"), NOTHING) == {"Rows without a label": ["a.jpg"]}
