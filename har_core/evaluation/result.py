"""How good is a classifier? Every number follows from labels, probabilities and groups alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from har_core.errors import DatasetError
from har_core.evaluation.bootstrap import Interval, resampled_totals
from har_core.evaluation.calibration import (
    calibration_error_by_chance,
    equal_mass_bins,
    negative_log_likelihood,
)
from har_core.evaluation.checks import (
    check_filenames,
    check_probabilities,
    label_indices,
    repeated,
)
from har_core.evaluation.confusion import confusion_matrix, similarity_order
from har_core.evaluation.curves import RankingCurves, micro_curves, one_vs_rest_curves
from har_core.evaluation.totals import (
    CLASS_METRICS,
    MetricTotals,
    class_intervals,
    headline_intervals,
)
from har_core.model.answers import NO_RULES, AnswerRules
from har_core.model.temperature import apply_temperature


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """A model's answers on labelled photographs; use `from_predictions`, which checks them.

    Parameters
    ----------
    class_names : tuple of str
        In the order of the probabilities.
    filenames : ndarray of str, shape (N,)
        Unique.
    labels : ndarray of int, shape (N,)
        Index of the true class.
    probabilities : ndarray of float64, shape (N, C)
        Rows sum to 1.
    groups : ndarray of int, shape (N,)
        Near-duplicate group of each photograph; intervals resample groups.
    sha256 : ndarray of str, shape (N,)
        Of each photograph's file: which photograph it is; ``""`` where that is not known.
    in_scope : ndarray of bool, shape (N,), or None
        False where a photograph looked foreign to the model; None if that was not judged.
    """

    class_names: tuple[str, ...]
    filenames: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray
    sha256: np.ndarray
    in_scope: np.ndarray | None = None

    @classmethod
    def from_predictions(
        cls,
        labels: Sequence[str] | pd.Series,
        probabilities: np.ndarray,
        class_names: Sequence[str],
        filenames: Sequence[str] | None = None,
        groups: Sequence[int] | np.ndarray | None = None,
        sha256: Sequence[str] | np.ndarray | None = None,
        in_scope: Sequence[bool] | np.ndarray | None = None,
    ) -> "EvaluationResult":
        """Check predictions and hold them.

        Parameters
        ----------
        labels : sequence of str, length N
            True class names.
        probabilities : array-like of float, shape (N, C)
            One row per photograph, in the order of `class_names`.
        class_names : sequence of str, length C
        filenames : sequence of str, length N, optional
            Unique; default: row numbers.
        groups : sequence of int, length N, optional
            Near-duplicate group; default: every photograph is its own.
        sha256 : sequence of str, length N, optional
            Of the photographs' files; without it, models cannot be compared.
        in_scope : sequence of bool, length N, optional
            See the class.

        Returns
        -------
        EvaluationResult

        Raises
        ------
        DatasetError
            If there is no photograph, lengths differ, a probability is NaN, infinite or outside
            [0, 1], a row does not sum to 1 (within 0.001), a label is no class, or a filename
            occurs twice; the message names the first such photographs.

        Examples
        --------
        >>> result = EvaluationResult.from_predictions(
        ...     ["run", "sit"], [[0.9, 0.1], [0.6, 0.4]], ["run", "sit"]
        ... )
        >>> result.headline()["top1"]["value"]
        0.5
        """
        names = tuple(str(name) for name in class_names)
        table = np.asarray(probabilities, dtype=np.float64)
        n = len(labels)
        if not n:
            raise DatasetError("There are no predictions to evaluate: the table has no rows.")
        if len(set(names)) != len(names):
            raise DatasetError(f"Class names must differ: {', '.join(repeated(names))} repeats.")
        if table.shape != (n, len(names)):
            raise DatasetError(
                f"{n} labels and {len(names)} classes need probabilities of shape "
                f"({n}, {len(names)}), not {table.shape}."
            )
        files = np.arange(n).astype(str) if filenames is None else np.asarray(filenames, str)
        group_numbers = np.arange(n) if groups is None else np.asarray(groups)
        digests = np.full(n, "") if sha256 is None else np.asarray(sha256, str)
        columns = {"filenames": files, "groups": group_numbers, "checksums": digests}
        judged = None if in_scope is None else np.asarray(in_scope, bool)
        if judged is not None:
            columns["judgements of novelty"] = judged
        for what, column in columns.items():
            if column.shape != (n,):
                raise DatasetError(f"{n} labels need as many {what}, not {len(column)}.")
        check_filenames(files)
        check_probabilities(table, files)
        indices = label_indices(labels, names, files)
        return cls(names, files, indices, table, group_numbers, digests, judged)

    @property
    def n(self) -> int:
        """Number of photographs."""
        return len(self.labels)

    @cached_property
    def predictions(self) -> np.ndarray:
        """Index of the most probable class (the first one of equals), int, shape (N,)."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the predicted class, float64, shape (N,)."""
        return self.probabilities.max(axis=1)

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether the prediction is the label, bool, shape (N,)."""
        return self.predictions == self.labels

    @cached_property
    def in_top3(self) -> np.ndarray:
        """Whether the label is among the three most probable classes, bool, shape (N,).

        Of equal probabilities the first class counts as the higher, as in `predictions` and
        `Prediction.top`; in ``sklearn.metrics.top_k_accuracy_score`` it is the last.
        """
        of_label = self.probabilities[np.arange(self.n), self.labels][:, np.newaxis]
        earlier = np.arange(len(self.class_names)) < self.labels[:, np.newaxis]
        ahead = (self.probabilities > of_label) | ((self.probabilities == of_label) & earlier)
        return ahead.sum(axis=1) < 3

    @cached_property
    def log_losses(self) -> np.ndarray:
        """Negative log likelihood of each label, float64, shape (N,)."""
        return negative_log_likelihood(self.labels, self.probabilities)

    @property
    def label_names(self) -> np.ndarray:
        """True class of each photograph, object array of str, shape (N,)."""
        return np.asarray(self.class_names, dtype=object)[self.labels]

    @property
    def prediction_names(self) -> np.ndarray:
        """Predicted class of each photograph, object array of str, shape (N,)."""
        return np.asarray(self.class_names, dtype=object)[self.predictions]

    @cached_property
    def confusion(self) -> np.ndarray:
        """Photographs by true (row) and predicted (column) class, int64, shape (C, C)."""
        return confusion_matrix(self.labels, self.predictions, len(self.class_names))

    @cached_property
    def similarity_order(self) -> np.ndarray:
        """Class indices so that classes taken for each other are neighbours, int, shape (C,)."""
        return similarity_order(self.confusion)

    @cached_property
    def curves(self) -> list[RankingCurves]:
        """Precision–recall and ROC curves of each class against the rest."""
        return one_vs_rest_curves(self.labels, self.probabilities)

    @cached_property
    def micro_curves(self) -> RankingCurves:
        """The same over all (photograph, class) pairs."""
        return micro_curves(self.labels, self.probabilities)

    @cached_property
    def totals(self) -> MetricTotals:
        """The sums that every headline and per-class metric follows from."""
        return MetricTotals(self._statistics.sum(axis=0)[:, np.newaxis], len(self.class_names))

    @cached_property
    def resampled_totals(self) -> MetricTotals:
        """The same sums on each bootstrap resample (seeded, drawn by near-duplicate group)."""
        return MetricTotals(resampled_totals(self._statistics, self.groups), len(self.class_names))

    def headline(self) -> dict[str, dict[str, float]]:
        """Return top1, top3, macro_f1, log_loss and ece with 95 % bootstrap intervals.

        Returns
        -------
        dict of str to {"value", "low", "high"}
            Shares in [0, 1], log loss in nats. Macro F1 is the mean over classes that occur among
            labels or predictions (scikit-learn's default). The calibration error uses 15
            equal-mass bins of top-label confidence, fixed over resamples.
        """
        return {name: interval.to_dict() for name, interval in self.headline_intervals.items()}

    @cached_property
    def headline_intervals(self) -> dict[str, Interval]:
        """Headline metrics by name, as `Interval`."""
        n_groups = len(np.unique(self.groups))
        return headline_intervals(self.totals, self.resampled_totals, n_groups)

    @cached_property
    def calibration_error_by_chance(self) -> tuple[float, float]:
        """Mean and 95 % quantile of the calibration error if the model were calibrated."""
        return calibration_error_by_chance(self.confidence, self.groups)

    def photographs(self) -> pd.DataFrame:
        """Return one row per photograph.

        Returns
        -------
        DataFrame
            ``filename``, ``label``, ``prediction``, ``confidence`` and ``correct``.
        """
        return pd.DataFrame(
            {
                "filename": self.filenames,
                "label": self.label_names,
                "prediction": self.prediction_names,
                "confidence": self.confidence,
                "correct": self.correct,
            }
        )

    def predictions_table(self) -> pd.DataFrame:
        """Return one row per photograph with all probabilities.

        Returns
        -------
        DataFrame
            ``filename``, ``label``, ``prediction``, ``confidence``, then one column per class.
        """
        probabilities = pd.DataFrame(self.probabilities, columns=list(self.class_names))
        return pd.concat([self.photographs().drop(columns="correct"), probabilities], axis=1)

    def per_class(self) -> pd.DataFrame:
        """Return the metrics of every class.

        Returns
        -------
        DataFrame
            One row per class: ``class``, ``support`` (photographs of it), ``predicted`` (answers
            that name it), ``precision``, ``recall`` and ``f1``, each also with ``_low`` and
            ``_high`` (95 % interval, see `har_core.evaluation.bootstrap`), and
            ``average_precision``. Undefined values are 0 as with scikit-learn's
            ``zero_division=0``, with NaN for the ends of their interval.
        """
        return self._class_table.copy()

    @cached_property
    def _class_table(self) -> pd.DataFrame:
        table = pd.DataFrame(
            {
                "class": self.class_names,
                "support": self.confusion.sum(axis=1),
                "predicted": self.confusion.sum(axis=0),
            }
        )
        columns = class_intervals(self.totals, self.resampled_totals, self._groups_of)
        table = table.assign(**columns)
        table["average_precision"] = [curve.average_precision for curve in self.curves]
        return table

    def metrics(self) -> dict[str, Any]:
        """Return what a metrics file holds: ``n``, the headline and ``per_class``.

        Returns
        -------
        dict
            Ready for JSON. ``per_class`` maps a class to ``support``, ``predicted``,
            ``average_precision`` and, as ``{"value", "low", "high"}``, precision, recall and f1;
            an undefined one is 0 between None and None.
        """
        per_class = {}
        table = self.per_class().astype(object)
        for row in table.where(table.notna(), None).to_dict("records"):  # JSON has no NaN
            intervals = {
                name: {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
                for name in CLASS_METRICS
            }
            counts = {name: int(row[name]) for name in ("support", "predicted")}
            per_class[row["class"]] = {
                **counts,
                **intervals,
                "average_precision": row["average_precision"],
            }
        return {"n": self.n, **self.headline(), "per_class": per_class}

    def take(self, rows: np.ndarray) -> "EvaluationResult":
        """Return the evaluation of some photographs, given by row number, in that order."""
        return EvaluationResult(
            self.class_names,
            self.filenames[rows],
            self.labels[rows],
            self.probabilities[rows],
            self.groups[rows],
            self.sha256[rows],
            None if self.in_scope is None else self.in_scope[rows],
        )

    def regrouped(self, groups: np.ndarray) -> "EvaluationResult":
        """Return the same evaluation with other near-duplicate groups."""
        return replace(self, groups=groups)

    def calibrated(self, temperature: float, rules: AnswerRules = NO_RULES) -> "EvaluationResult":
        """Return the evaluation with a temperature, then a confidence map, applied."""
        if temperature == 1.0 and not rules.confidence:
            return self
        tempered = apply_temperature(self.probabilities, temperature)
        return replace(self, probabilities=rules.shown(tempered))

    def _groups_of(self, metric: str) -> list[int]:
        """Count the near-duplicate groups of the photographs that each class's metric is of."""
        counts = []
        for index in range(len(self.class_names)):
            labelled, predicted = self.labels == index, self.predictions == index
            rows = {"recall": labelled, "precision": predicted, "f1": labelled | predicted}
            counts.append(len(np.unique(self.groups[rows[metric]])))
        return counts

    @cached_property
    def _statistics(self):  # type: ignore[no-untyped-def]  # scipy is imported on use only
        """Per-photograph statistics in the layout of `MetricTotals`, sparse, shape (N, K)."""
        from scipy.sparse import csr_array

        n_classes = len(self.class_names)
        first_class = MetricTotals.n_leading
        bins = equal_mass_bins(self.confidence)
        entries = [
            (0, np.ones(self.n)),
            (1, self.correct.astype(np.float64)),
            (2, self.in_top3.astype(np.float64)),
            (3, self.log_losses),
            (4 + bins, self.confidence - self.correct),
            (first_class + self.labels, self.correct.astype(np.float64)),
            (first_class + n_classes + self.predictions, np.ones(self.n)),
            (first_class + 2 * n_classes + self.labels, np.ones(self.n)),
        ]
        columns = np.concatenate([np.broadcast_to(column, self.n) for column, _ in entries])
        values = np.concatenate([value for _, value in entries])
        rows = np.tile(np.arange(self.n), len(entries))
        shape = (self.n, first_class + 3 * n_classes)
        return csr_array((values, (rows, columns)), shape=shape)
