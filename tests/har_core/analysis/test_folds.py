"""Folds are even and keep near duplicates together; a sample has some of every class."""

import numpy as np
import pytest

from har_core.analysis import suspects
from har_core.analysis.folds import deal_folds, draw_to_learn
from har_core.analysis.suspects import cross_validated_probabilities, fit_without_each
from har_core.errors import DatasetError
from har_core.progress import silent


def test_folds_are_even_and_keep_groups_together() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["a", "b", "c"], 2000, p=[0.6, 0.39, 0.01])
    groups = np.where(rng.random(2000) < 0.3, rng.integers(0, 60, 2000), np.arange(2000) + 100)
    fold = deal_folds(labels, groups, 5)
    for group in range(60):
        assert len(np.unique(fold[groups == group])) <= 1
    for name in ("a", "b"):
        counts = np.bincount(fold[labels == name], minlength=5)
        assert np.ptp(counts) <= 0.1 * counts.mean()
    assert np.ptp(np.bincount(fold)) <= 25
    assert (fold == deal_folds(labels, groups, 5)).all()


@pytest.mark.parametrize("copies", [1, 7])
def test_as_many_groups_as_folds_leave_none_empty(copies: int) -> None:
    labels = np.repeat(["a", "b"], [2 * copies, 3 * copies])
    fold = deal_folds(labels, np.repeat(np.arange(5), copies), 5)
    assert np.bincount(fold).tolist() == [copies] * 5


def test_class_that_only_lies_in_groups_of_others_is_dealt_as_well() -> None:
    groups = np.repeat(np.arange(9), [30] * 4 + [3] * 5)
    labels = np.array(["a"] * 120 + ["a", "a", "b"] * 5)
    fold = deal_folds(labels, groups, 5)
    assert sorted(fold[labels == "b"]) == [0, 1, 2, 3, 4]
    features = np.random.default_rng(0).normal(size=(len(labels), 4)).astype(np.float32)
    probabilities, _ = cross_validated_probabilities(features, labels, groups)
    assert (probabilities[:, 1] > 0).all()


def test_every_fold_of_a_class_is_in_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.repeat(["a", "b"], [1600, 202])
    groups = np.concatenate([np.arange(1600), np.full(200, 1600), [1601, 1602]])
    features = np.random.default_rng(0).normal(size=(len(labels), 4)).astype(np.float32)
    monkeypatch.setattr(suspects, "MOST_FITTED", 200)
    probabilities, _ = cross_validated_probabilities(features, labels, groups)
    assert (probabilities[:, 1] > 0).all()


def test_class_that_one_fold_holds_alone_is_said() -> None:
    labels = np.array(["a", "b"] * 5)
    with pytest.raises(DatasetError, match="of one class alone"):
        fit_without_each(np.eye(10, dtype=np.float32), labels, (labels == "b") * 1, silent)


def test_of_many_photographs_some_of_every_class_are_learned_from() -> None:
    labels = np.array(["rare"] * 30 + ["common"] * 970)
    drawn = draw_to_learn(labels, 100, 25)
    assert (np.diff(drawn) > 0).all()
    assert (labels[drawn] == "rare").sum() >= 25
    assert 100 <= len(drawn) <= 125
    assert draw_to_learn(labels, 1000, 25).tolist() == list(range(1000))


def test_what_was_not_learned_from_is_judged_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    codes = np.arange(600) % 3
    features = (rng.normal(size=(600, 8)) + 4 * np.eye(3, 8)[codes]).astype(np.float32)
    labels = np.array(["a", "b", "c"])[codes]
    monkeypatch.setattr(suspects, "MOST_FITTED", 120)
    probabilities, _ = cross_validated_probabilities(features, labels, np.arange(600))
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert (probabilities.argmax(axis=1) == codes).mean() > 0.95
