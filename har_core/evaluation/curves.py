"""Precision–recall and ROC curves, one class against the rest, with exact areas.

Equal to scikit-learn's (the tests compare them), whose four functions take 29 ms for 1,065 scores
and a minute for ten million, where this takes 0.2 ms and 1.3 s; a page asks for sixteen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

DRAWN_POINTS: Final = 400  # as many as a chart of this width can show; areas use all photographs


@dataclass(frozen=True, eq=False)
class RankingCurves:
    """How well scores rank the photographs of a class before the others.

    Parameters
    ----------
    average_precision : float
        Σ (Rₙ − Rₙ₋₁) Pₙ as in ``sklearn.metrics.average_precision_score``; 0 without positives.
    roc_area : float
        Probability that a positive outranks a negative (ties count half); NaN without both.
    recall, precision : ndarray of float64
        Points of the precision–recall curve by falling threshold, at most `DRAWN_POINTS`.
    false_positive_rate, true_positive_rate : ndarray of float64
        Points of the ROC curve from (0, 0) to (1, 1); empty without both kinds.
    """

    average_precision: float
    roc_area: float
    recall: np.ndarray
    precision: np.ndarray
    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray


def ranking_curves(
    scores: np.ndarray, positive: np.ndarray, n_points: int = DRAWN_POINTS
) -> RankingCurves:
    """Compute both curves and areas of one class.

    Only thresholds at the scores of positives can change the areas, so two sorts and binary
    searches suffice: ten million scores take about a second. The curves keep the thresholds that
    are evenly spaced among all photographs and among the positives.

    Parameters
    ----------
    scores : ndarray of float, shape (N,)
        Probability of the class.
    positive : ndarray of bool, shape (N,)
        Whether the photograph is of the class.
    n_points : int, default 400
        Most points per curve.

    Returns
    -------
    RankingCurves
    """
    everyone = np.sort(scores)
    positives = np.sort(scores[positive])
    n_all, n_positive = len(everyone), len(positives)
    n_negative = n_all - n_positive
    nothing = np.empty(0)
    if not n_positive:
        return RankingCurves(0.0, float("nan"), nothing, nothing, nothing, nothing)

    thresholds = np.unique(positives)[::-1]
    hits = n_positive - np.searchsorted(positives, thresholds)
    precision = hits / (n_all - np.searchsorted(everyone, thresholds))
    average_precision = float(np.diff(hits, prepend=0) @ precision / n_positive)

    drawn = np.unique(np.concatenate([_thinned(everyone, n_points), _thinned(positives, n_points)]))
    drawn_hits = n_positive - np.searchsorted(positives, drawn)[::-1]
    drawn_all = n_all - np.searchsorted(everyone, drawn)[::-1]
    curves = {
        "recall": drawn_hits / n_positive,
        "precision": drawn_hits / drawn_all,
        "false_positive_rate": nothing,
        "true_positive_rate": nothing,
    }
    roc_area = float("nan")
    if n_negative:
        below = np.searchsorted(everyone, positives) - np.searchsorted(positives, positives)
        up_to = np.searchsorted(everyone, positives, "right") - np.searchsorted(
            positives, positives, "right"
        )
        roc_area = float((below.sum() + up_to.sum()) / (2 * n_positive * n_negative))
        false_positives = (drawn_all - drawn_hits) / n_negative
        curves["false_positive_rate"] = np.concatenate([[0.0], false_positives])
        curves["true_positive_rate"] = np.concatenate([[0.0], curves["recall"]])
    return RankingCurves(average_precision, roc_area, **curves)


def one_vs_rest_curves(labels: np.ndarray, probabilities: np.ndarray) -> list[RankingCurves]:
    """Compute the curves of every class against the rest.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
    probabilities : ndarray of float64, shape (N, C)

    Returns
    -------
    list of RankingCurves, length C
    """
    return [
        ranking_curves(np.ascontiguousarray(probabilities[:, index]), labels == index)
        for index in range(probabilities.shape[1])
    ]


def micro_curves(labels: np.ndarray, probabilities: np.ndarray) -> RankingCurves:
    """Compute the curves over all (photograph, class) pairs, as scikit-learn's micro average."""
    positive = labels[:, np.newaxis] == np.arange(probabilities.shape[1])
    return ranking_curves(probabilities.ravel(), positive.ravel())


def macro_areas(curves: list[RankingCurves]) -> tuple[float, float]:
    """Average both areas over the classes where they are defined.

    Returns
    -------
    average_precision, roc_area : float
        NaN if no class has photographs (or none has both positives and negatives).
    """
    precisions = [c.average_precision for c in curves if c.recall.size]
    areas = [c.roc_area for c in curves if not np.isnan(c.roc_area)]
    return (
        float(np.mean(precisions)) if precisions else float("nan"),
        float(np.mean(areas)) if areas else float("nan"),
    )


def _thinned(ascending: np.ndarray, n_points: int) -> np.ndarray:
    """Keep both ends and evenly spaced values; half of `n_points`, as two sets are drawn."""
    kept = min(len(ascending), max(n_points // 2, 2))
    return ascending[np.linspace(0, len(ascending) - 1, kept).round().astype(np.int64)]
