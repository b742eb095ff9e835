"""Intervals of metrics, from resampling groups of near-duplicate photographs."""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from har_core.intervals import LEVEL, wilson_ends

if TYPE_CHECKING:
    from scipy.sparse import csr_array

N_RESAMPLES: Final = 1000
SEED: Final = 20240607
# Bounds memory: 5 million weights are 40 MB, and as much is drawn for them.
_RESAMPLES_AT_ONCE: Final = 25
_WEIGHTS_AT_ONCE: Final = 5_000_000


class Interval(NamedTuple):
    """A value with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return ``{"value", "low", "high"}``, as metrics files hold it."""
        return {"value": self.value, "low": self.low, "high": self.high}


def resampled_totals(
    statistics: "csr_array",
    groups: np.ndarray,
    n_resamples: int = N_RESAMPLES,
) -> np.ndarray:
    """Sum per-photograph statistics over photographs drawn with replacement, group by group.

    Near-duplicates are not independent observations: a group is drawn or left out as a whole
    (the cluster bootstrap; Davison & Hinkley 1997, section 3.8). Any metric that is a function of
    such sums can be bootstrapped from the result, without touching the photographs again. Equal
    groups draw equal samples, also for another model's statistics: their differences are paired.

    Parameters
    ----------
    statistics : sparse array of float64, shape (N, K)
        One row of statistics per photograph.
    groups : ndarray of int, shape (N,)
        Photographs with equal numbers belong together.
    n_resamples : int, default 1000
        How many samples to draw.

    Returns
    -------
    ndarray of float64, shape (K, n_resamples)
    """
    from scipy.sparse import csr_array

    # By appearance, so that whoever numbers the same groups otherwise draws the same samples.
    group_of_photo, _ = pd.factorize(groups)
    n_photos = len(group_of_photo)
    n_groups = int(group_of_photo.max()) + 1
    membership = csr_array(
        (np.ones(n_photos), (group_of_photo, np.arange(n_photos))), shape=(n_groups, n_photos)
    )
    by_group = (membership @ statistics).T.tocsr()
    rng = np.random.default_rng(SEED)
    totals = np.empty((by_group.shape[0], n_resamples))
    at_once = min(_RESAMPLES_AT_ONCE, max(1, _WEIGHTS_AT_ONCE // n_groups))
    for start in range(0, n_resamples, at_once):
        size = min(at_once, n_resamples - start)
        drawn = rng.integers(n_groups, size=(size, n_groups))
        drawn += n_groups * np.arange(size)[:, np.newaxis]
        weights = np.bincount(drawn.ravel(), minlength=size * n_groups)
        # Row-major by group: the product then reads memory in order, in half the time.
        weights = weights.reshape(size, n_groups).T.astype(np.float64, order="C")
        totals[:, start : start + size] = by_group @ weights
    return totals


def percentile_interval(
    value: float, replicates: np.ndarray, *, centred: bool = False, lowest: float = 0.0
) -> Interval:
    """Return the percentile bootstrap interval of a metric.

    Parameters
    ----------
    value : float
        The metric on the photographs themselves.
    replicates : ndarray of float, shape (B,)
        The metric on each resample; NaN where it is undefined.
    centred : bool, default False
        Shift the replicates so that their median is `value`. For metrics that resampling alone
        inflates, such as the calibration error (a mean of absolute values), whose plain
        percentile interval may lie wholly above the value.
    lowest : float, default 0.0
        The metric cannot be less.

    Returns
    -------
    Interval
        NaN ends if the metric is undefined on every resample.
    """
    defined = replicates[~np.isnan(replicates)]
    if not defined.size or np.isnan(value):
        return Interval(float(value), float("nan"), float("nan"))
    tail = (1 - LEVEL) / 2
    low, middle, high = np.quantile(defined, [tail, 0.5, 1 - tail])
    shift = value - middle if centred else 0.0
    return Interval(float(value), float(max(low + shift, lowest)), float(high + shift))


def share_interval(value: float, replicates: np.ndarray, n_groups: int) -> Interval:
    """Return the interval of a metric in [0, 1] that counts right answers.

    Where none or all are right, or there is a single group, the metric is the same on every
    resample, and a percentile interval would claim certainty; there it is Wilson's score interval,
    one observation a group.

    Parameters
    ----------
    value : float
        The metric on the photographs themselves.
    replicates : ndarray of float, shape (B,)
        The metric on each resample; NaN where it is undefined.
    n_groups : int
        Near-duplicate groups among the photographs that the metric is of.

    Returns
    -------
    Interval
        NaN ends if the metric is undefined.
    """
    defined = replicates[~np.isnan(replicates)]
    if np.isnan(value) or (defined.size and np.ptp(defined)):
        return percentile_interval(value, replicates)
    return wilson_interval(value, n_groups)


def difference_interval(value: float, replicates: np.ndarray, n_groups: int) -> Interval:
    """Return the interval of a paired difference of two metrics that count right answers.

    Where two models are right on the same photographs, they are in every resample, and a
    percentile interval would claim certainty; there, the share of groups on which they differ may
    be as high as Wilson's score interval reaches where none of `n_groups` does.

    Parameters
    ----------
    value : float
        In [-1, 1], on the photographs themselves.
    replicates : ndarray of float, shape (B,)
        On each resample.
    n_groups : int
        Near-duplicate groups among the photographs.
    """
    if np.ptp(replicates):
        return percentile_interval(value, replicates, lowest=-1.0)
    reach = wilson_interval(0, n_groups).high
    return Interval(value, max(value - reach, -1.0), min(value + reach, 1.0))


def wilson_interval(share: float, n: int) -> Interval:
    """Return a share of n observations with its score interval; see `wilson_ends`."""
    low, high = wilson_ends(share, n)
    return Interval(share, float(low), float(high))
