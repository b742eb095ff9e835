"""Photographs that resemble no other."""

from collections.abc import Callable
from typing import Final

import numpy as np

from har_core.analysis.neighbours import nearest_others
from har_core.model.novelty.neighbours import unit_rows
from har_core.progress import silent

OUTLIER_SHARE: Final = 0.005


def score_outliers(
    components: np.ndarray, *, report: Callable[[int, int], None] = silent
) -> np.ndarray:
    """Score by the mean cosine distance to the ten nearest others.

    Kuan and Mueller, "Back to the Basics: Revisiting Out-of-Distribution Detection Baselines", ICML
    2022 Workshop on Principles of Distribution Shift; arXiv:2207.03061. The scores are those of
    cleanlab's ``OutOfDistribution``, which looks for the neighbours twice.

    Parameters
    ----------
    components : ndarray of float32, shape (N, K)
        From `har_core.analysis.components.principal_components`; N is at least 2.
    report : callable, optional
        Called with (done, N).

    Returns
    -------
    ndarray of float64, shape (N,)
        In [0, 1]: exp(-1) for the median distance; low is far.
    """
    units = unit_rows(components)
    rows = np.arange(len(units))
    nearest = nearest_others(units, rows, rows, rows, report=report).T
    cosines = [
        np.einsum("ij,ij->i", units, units[others], dtype=np.float64)
        for others in nearest[: len(rows) - 1]
    ]
    distances = np.maximum(1 - np.mean(cosines, axis=0), 0)
    # Copies alone have no distance at all.
    scale = max(float(np.median(distances)), float(np.finfo(np.float32).eps))
    return np.exp(-distances / scale)


def find_outliers(scores: np.ndarray) -> np.ndarray:
    """Return the `OUTLIER_SHARE` with the lowest scores, bool, shape (N,).

    Distances in a feature space have no natural limit; by Tukey's fences none of the public HAR
    set's photographs is an outlier. A fixed share at least shows the oddest ones.
    """
    found = np.zeros(len(scores), bool)
    found[np.argsort(scores, kind="stable")[: int(OUTLIER_SHARE * len(scores))]] = True
    return found
