"""Compare models on the same photographs: differences with intervals, a test by group."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from har_core.dataset.duplicates import groups_of
from har_core.errors import DatasetError
from har_core.evaluation.bootstrap import Interval, difference_interval, percentile_interval
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.totals import HEADLINE_METRICS, counts_right_answers
from har_core.wording import counted

# What to know where more than two models are compared.
SEVERAL_TESTS: Final = (
    "Each model is tested by itself: of twenty that are as good as the first one, one has p < 0.05 "
    "by chance."
)


@dataclass(frozen=True)
class PermutationTest:
    """Do two classifiers err equally often? Only the photographs they disagree on tell.

    Parameters
    ----------
    only_first, only_second : int
        Photographs that only the one classifier gets right.
    n_groups : int
        Near-duplicate groups in which one classifier gets more right than the other.
    p_value : float
        Two-sided mid-p value.
    """

    only_first: int
    only_second: int
    n_groups: int
    p_value: float

    def describe(self, first: str, second: str) -> str:
        """Return the outcome as a sentence, given the models' names."""
        p_value = f"p = {self.p_value:.3f}" if self.p_value >= 0.001 else "p < 0.001"
        return (
            f"Only {first} is right on {counted(self.only_first, 'photograph')}, only {second} on "
            f"{self.only_second:,}: keeping near duplicates together, a permutation test over "
            f"{counted(self.n_groups, 'group')} gives {p_value}."
        )


@dataclass(frozen=True, eq=False)
class Comparison:
    """Evaluations of several models on the photographs that all of them were evaluated on.

    Parameters
    ----------
    results : dict of str to EvaluationResult
        By model, restricted to the common photographs, in the same order.
    n_left_out : dict of str to int
        Photographs of each evaluation that others lack.
    differences : dict of str to dict of str to Interval
        By model (all but the first), then metric: its value minus the first model's, with the
        interval of paired resamples.
    tests : dict of str to PermutationTest
        By model (all but the first): against the first.
    """

    results: dict[str, EvaluationResult]
    n_left_out: dict[str, int]
    differences: dict[str, dict[str, Interval]]
    tests: dict[str, PermutationTest]


def permutation_test(
    first_correct: np.ndarray, second_correct: np.ndarray, groups: np.ndarray
) -> PermutationTest:
    """Test whether two classifiers have the same error rate, by near-duplicate group.

    If they have, a group in which the second gets d more photographs right than the first might
    as well have shown -d. Of all 2^G such changes of signs, for G groups, the p-value is the share
    whose total is further from 0 than the one found, and half of those that are as far: a
    permutation test for pairs (Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses",
    3rd ed. 2005, ch. 3) with the mid-p value, as the exact one errs on the safe side by up to a
    half (Fagerland, Lydersen and Laake, BMC Med. Res. Methodol. 13:91, 2013). The total's
    distribution is a convolution, because every d is whole, so no number of groups needs a random
    sample. Where every photograph is a group of its own, this is McNemar's mid-p test, which would
    take copies for independent evidence.

    Parameters
    ----------
    first_correct, second_correct : ndarray of bool, shape (N,)
        On the same photographs.
    groups : ndarray of int, shape (N,)
        Near-duplicate group of each.

    Returns
    -------
    PermutationTest
        ``p_value`` is 1 without disagreement.
    """
    gains = second_correct.astype(np.int64) - first_correct
    _, codes = np.unique(groups, return_inverse=True)
    by_group = np.bincount(codes, weights=gains).round().astype(np.int64)
    sizes, counts = np.unique(np.abs(by_group[by_group != 0]), return_counts=True)
    return PermutationTest(
        only_first=int((gains < 0).sum()),
        only_second=int((gains > 0).sum()),
        n_groups=int(counts.sum()),
        p_value=_sign_flip_p_value(abs(int(gains.sum())), sizes, counts),
    )


