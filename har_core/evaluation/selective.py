"""When should the model abstain? Coverage and accuracy as a confidence threshold moves."""

from dataclasses import dataclass
from typing import Final

import numpy as np

DRAWN_POINTS: Final = 500


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """Accuracy among the answered photographs against their share.

    Parameters
    ----------
    thresholds : ndarray of float64, shape (K,)
        Falling; the model answers where its confidence is at least this.
    coverage, accuracy : ndarray of float64, shape (K,)
        Share of photographs answered, rising, and share of those that are right.
    """

    thresholds: np.ndarray
    coverage: np.ndarray
    accuracy: np.ndarray


def coverage_curve(
    confidence: np.ndarray,
    correct: np.ndarray,
    in_scope: np.ndarray | None = None,
    n_points: int = DRAWN_POINTS,
) -> CoverageCurve:
    """Compute accuracy against coverage (El-Yaniv & Wiener 2010, selective classification).

    Parameters
    ----------
    confidence : ndarray of float, shape (N,)
    correct : ndarray of bool, shape (N,)
    in_scope : ndarray of bool, shape (N,), optional
        False for photographs that look foreign, which are never answered; default: none do.
    n_points : int, default 500
        Keep at most as many thresholds, evenly spaced in coverage; each kept one is exact.

    Returns
    -------
    CoverageCurve
        Without points if every photograph looks foreign.
    """
    order = np.argsort(-confidence, kind="stable")
    if in_scope is not None:
        order = order[in_scope[order]]
    ranked = confidence[order]
    hits = np.cumsum(correct[order])
    last_of_ties = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], len(ranked) > 0))
    kept = min(len(last_of_ties), n_points)
    ends = last_of_ties[np.linspace(0, len(last_of_ties) - 1, kept).round().astype(np.int64)]
    answered = ends + 1
    return CoverageCurve(ranked[ends], answered / len(confidence), hits[ends] / answered)


def answer_above(
    confidence: np.ndarray,
    correct: np.ndarray,
    threshold: float,
    in_scope: np.ndarray | None = None,
) -> tuple[float, float]:
    """Return coverage and accuracy if the model answers from a confidence on.

    Parameters
    ----------
    confidence, correct, in_scope
        As in `coverage_curve`.
    threshold : float
        In [0, 1].

    Returns
    -------
    coverage : float
        In [0, 1].
    accuracy : float
        In [0, 1]; NaN if nothing is answered.
    """
    answered = confidence >= threshold
    if in_scope is not None:
        answered &= in_scope
    if not answered.any():
        return 0.0, float("nan")
    return float(answered.mean()), float(correct[answered].mean())
