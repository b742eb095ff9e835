"""Labels that the photographs contradict, from the features that `har score --features` keeps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.analysis.neighbours import nearest_others
from har_core.analysis.suspects import (
    N_FOLDS,
    LabelSuspects,
    cross_validated_probabilities,
    find_label_suspects,
    fit_regression,
)
from har_core.analysis.whole_set import component_basis
from har_core.errors import DatasetError
from har_core.model.fields import ERROR, FEATURES
from har_core.progress import Progress
from har_core.scale.labels import NONE, LabelTable
from har_core.scale.parts import Part
from har_core.scale.results import Results

# Of more photographs the regressions learn from a sample of so many.
MOST_FITTED: Final = 20_000
# For so many of the suspects, the worst, neighbours are looked for.
MOST_NEIGHBOURS: Final = 2_000
_SEED: Final = 20240607


@dataclass(frozen=True, eq=False)
class ResultsSuspects:
    """What the features say about the labels of a RESULTS folder.

    Parameters
    ----------
    found : LabelSuspects
        Of the judged rows; the index is the number of the row.
    suspects : DataFrame
        The suspects, most suspect first: ``uri``, ``sha256``, the columns of
        `LabelSuspects.ranking` without ``is_label_issue``; then of the `MOST_NEIGHBOURS` first
        ``neighbours`` (label of most of the ten nearest other photographs), ``neighbours_share`` in
        [0, 1], and ``nearest`` (URI).
    judged : int
        Photographs with features and a label that can be judged.
    fitted : int
        How many of these the regressions have learned from.
    unmatched : int
        Labels of which there is no row.
    """

    found: LabelSuspects
    suspects: pd.DataFrame
    judged: int
    fitted: int
    unmatched: int


def find_suspects(
    results: Results, labels: LabelTable, progress: Progress | None = None
) -> ResultsSuspects:
    """Rank labels by how much regressions that have not seen them contradict them.

    As `har_core.analysis.suspects` does for a dataset folder; up to `MOST_FITTED` photographs
    the same. Of more, five regressions learn from a sample, each without a fifth of the
    photographs (by their sha256, so that exact copies stay together), which it then judges.
    Features are read part by part, those of the sample and 200 bytes of each row are held.

    Parameters
    ----------
    results : Results
        Scored with features.
    labels : LabelTable
    progress : callable, optional
        Called with (what is being done, done, total).

    Raises
    ------
    DatasetError
        If there are no features, or too few photographs with a label.
    """
    report = progress or (lambda *_: None)
    if not results.read_info().n_features:
        raise DatasetError(
            f"{results.location} has no features; score into another folder with --features."
        )
    rows = _Rows.of(results, labels)
    sample = _draw(rows)
    vectors = rows.vectors(sample, report)
    names = np.asarray(labels.names)
    given = names[rows.label]
    if len(sample) == len(given):
        probabilities, class_names = cross_validated_probabilities(
            vectors, given, rows.digest, progress=report
        )
        components = component_basis(vectors.shape).fit(vectors).transform(vectors)
    else:
        class_names = np.unique(given)
        probabilities, components = _judge(rows, sample, vectors, given, class_names, report)
    report("Ranking labels", 0, 1)
    series = pd.Series(given, index=rows.number)
    found = find_label_suspects(series, probabilities, list(class_names))
    ranking = found.ranking
    suspects = rows.describe(ranking[ranking["is_label_issue"]], given, components, report)
    return ResultsSuspects(found, suspects, len(given), len(sample), rows.unmatched)


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
    """

    results: Results
    parts: list[Part]
    sizes: list[int]
    number: np.ndarray
    label: np.ndarray
    digest: np.ndarray
    unmatched: int

    @classmethod
    def of(cls, results: Results, labels: LabelTable) -> "_Rows":
        """Join the labels; leave out what has no features, or a class of fewer than five."""
        parts = results.parts()
        tables = [results.read_part(part, [*labels.columns, ERROR]) for part in parts]
        found, digest = labels.find_in(tables)
        sizes = [len(table) for table in tables]
        answered = [np.empty(0, bool), *(table[ERROR].is_null().to_numpy() for table in tables)]
        usable = (found.label != NONE) & ~found.several & np.concatenate(answered)
        photographs = pd.DataFrame({"label": found.label, "digest": digest})[usable]
        different = photographs.drop_duplicates()["label"].value_counts()
        large = different.index[different >= N_FOLDS]
        number = photographs.index[photographs["label"].isin(large)].to_numpy()
        if len(large) < 2:
            raise DatasetError(
                f"Finding doubtful labels needs {N_FOLDS} different photographs each of at least "
                f"two classes; there are {int(usable.sum()):,} with a label and features."
            )
        return cls(
            results, parts, sizes, number, found.label[number], digest[number], found.unmatched
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

    def vectors(self, wanted: np.ndarray, report: Progress) -> np.ndarray:
        """Return the features of some judged rows, sorted places, float32 (M, D)."""
        width = self.results.read_info().n_features
        vectors = np.empty((len(wanted), width), np.float32)
        done = 0
        for places, table in self.read([FEATURES], wanted):
            vectors[done : done + len(places)] = _as_matrix(table, width)
            done += len(places)
            report("Reading features", done, len(wanted))
        return vectors

    def describe(
        self, suspects: pd.DataFrame, given: np.ndarray, components: np.ndarray, report: Progress
    ) -> pd.DataFrame:
        """Add addresses and neighbours; see `ResultsSuspects`."""
        place = np.searchsorted(self.number, suspects.index.to_numpy())
        first = place[:MOST_NEIGHBOURS]
        report("Looking for neighbours", 0, 1)
        every = np.arange(len(given))
        nearest = nearest_others(components, every, self.digest, first)
        names = self._texts(np.unique(np.concatenate([place, nearest[:, 0]])))
        table = suspects.drop(columns="is_label_issue").reset_index(drop=True)
        table.insert(0, "uri", [names[row][0] for row in place])
        table.insert(1, "sha256", [names[row][1] for row in place])
        votes = [pd.Series(given[row[row >= 0]]).value_counts() for row in nearest]
        table["neighbours"] = pd.Series([vote.index[0] for vote in votes], dtype=object)
        table["neighbours_share"] = pd.Series([vote.iloc[0] / vote.sum() for vote in votes])
        table["nearest"] = pd.Series([names[row][0] for row in nearest[:, 0]], dtype=object)
        report("Looking for neighbours", 1, 1)
        return table

    def _texts(self, wanted: np.ndarray) -> dict[int, tuple[str, str]]:
        """Return URI and sha256 of some judged rows, sorted places."""
        found: dict[int, tuple[str, str]] = {}
        for places, table in self.read(["uri", "sha256"], wanted):
            texts = zip(table["uri"].to_pylist(), table["sha256"].to_pylist(), strict=True)
            found.update(zip(places.tolist(), texts, strict=True))
        return found


def _draw(rows: _Rows) -> np.ndarray:
    """Return sorted places of a sample, in which every class has its share or `N_FOLDS`² rows."""
    n = len(rows.label)
    if n <= MOST_FITTED:
        return np.arange(n)
    order = np.random.default_rng(_SEED).permutation(n)
    rank = pd.Series(rows.label[order]).groupby(rows.label[order]).cumcount().to_numpy()
    chosen = np.zeros(n, bool)
    chosen[:MOST_FITTED] = True
    chosen |= rank < N_FOLDS**2
    return np.sort(order[chosen])


def _judge(
    rows: _Rows,
    sample: np.ndarray,
    vectors: np.ndarray,
    given: np.ndarray,
    class_names: np.ndarray,
    report: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (N, C) and components (N, 50), float32, of all rows."""
    fold = (rows.digest % N_FOLDS).astype(np.int64)
    models = []
    for number in range(N_FOLDS):
        report("Comparing labels", number, N_FOLDS)
        seen = fold[sample] != number
        models.append(fit_regression(vectors[seen], given[sample[seen]]))
    basis = component_basis(vectors.shape).fit(vectors)
    probabilities = np.zeros((len(given), len(class_names)), np.float32)
    components = np.empty((len(given), basis.n_components_), np.float32)
    done = 0
    for places, table in rows.read([FEATURES], np.arange(len(given))):
        here = _as_matrix(table, vectors.shape[1])
        components[places] = basis.transform(here)
        for number, model in enumerate(models):
            mine = fold[places] == number
            if mine.any():
                columns = np.searchsorted(class_names, model.classes_)
                found = model.predict_proba(here[mine])
                probabilities[np.ix_(places[mine], columns)] = found
        done += len(places)
        report("Judging labels", done, len(given))
    return probabilities, components


def _as_matrix(table: Any, width: int) -> np.ndarray:
    """Return the features of some rows, float32 (M, D)."""
    column = table[FEATURES].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width).astype(np.float32)
