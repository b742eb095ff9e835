"""Can the model's confidence be believed? Reliability bins, calibration error, temperature."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from har_core.model.temperature import apply_temperature

N_BINS: Final = 15
TEMPERATURE_RANGE: Final = (0.05, 20.0)
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """Photographs binned by top-label confidence, as many in each bin as ties allow.

    Parameters
    ----------
    counts : ndarray of int, shape (B,)
        Photographs per bin; only bins that hold any.
    confidence, accuracy : ndarray of float64, shape (B,)
        Mean confidence and share of right answers in each bin.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: the mean gap, weighted by the photographs in each bin."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(self.counts @ gaps / self.counts.sum())


def equal_mass_bins(confidence: np.ndarray) -> np.ndarray:
    """Assign confidences to bins of equal size (Nguyen & O'Connor 2015, arXiv:1508.05154).

    Sorted confidences are cut as by ``numpy.array_split``; a bin starts at the confidence of its
    first member, so equal confidences always share one and the order of photographs is irrelevant.

    Parameters
    ----------
    confidence : ndarray of float, shape (N,)

    Returns
    -------
    ndarray of int, shape (N,)
        In [0, `N_BINS`); ties and fewer photographs than bins leave some bins empty.
    """
    n = len(confidence)
    sizes = np.full(N_BINS, n // N_BINS)
    sizes[: n % N_BINS] += 1
    starts = np.cumsum(sizes)[:-1]
    edges = np.sort(confidence)[starts[starts < n]]
    return np.searchsorted(edges, confidence, side="right")


def reliability_bins(confidence: np.ndarray, correct: np.ndarray) -> ReliabilityBins:
    """Compare confidence and accuracy in `equal_mass_bins`.

    Parameters
    ----------
    confidence : ndarray of float, shape (N,)
        Probability of the predicted class.
    correct : ndarray of bool, shape (N,)

    Returns
    -------
    ReliabilityBins
        In order of confidence, without empty bins.
    """
    bins = equal_mass_bins(confidence)
    counts = np.bincount(bins, minlength=N_BINS)
    used = counts > 0
    counts = counts[used]
    return ReliabilityBins(
        counts=counts,
        confidence=np.bincount(bins, weights=confidence, minlength=N_BINS)[used] / counts,
        accuracy=np.bincount(bins, weights=correct, minlength=N_BINS)[used] / counts,
    )


def calibration_error_by_chance(
    confidence: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    n_samples: int = 200,
) -> tuple[float, float]:
    """Return the calibration error that a perfectly calibrated model would measure.

    Few photographs never show a gap of 0: right answers are drawn with just the probability that
    the confidence says (consistency resampling; Bröcker & Smith 2007, Weather and Forecasting 22),
    near duplicates together.

    Parameters
    ----------
    confidence : ndarray of float, shape (N,)
        Probability of the predicted class.
    groups : ndarray of int, shape (N,), optional
        Near-duplicate group of each photograph; default: every one is its own.
    n_samples : int, default 200
        How often all answers are drawn.

    Returns
    -------
    mean, upper : float
        Mean and 95 % quantile of the expected calibration error in `N_BINS` equal-mass bins.
    """
    bins = equal_mass_bins(confidence)
    codes = np.arange(len(confidence))
    if groups is not None:
        codes, _ = pd.factorize(groups)  # the same by whatever numbers the groups have
    n_groups = int(codes.max()) + 1
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(n_samples):
        gaps = confidence - (rng.random(n_groups)[codes] < confidence)
        errors.append(np.abs(np.bincount(bins, weights=gaps)).sum() / len(confidence))
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def negative_log_likelihood(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the log loss of each photograph, clipped as by ``sklearn.metrics.log_loss``.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        Index of the true class.
    probabilities : ndarray of float64, shape (N, C)

    Returns
    -------
    ndarray of float64, shape (N,)
        At most 36.04: a probability of 0 counts as 2.2e-16.
    """
    of_label = probabilities[np.arange(len(labels)), labels]
    smallest = np.finfo(np.float64).eps
    return -np.log(np.clip(of_label, smallest, 1 - smallest))


def brier_scores(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the squared error of each photograph's probabilities (Brier 1950).

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        Index of the true class.
    probabilities : ndarray of float64, shape (N, C)

    Returns
    -------
    ndarray of float64, shape (N,)
        In [0, 2]; 0 if the true class is certain.
    """
    of_label = probabilities[np.arange(len(labels)), labels]
    return (probabilities**2).sum(axis=1) - 2 * of_label + 1


def fit_temperature(
    labels: np.ndarray, probabilities: np.ndarray, score: Score = brier_scores
) -> float:
    """Find the temperature that suits the probabilities of held-out photographs best.

    Temperature scaling (Guo et al. 2017, arXiv:1706.04599): one number, which cannot change the
    ranking of classes. Fit it on the validation split, never on the test split. Guo et al.
    minimise the log loss; that depends on how small the smallest probabilities are, which label
    smoothing and distillation lift, and the confidence comes out too high. The Brier score, as
    proper, hardly depends on them.

    Ten photographs that all happen to be right would ask for a temperature near 0. So the square
    of its logarithm counts as much as one photograph's score: of 855 predictions, 10 drawn ones
    then give the others a log loss of 0.63 instead of 1.20 (at temperature 1: 0.70), 30 give
    0.61 instead of 0.81, and from 100 on nothing changes.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        Index of the true class.
    probabilities : ndarray of float, shape (N, C)
        At temperature 1.
    score : callable, default `brier_scores`
        Whose mean is minimised: of labels and probabilities, a number per photograph.

    Returns
    -------
    float
        In `TEMPERATURE_RANGE`; above 1 the model was overconfident.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        softened = apply_temperature(probabilities, float(np.exp(log_temperature)))
        return float(score(labels, softened).mean() + log_temperature**2 / len(labels))

    bounds = tuple(np.log(TEMPERATURE_RANGE))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0
