"""Checking what leaves a network, photograph by photograph, where it leaves it."""

from typing import Final

import numpy as np

from har_core.errors import InvalidImageError

SUM_TOLERANCE: Final = 1e-3


def are_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Tell which rows are probabilities.

    Parameters
    ----------
    outputs : ndarray of float, shape (N, C)
        Of a network.

    Returns
    -------
    ndarray of bool, shape (N,)
        False where a value is not finite or negative, or the sum is further than 0.001 from 1.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        sums = outputs.sum(axis=1, dtype=np.float64)
        return (outputs >= 0).all(axis=1) & (np.abs(sums - 1) <= SUM_TOLERANCE)


def keep_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return the outputs, NaN in the rows that are no probabilities; float64, shape (N, C)."""
    kept = np.array(outputs, dtype=np.float64)
    kept[~are_probabilities(outputs)] = np.nan
    return kept


def no_answer(model: str) -> InvalidImageError:
    """Return the error of a photograph for which a network gives no probabilities."""
    return InvalidImageError(
        f"The model {model!r} gives no probabilities for this photograph, but values that are not "
        "finite or do not sum to 1. Choose another model; this one may be damaged or badly "
        "converted.",
        "no_answer",
    )
