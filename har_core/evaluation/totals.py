"""Metrics as sums over photographs, so that they can be resampled."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from har_core.evaluation.bootstrap import Interval, percentile_interval, share_interval
from har_core.evaluation.calibration import N_BINS

HEADLINE_METRICS: Final = ("top1", "top3", "macro_f1", "log_loss", "ece")
METRIC_TITLES: Final = {
    "top1": "Top-1 accuracy",
    "top3": "Top-3 accuracy",
    "macro_f1": "Macro F1",
    "log_loss": "Log loss",
    "ece": "Expected calibration error",
}
# Of at most so many classes the right one is always among the first three.
_TRIVIAL_TOP3: Final = 3
CLASS_METRICS: Final = ("precision", "recall", "f1")


class MetricTotals:
    """Sums over B samples of photographs, and the metrics that follow from them.

    Parameters
    ----------
    sums : ndarray of float64, shape (K, B)
        Rows: photographs, hits, top-3 hits, log losses; confidence minus hits per calibration
        bin; hits, predictions and labels per class.
    n_classes : int
    """

    n_leading: Final = 4 + N_BINS

    def __init__(self, sums: np.ndarray, n_classes: int) -> None:
        self.n, self._hits, self._top3, self._log_loss = sums[:4]
        self._gaps = sums[4 : self.n_leading]
        self.class_hits, self.class_predictions, self.class_labels = sums[self.n_leading :].reshape(
            3, n_classes, -1
        )

    def headline(self) -> dict[str, np.ndarray]:
        """Return the headline metrics by name, each of shape (B,)."""
        occurs = self.class_predictions + self.class_labels > 0
        return {
            "top1": self._hits / self.n,
            "top3": self._top3 / self.n,
            "macro_f1": np.nansum(self.f1(), axis=0) / occurs.sum(axis=0),
            "log_loss": self._log_loss / self.n,
            "ece": np.abs(self._gaps).sum(axis=0) / self.n,
        }

    def precision(self) -> np.ndarray:
        """Return the precision per class, shape (C, B); NaN for a class never predicted."""
        return _share(self.class_hits, self.class_predictions)

    def recall(self) -> np.ndarray:
        """Return the recall per class, shape (C, B); NaN for a class without photographs."""
        return _share(self.class_hits, self.class_labels)

    def f1(self) -> np.ndarray:
        """Return the F1 score per class, shape (C, B); NaN where it is undefined."""
        return _share(2 * self.class_hits, self.class_predictions + self.class_labels)


def counts_right_answers(metric: str, n_classes: int) -> bool:
    """Tell whether a headline metric is a share in [0, 1] that depends on the answers."""
    return metric in ("top1", "macro_f1") or (metric == "top3" and n_classes > _TRIVIAL_TOP3)


def headline_intervals(
    totals: MetricTotals, resampled: MetricTotals, n_groups: int
) -> dict[str, Interval]:
    """Return the headline metrics by name with their 95 % intervals.

    Parameters
    ----------
    totals : MetricTotals
        Of the photographs themselves: one sample.
    resampled : MetricTotals
        Of resamples.
    n_groups : int
        Near-duplicate groups among the photographs.
    """
    values, replicates = totals.headline(), resampled.headline()
    intervals: dict[str, Interval] = {}
    for name in HEADLINE_METRICS:
        value, samples = float(values[name][0]), replicates[name]
        if counts_right_answers(name, len(totals.class_hits)):
            intervals[name] = share_interval(value, samples, n_groups)
        else:
            intervals[name] = percentile_interval(value, samples, centred=name == "ece")
    return intervals


def class_intervals(
    totals: MetricTotals, resampled: MetricTotals, n_groups: Callable[[str], Sequence[int]]
) -> dict[str, np.ndarray]:
    """Return columns of a table of classes: each metric, and with ``_low`` and ``_high`` its ends.

    Parameters
    ----------
    totals, resampled : MetricTotals
        As for `headline_intervals`.
    n_groups : callable
        Takes one of `CLASS_METRICS`; returns for each class how many near-duplicate groups there
        are among the photographs that its metric is of.

    Returns
    -------
    dict of str to ndarray of float64, shape (C,)
        Undefined metrics are 0 between NaN and NaN.
    """
    columns: dict[str, np.ndarray] = {}
    for name in CLASS_METRICS:
        values, replicates = getattr(totals, name)()[:, 0], getattr(resampled, name)()
        intervals = map(share_interval, values.tolist(), replicates, n_groups(name))
        ends = np.array([interval[1:] for interval in intervals])
        columns[name] = np.nan_to_num(values)
        columns[f"{name}_low"], columns[f"{name}_high"] = ends.T
    return columns


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    # Not 0: a resample that lacks a class knows nothing of it, and must not widen its interval.
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
