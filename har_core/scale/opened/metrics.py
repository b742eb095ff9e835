"""Metrics of very many labelled answers, from sums over one part after another."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.errors import DatasetError
from har_core.evaluation.bootstrap import N_RESAMPLES, SEED, Interval
from har_core.evaluation.calibration import N_BINS, ReliabilityBins, equal_mass_bins
from har_core.evaluation.confusion import similarity_order
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.totals import MetricTotals, class_intervals, headline_intervals
from har_core.scale.opened.labels import JoinedLabels
from har_core.scale.opened.table import ResultsTable

_DRAWS_AT_ONCE: Final = 25


@dataclass(frozen=True, eq=False)
class MassResult:
    """How good a model is on photographs that are too many to hold; use `evaluate_results`.

    Every photograph counts once (see `JoinedLabels`); near duplicates are not known, so that each
    counts as an observation of its own.

    Parameters
    ----------
    class_names : tuple of str
    cells : ndarray of int64, shape (C, C, 2)
        Photographs by true class, answer, and whether the label is among the three most probable.
    log_loss : ndarray of float64, shape (2,)
        Sum of the log losses, and of their squares.
    gaps : ndarray of float64, shape (B, 2)
        Sum of confidence minus hit in each bin of confidence, and of its squares.
    bins : ReliabilityBins
    """

    class_names: tuple[str, ...]
    cells: np.ndarray
    log_loss: np.ndarray
    gaps: np.ndarray
    bins: ReliabilityBins

    @property
    def n(self) -> int:
        """Number of photographs."""
        return int(self.cells.sum())

    @property
    def confusion(self) -> np.ndarray:
        """Photographs by true (row) and predicted (column) class, int64, shape (C, C)."""
        return self.cells.sum(axis=2)

    @cached_property
    def similarity_order(self) -> np.ndarray:
        """Class indices so that classes taken for each other are neighbours, int, shape (C,)."""
        return similarity_order(self.confusion)

    @cached_property
    def totals(self) -> MetricTotals:
        """The sums that the metrics follow from."""
        sums = self._sums(self.cells.reshape(1, -1), self.log_loss[:1], self.gaps[:, :1])
        return MetricTotals(sums, len(self.class_names))

    @cached_property
    def resampled_totals(self) -> MetricTotals:
        """The same sums on 1,000 resamples of the photographs.

        Counts are those of the bootstrap: drawing n photographs with replacement draws the cells
        from a multinomial distribution. Sums of losses and gaps are drawn from the normal
        distribution that theirs approaches (Efron & Tibshirani 1993, chapter 5).
        """
        rng = np.random.default_rng(SEED)
        flat = self.cells.ravel()
        used = np.flatnonzero(flat)
        blocks = []
        for start in range(0, N_RESAMPLES, _DRAWS_AT_ONCE):
            size = min(_DRAWS_AT_ONCE, N_RESAMPLES - start)
            drawn = np.zeros((size, len(flat)))
            drawn[:, used] = rng.multinomial(self.n, flat[used] / self.n, size=size)
            losses = _normal(rng, self.log_loss, self.n, size)[0]
            blocks.append(self._sums(drawn, losses, _normal(rng, self.gaps, self.n, size)))
        return MetricTotals(np.concatenate(blocks, axis=1), len(self.class_names))

    def _sums(self, cells: np.ndarray, log_loss: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """Return the sums in the layout of `MetricTotals` from cells of shape (S, C * C * 2)."""
        n_classes = len(self.class_names)
        counts = cells.reshape(len(cells), n_classes, n_classes, 2)
        by_pair = counts.sum(axis=3)
        hits = by_pair[:, np.arange(n_classes), np.arange(n_classes)]
        return np.concatenate(
            [
                by_pair.sum(axis=(1, 2))[np.newaxis],
                hits.sum(axis=1)[np.newaxis],
                counts[..., 1].sum(axis=(1, 2))[np.newaxis],
                log_loss[np.newaxis],
                gaps,
                hits.T,
                by_pair.sum(axis=1).T,
                by_pair.sum(axis=2).T,
            ]
        ).astype(np.float64)

    @cached_property
    def headline_intervals(self) -> dict[str, Interval]:
        """Headline metrics by name, as `EvaluationResult.headline_intervals`."""
        return headline_intervals(self.totals, self.resampled_totals, self.n)

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """Metrics of every class, as `EvaluationResult.per_class` without average precision."""
        confusion = self.confusion
        labelled, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
        of = {
            "precision": predicted,
            "recall": labelled,
            "f1": labelled + predicted - confusion.diagonal(),
        }
        table = pd.DataFrame(
            {"class": self.class_names, "support": labelled, "predicted": predicted}
        )
        return table.assign(**class_intervals(self.totals, self.resampled_totals, of.__getitem__))


def _normal(rng: np.random.Generator, sums: np.ndarray, n: int, size: int) -> np.ndarray:
    """Draw sums over n photographs, from a sum and one of squares each; shape (K, size)."""
    total, squares = np.atleast_2d(sums).T
    spread = np.sqrt(np.maximum(squares - total**2 / n, 0))
    return total[:, np.newaxis] + spread[:, np.newaxis] * rng.standard_normal((len(total), size))


def evaluate_results(table: ResultsTable, labels: JoinedLabels) -> MassResult:
    """Measure a model on the rows that have a label, reading one part after another.

    Raises
    ------
    DatasetError
        If no row with a label has an answer, or a part cannot be read.
    """
    counted = labels.counted
    if not counted.any():
        raise DatasetError("No photograph with a label has an answer: there is nothing to measure.")
    names = table.class_names

    def sums_of(rows: slice, part: Any) -> tuple[np.ndarray, np.ndarray]:
        chosen = counted[rows]
        probabilities = np.column_stack([part[name].to_numpy() for name in names])[chosen]
        result = _result(names, labels.label[rows][chosen], probabilities)
        shape = (len(names), len(names), 2)
        answers = table.action[rows][chosen]
        cell = np.ravel_multi_index((result.labels, answers, result.in_top3), shape)
        cells = np.bincount(cell, minlength=math.prod(shape)).reshape(shape)
        return cells, np.array([result.log_losses.sum(), (result.log_losses**2).sum()])

    cells, log_loss = np.zeros((len(names), len(names), 2), np.int64), np.zeros(2)
    for of_part in table.map_parts(names, sums_of):
        cells += of_part[0]
        log_loss += of_part[1]
    confidence = table.confidence[counted].astype(np.float64)
    hit = (table.action == labels.label)[counted]
    bins = equal_mass_bins(confidence)
    counts = np.bincount(bins, minlength=N_BINS)
    used = counts > 0
    gap = confidence - hit
    sums = [np.bincount(bins, values, N_BINS) for values in (gap, gap**2, confidence, hit)]
    reliability = ReliabilityBins(
        counts[used], sums[2][used] / counts[used], sums[3][used] / counts[used]
    )
    return MassResult(names, cells, log_loss, np.column_stack(sums[:2]), reliability)


def _result(
    names: tuple[str, ...], labels: np.ndarray, probabilities: np.ndarray
) -> EvaluationResult:
    nothing = np.empty(0)
    wide = probabilities.astype(np.float64)
    return EvaluationResult(names, nothing, labels.astype(np.int64), wide, nothing, nothing)