def _sign_flip_p_value(found: int, sizes: np.ndarray, counts: np.ndarray) -> float:
    """Return P(|S| > found) + P(|S| = found) / 2, S being the sum of randomly signed `sizes`."""
    from scipy.signal import convolve
    from scipy.stats import binom

    if not len(sizes):
        return 1.0
    distribution = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        signs = np.zeros(2 * size * count + 1)  # of -size * count … size * count
        signs[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        distribution = convolve(distribution, signs)
    totals = np.abs(np.arange(len(distribution)) - len(distribution) // 2)
    p_value = distribution[totals > found].sum() + distribution[totals == found].sum() / 2
    return float(np.clip(p_value, 0.0, 1.0))


def check_common_class(classes: Mapping[str, Iterable[str]]) -> None:
    """Refuse to compare models, given by name, that tell entirely different classes apart.

    Raises
    ------
    DatasetError
        If they have no class in common.
    """
    if not set.intersection(*map(set, classes.values())):
        raise DatasetError(
            f"{' and '.join(classes)} have no class in common, so that there is nothing to compare."
        )


def compare_models(results: Mapping[str, EvaluationResult]) -> Comparison:
    """Compare models with the first of them, on the photographs that all were evaluated on.

    Parameters
    ----------
    results : mapping of str to EvaluationResult
        At least two, by the models' names.

    Returns
    -------
    Comparison

    Raises
    ------
    DatasetError
        If they have no class in common, no photograph (by its sha256) is common to all, a
        photograph has different labels, or it is not known which photographs they were.
    """
    check_common_class({model: result.class_names for model, result in results.items()})
    keys = {model: _photograph_keys(model, result) for model, result in results.items()}
    _check_labels_agree(results, keys)
    first, *others = results
    common = keys[first]
    for model in others:
        common = common[common.isin(keys[model])]
    if common.empty:
        raise DatasetError(
            f"{' and '.join(results)} were evaluated on different photographs; evaluate them on "
            "the same set first."
        )
    aligned = {m: r.take(keys[m].get_indexer(common)) for m, r in results.items()}
    # Equal groups and seed draw equal resamples, so that differences are paired. What one of the
    # evaluations knows to be near duplicates are near duplicates, whichever comes first.
    groups = _linked(result.groups for result in aligned.values())
    aligned = {model: result.regrouped(groups) for model, result in aligned.items()}
    correct = {model: result.correct for model, result in aligned.items()}
    return Comparison(
        results=aligned,
        n_left_out={model: result.n - len(common) for model, result in results.items()},
        differences={m: _differences(aligned[m], aligned[first]) for m in others},
        tests={m: permutation_test(correct[first], correct[m], groups) for m in others},
    )


def _photograph_keys(model: str, result: EvaluationResult) -> pd.MultiIndex:
    """Return what names each photograph: sha256, label, and which of its copies of these it is."""
    unknown = int((result.sha256 == "").sum())
    if unknown:
        raise DatasetError(
            f"{model} was evaluated on {counted(result.n, 'photograph')}, of which {unknown:,} "
            "cannot be identified; evaluate it on the set itself."
        )
    table = pd.DataFrame({"sha256": result.sha256, "label": result.label_names})
    copy = table.groupby(["sha256", "label"]).cumcount()
    return pd.MultiIndex.from_arrays([table["sha256"], table["label"], copy])


def _linked(groups: Iterable[np.ndarray]) -> np.ndarray:
    """Return groups of what is linked by any of several groupings of the same photographs."""
    linked, *others = groups
    for other in others:
        _, first, place = np.unique(other, return_index=True, return_inverse=True)
        linked = groups_of(linked, np.stack([first[place], np.arange(len(place))], axis=1))
    return linked


def disagreements(first: EvaluationResult, second: EvaluationResult) -> pd.DataFrame:
    """List the photographs that exactly one of two models gets right.

    Parameters
    ----------
    first, second : EvaluationResult
        On the same photographs in the same order, as in `Comparison.results`.

    Returns
    -------
    DataFrame
        ``filename``, ``label``, ``prediction_1``, ``confidence_1``, ``prediction_2``,
        ``confidence_2`` and ``right`` (1 or 2), the most confident right answers first.
    """
    a, b = first.photographs(), second.photographs()
    table = pd.DataFrame(
        {
            "filename": a["filename"],
            "label": a["label"],
            "prediction_1": a["prediction"],
            "confidence_1": a["confidence"],
            "prediction_2": b["prediction"],
            "confidence_2": b["confidence"],
            "right": np.where(a["correct"], 1, 2),
        }
    )
    table = table[a["correct"] != b["correct"]]
    right_confidence = table["confidence_1"].where(table["right"] == 1, table["confidence_2"])
    order = right_confidence.sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _differences(result: EvaluationResult, baseline: EvaluationResult) -> dict[str, Interval]:
    values, base_values = result.totals.headline(), baseline.totals.headline()
    samples = result.resampled_totals.headline()
    base_samples = baseline.resampled_totals.headline()
    n_groups, n_classes = len(np.unique(result.groups)), len(result.class_names)
    is_other = not np.array_equal(result.probabilities, baseline.probabilities)
    differences: dict[str, Interval] = {}
    for name in HEADLINE_METRICS:
        value = float(values[name][0] - base_values[name][0])
        replicates = samples[name] - base_samples[name]
        if is_other and counts_right_answers(name, n_classes):
            differences[name] = difference_interval(value, replicates, n_groups)
        else:
            differences[name] = percentile_interval(
                value, replicates, centred=name == "ece", lowest=-np.inf
            )
    return differences


def _check_labels_agree(
    results: Mapping[str, EvaluationResult], keys: Mapping[str, pd.MultiIndex]
) -> None:
    """Refuse photographs that all know, of which two evaluations have copies without a partner."""
    everywhere = set.intersection(*(set(result.sha256) for result in results.values()))
    first, *others = results
    for model in others:
        alone, rival = (
            own[~own.isin(other)].to_frame(index=False).drop_duplicates("sha256")
            for own, other in ((keys[first], keys[model]), (keys[model], keys[first]))
        )
        differing = alone[alone["sha256"].isin(everywhere)].merge(rival, on="sha256")
        if len(differing):
            found = differing.iloc[0]
            known = results[first]
            here = (known.sha256 == found["sha256"]) & (known.label_names == found["label_x"])
            name = known.filenames[here][0]
            raise DatasetError(
                f"{counted(len(differing), 'photograph has', 'photographs have')} different labels "
                f"in the evaluations of {first} and {model}, e.g. {name}: {found['label_x']!r} and "
                f"{found['label_y']!r}. Evaluate both on the same table."
            )
