"""Compare models on the same photographs: differences with intervals, McNemar's test."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from har_core.errors import DatasetError
from har_core.evaluation.bootstrap import Interval, percentile_interval
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.totals import HEADLINE_METRICS

EXACT_BELOW: Final = 25


@dataclass(frozen=True)
class McNemarTest:
    """Do two classifiers err equally often? Only the photographs they disagree on tell.

    Parameters
    ----------
    only_first, only_second : int
        Photographs that only the one classifier gets right.
    p_value : float
        Two-sided.
    method : {"exact", "corrected"}
        Binomial test, or chi-squared with Edwards' continuity correction.
    """

    only_first: int
    only_second: int
    p_value: float
    method: Literal["exact", "corrected"]

    def describe(self, first: str, second: str) -> str:
        """Return the outcome as a sentence, given the models' names."""
        kind = {"exact": "exact binomial", "corrected": "chi-squared, continuity corrected"}
        p_value = f"p = {self.p_value:.3f}" if self.p_value >= 0.001 else "p < 0.001"
        return (
            f"Only {first} is right on {self.only_first:,} photographs, only {second} on "
            f"{self.only_second:,}: McNemar's test ({kind[self.method]}) gives {p_value}."
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
    tests : dict of str to McNemarTest
        By model (all but the first): against the first.
    """

    results: dict[str, EvaluationResult]
    n_left_out: dict[str, int]
    differences: dict[str, dict[str, Interval]]
    tests: dict[str, McNemarTest]


def mcnemar_test(
    first_correct: np.ndarray,
    second_correct: np.ndarray,
    method: Literal["exact", "corrected"] | None = None,
) -> McNemarTest:
    """Test whether two classifiers have the same error rate (McNemar 1947).

    Parameters
    ----------
    first_correct, second_correct : ndarray of bool, shape (N,)
        On the same photographs.
    method : {"exact", "corrected"}, optional
        Default: exact for fewer than 25 disagreements, where chi-squared is a poor
        approximation.

    Returns
    -------
    McNemarTest
        ``p_value`` is 1 without disagreement.
    """
    from scipy.stats import binomtest, chi2

    only_first = int(np.sum(first_correct & ~second_correct))
    only_second = int(np.sum(second_correct & ~first_correct))
    disagreements = only_first + only_second
    if method is None:
        method = "exact" if disagreements < EXACT_BELOW else "corrected"
    if not disagreements:
        p_value = 1.0
    elif method == "exact":
        p_value = float(binomtest(only_first, disagreements).pvalue)
    else:
        statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / disagreements
        p_value = float(chi2.sf(statistic, df=1))
    return McNemarTest(only_first, only_second, p_value, method)


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
        If no photograph is common to all, or a photograph has different labels.
    """
    common = set.intersection(*(set(r.filenames.tolist()) for r in results.values()))
    if not common:
        raise DatasetError(
            f"{' and '.join(results)} were evaluated on different photographs; evaluate them on "
            "the same set first."
        )
    names = np.array(sorted(common))
    aligned = {}
    for model, result in results.items():
        rows = pd.Index(result.filenames).get_indexer(names)
        aligned[model] = result.take(rows)
    _check_labels_agree(aligned, names)
    first, *others = aligned
    # Equal groups and seed draw equal resamples, so that differences are paired.
    groups = aligned[first].groups
    aligned = {model: result.regrouped(groups) for model, result in aligned.items()}
    return Comparison(
        results=aligned,
        n_left_out={model: result.n - len(names) for model, result in results.items()},
        differences={m: _differences(aligned[m], aligned[first]) for m in others},
        tests={m: mcnemar_test(aligned[first].correct, aligned[m].correct) for m in others},
    )


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
    return {
        name: percentile_interval(
            float(values[name][0] - base_values[name][0]),
            samples[name] - base_samples[name],
            centred=name == "ece",
            lowest=-np.inf,
        )
        for name in HEADLINE_METRICS
    }


def _check_labels_agree(results: Mapping[str, EvaluationResult], filenames: np.ndarray) -> None:
    labels = {model: result.label_names for model, result in results.items()}
    first, *others = labels
    for model in others:
        differing = np.flatnonzero(labels[model] != labels[first])
        if differing.size:
            row = differing[0]
            raise DatasetError(
                f"{differing.size} photographs have different labels in the evaluations of "
                f"{first} and {model}, e.g. {filenames[row]}: {labels[first][row]!r} and "
                f"{labels[model][row]!r}. Evaluate both on the same table."
            )
