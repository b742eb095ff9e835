"""Labels that the photographs contradict, from the features that `har score --features` keeps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.analysis.components import Axes, fit_axes
from har_core.analysis.folds import deal_folds, draw_to_learn
from har_core.analysis.neighbours import nearest_others
from har_core.analysis.suspects import (
    LEAST_FITTED,
    MOST_FITTED,
    N_FOLDS,
    LabelSuspects,
    classes_to_judge,
    cross_validated_probabilities,
    find_label_suspects,
    fit_without_each,
    judged_by_others,
)
from har_core.dataset.duplicates import groups_of
from har_core.errors import DatasetError
from har_core.model.fields import ERROR, FEATURES
from har_core.model.novelty.neighbours import unit_rows
from har_core.progress import Progress, silent
from har_core.scale.labels import NONE, LabelTable
from har_core.scale.opened.alike import ALIKE, MOST_COMPARED, pairs_of_scan, possible_pairs
from har_core.scale.parts import Part
from har_core.scale.results import Results
from har_core.scale.scanned.folder import ScanFolder

# For so many of the suspects, the worst, neighbours are looked for unless more are asked for.
MOST_NEIGHBOURS: Final = 2_000
_PAIRS_AT_ONCE: Final = 4_096
_ROWS_AT_ONCE: Final = 4_096


@dataclass(frozen=True, eq=False)
class ResultsSuspects:
    """What the features say about the labels of a RESULTS folder.

    Parameters
    ----------
    found : LabelSuspects
        Of the judged rows; the index is the number of the row.
    suspects : DataFrame
        The suspects, most suspect first: ``uri``, ``sha256``, the columns of
        `LabelSuspects.ranking` without ``is_label_issue``; then of the first ones, as many as were
        asked for, ``neighbours`` (label of most of the ten nearest other photographs),
        ``neighbours_share`` in [0, 1], and ``nearest`` (URI).
    judged : int
        Photographs with features and a label that can be judged.
    alike : int
        How many of these are copies or near duplicates of others.
    fitted : int
        How many of these the regressions have learned from.
    unmatched : int
        Labels of which there is no row.
    left_out : tuple of str
        Classes of fewer than five photographs that are no copies or near duplicates of each other:
        they cannot be judged.
    compared : bool
        Whether near duplicates were looked for; not among more than `MOST_COMPARED` photographs.
    """

    found: LabelSuspects
    suspects: pd.DataFrame
    judged: int
    alike: int
    fitted: int
    unmatched: int
    left_out: tuple[str, ...]
    compared: bool


def find_suspects(
    results: Results,
    labels: LabelTable,
    progress: Progress = silent,
    *,
    scan: ScanFolder | None = None,
    neighbours: int = MOST_NEIGHBOURS,
) -> ResultsSuspects:
    """Rank labels by how much regressions that have not seen them contradict them.

    As `har_core.analysis.suspects` does for a dataset folder; up to `MOST_FITTED` photographs
    the same. Of more, five regressions learn from a sample, each without a fifth of the
    photographs, which it then judges. Copies and near duplicates stay together and do not judge one
    another: what has the same sha256; among up to `MOST_COMPARED` features of a cosine similarity
    from `ALIKE` on; or one group in a scan. Those of a sample and some 200 bytes of each row are
    held; the features are read part by part, once to compare them and once to judge.

    Parameters
    ----------
    results : Results
        Scored with features.
    labels : LabelTable
    progress : callable, optional
        Called with (what is being done, done, total).
    scan : ScanFolder, optional
        Of the same photographs; its near duplicates count, too.
    neighbours : int, default 2000
        Of how many suspects, the worst, to look for neighbours.

    Raises
    ------
    DatasetError
        If there are no features, too few photographs with a label, or the scan is none of them.
    """
    if not results.read_info().n_features:
        raise DatasetError(
            f"{results.location} has no features; score into another folder with --features."
        )
    rows = _Rows.of(results, labels)
    known = [] if scan is None else [pairs_of_scan(scan, rows.digest, progress)]
    sample = draw_to_learn(rows.label, MOST_FITTED, LEAST_FITTED)
    vectors = rows.vectors(sample, progress)
    basis = fit_axes(vectors)
    if len(sample) == len(rows.number):
        rows = replace(rows, held=vectors)
    compared = len(rows.number) <= MOST_COMPARED
    if compared:
        units = rows.units(basis, progress)
        progress("Looking for near duplicates", 0, 1)
        known.append(rows.confirmed(possible_pairs(units, 2 - 2 * ALIKE), progress))
        del units
    groups = groups_of(rows.digest, *known)
    kept = _enough_groups(rows.label, groups)
    if not kept.all():
        rows, groups, vectors = rows.only(kept), groups[kept], vectors[kept[sample]]
        sample = np.searchsorted(np.flatnonzero(kept), sample[kept[sample]])
    given = np.asarray(labels.names)[rows.label]
    if rows.held is not None:
        probabilities, class_names = cross_validated_probabilities(
            vectors, given, groups, progress=progress
        )
        components = basis.transform(vectors)
    else:
        class_names = np.unique(given)
        fold = deal_folds(rows.label, groups, N_FOLDS)
        if len(more := _lacking(sample, rows.label, fold)):
            sample = np.concatenate([sample, more])
            vectors = np.concatenate([vectors, rows.vectors(more, progress)])
        models = fit_without_each(vectors, given[sample], fold[sample], progress)
        components, probabilities = _judge(rows, basis, models, class_names, fold, progress)
    progress("Ranking labels", 0, 1)
    series = pd.Series(given, index=rows.number)
    found = find_label_suspects(series, probabilities, list(class_names), groups)
    worst = found.ranking[found.ranking["is_label_issue"]]
    suspects = rows.describe(worst, given, components, groups, neighbours, progress)
    alike = int((np.bincount(groups)[groups] > 1).sum())
    left_out = tuple(labels.names[code] for code in np.setdiff1d(rows.classes, rows.label))
    return ResultsSuspects(
        found, suspects, len(given), alike, len(sample), rows.unmatched, left_out, compared
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows that can be judged, arrays of length N in the order of the parts.

    Parameters
    ----------
    number : ndarray of int64
        Of all rows.
    label : ndarray of int32
        Index into the table's names.
    digest : ndarray of uint64
        Of the sha256: which photograph.
    classes : ndarray of int
        All classes, also those of too few photographs: indices into the table's names.
    held : ndarray of float32, shape (N, D), or None
        The features, if there are so few that they need not be read again.
    """

    results: Results
    parts: list[Part]
    sizes: list[int]
    number: np.ndarray
    label: np.ndarray
    digest: np.ndarray
    unmatched: int
    classes: np.ndarray
    held: np.ndarray | None = None

    @classmethod
    def of(cls, results: Results, labels: LabelTable) -> "_Rows":
        """Join the labels; leave out what has no features, or a class of fewer than `N_FOLDS`."""
        parts = results.parts()
        tables = [results.read_part(part, [*labels.columns, ERROR]) for part in parts]
        found, digest = labels.find_in(tables)
        sizes = [len(table) for table in tables]
        answered = [np.empty(0, bool), *(table[ERROR].is_null().to_numpy() for table in tables)]
        usable = (found.label != NONE) & ~found.several & np.concatenate(answered)
        photographs = pd.DataFrame({"label": found.label, "digest": digest})[usable]
        large = classes_to_judge(photographs.drop_duplicates()["label"])
        number = photographs.index[photographs["label"].isin(large)].to_numpy()
        if len(large) < 2:
            raise DatasetError(
                f"Finding doubtful labels needs {N_FOLDS} different photographs each of at least "
                f"two classes; there are {int(usable.sum()):,} with a label and features."
            )
        label, classes = found.label[number], photographs["label"].unique()
        return cls(results, parts, sizes, number, label, digest[number], found.unmatched, classes)

    def only(self, kept: np.ndarray) -> "_Rows":
        """Return some of the judged rows."""
        return replace(
            self,
            number=self.number[kept],
            label=self.label[kept],
            digest=self.digest[kept],
            held=None if self.held is None else self.held[kept],
        )

    def read(self, columns: list[str], wanted: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield which of some judged rows (their places) a part holds, and the part's columns."""
        start = 0
        for part, size in zip(self.parts, self.sizes, strict=True):
            first, last = np.searchsorted(self.number[wanted], [start, start + size])
            places = wanted[first:last]
            if len(places):
                table = self.results.read_part(part, columns)
                yield places, table.take(self.number[places] - start)
            start += size

    def chunks(self, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield some judged rows (their sorted places), and their features, float32 (M, D)."""
        if self.held is not None:
            for start in range(0, len(wanted), _ROWS_AT_ONCE):
                places = wanted[start : start + _ROWS_AT_ONCE]
                yield places, self.held[places]
            return
        width = self.results.read_info().n_features
        for places, table in self.read([FEATURES], wanted):
            column = table[FEATURES].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            yield places, column.reshape(-1, width).astype(np.float32)

    def vectors(self, wanted: np.ndarray, report: Progress) -> np.ndarray:
        """Return the features of some judged rows, sorted places, float32 (M, D)."""
        vectors = np.empty((len(wanted), self.results.read_info().n_features), np.float32)
        done = 0
        for places, here in self.chunks(wanted):
            vectors[done : done + len(places)] = here
            done += len(places)
            report("Reading features", done, len(wanted))
        return vectors

    def units(self, basis: Axes, report: Progress) -> np.ndarray:
        """Return the components of the directions of all judged rows, float32 (N, K).

        Of features of length 1, as they are, not less a mean: no two are further apart than the
        directions themselves.
        """
        units = np.empty((len(self.number), len(basis.directions)), np.float32)
        axes = basis.directions.T
        for places, here in self.chunks(np.arange(len(units))):
            units[places] = unit_rows(here) @ axes
            report("Comparing photographs", int(places[-1]) + 1, len(units))
        return units

    def confirmed(self, pairs: np.ndarray, report: Progress) -> np.ndarray:
        """Return those of possible pairs of near duplicates that are alike by all features."""
        wanted = np.unique(pairs)
        vectors = np.empty((len(wanted), self.results.read_info().n_features), np.float16)
        done = 0
        for places, here in self.chunks(wanted):
            vectors[done : done + len(places)] = unit_rows(here)
            done += len(places)
            report("Comparing near duplicates", done, len(wanted))
        kept = np.zeros(len(pairs), bool)
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            chunk = slice(start, start + _PAIRS_AT_ONCE)
            here = np.searchsorted(wanted, pairs[chunk])
            first, second = (vectors[here[:, side]].astype(np.float32) for side in (0, 1))
            kept[chunk] = np.einsum("ij,ij->i", first, second) >= ALIKE
        return pairs[kept]

    def describe(
        self,
        suspects: pd.DataFrame,
        given: np.ndarray,
        components: np.ndarray,
        groups: np.ndarray,
        neighbours: int,
        report: Progress,
    ) -> pd.DataFrame:
        """Add addresses and neighbours; see `ResultsSuspects`."""
        place = np.searchsorted(self.number, suspects.index.to_numpy())
        first, every = place[:neighbours], np.arange(len(given))
        looking = partial(report, "Looking for neighbours")
        nearest = nearest_others(components, every, groups, first, report=looking)
        names = self._texts(np.unique(np.concatenate([place, nearest[:, 0]])))
        table = suspects.drop(columns="is_label_issue").reset_index(drop=True)
        table.insert(0, "uri", [names[row][0] for row in place])
        table.insert(1, "sha256", [names[row][1] for row in place])
        votes = [pd.Series(given[row[row >= 0]]).value_counts() for row in nearest]
        table["neighbours"] = pd.Series([vote.index[0] for vote in votes], dtype=object)
        table["neighbours_share"] = pd.Series([vote.iloc[0] / vote.sum() for vote in votes])
        table["nearest"] = pd.Series([names[row][0] for row in nearest[:, 0]], dtype=object)
        return table

    def _texts(self, wanted: np.ndarray) -> dict[int, tuple[str, str]]:
        """Return URI and sha256 of some judged rows, sorted places."""
        found: dict[int, tuple[str, str]] = {}
        for places, table in self.read(["uri", "sha256"], wanted):
            texts = zip(table["uri"].to_pylist(), table["sha256"].to_pylist(), strict=True)
            found.update(zip(places.tolist(), texts, strict=True))
        return found


def _enough_groups(label: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return which rows are of a class that can be in every fold; bool, shape (N,).

    Raises
    ------
    DatasetError
        If fewer than two classes can.
    """
    different = pd.DataFrame({"label": label, "group": groups}).drop_duplicates()["label"]
    large = classes_to_judge(different)
    if len(large) < 2:
        raise DatasetError(
            f"Finding doubtful labels needs {N_FOLDS} photographs each of at least two classes "
            "that are no near duplicates of each other."
        )
    return np.isin(label, large)


def _lacking(sample: np.ndarray, label: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return some photographs of each class in each fold of which there is none in a sample.

    It was drawn to find the near duplicates, and with them the folds: of a class that is one scene
    and few others it may hold the scene alone, which is in one fold.
    """
    part = label * N_FOLDS + fold
    lacking = np.flatnonzero(~np.isin(part, part[sample]))
    return lacking[draw_to_learn(part[lacking], 0, LEAST_FITTED // N_FOLDS)]


def _judge(
    rows: _Rows,
    basis: Axes,
    models: list[Any],
    class_names: np.ndarray,
    fold: np.ndarray,
    report: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return components (N, K) and probabilities (N, C) of all rows, float32, from one reading."""
    n = len(rows.number)
    components = np.empty((n, len(basis.directions)), np.float32)
    probabilities = np.empty((n, len(class_names)), np.float32)
    for places, here in rows.chunks(np.arange(n)):
        components[places] = basis.transform(here)
        probabilities[places] = judged_by_others(models, here, fold[places], class_names)
        report("Judging labels", int(places[-1]) + 1, n)
    return components, probabilities
