"""A map of very many photographs: of a sample, drawn from parts that are drawn first."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from har_core.analysis.components import principal_components
from har_core.analysis.whole_set import arrange
from har_core.errors import DatasetError
from har_core.model.fields import FEATURES
from har_core.progress import Progress, silent
from har_core.scale.opened.table import ResultsTable, open_results
from har_core.scale.parts import Part
from har_core.threads import limited_threads

Method = Literal["pca", "tsne"]
# t-SNE takes seconds for each thousand.
MAX_POINTS: Final[dict[Method, int]] = {"pca": 4_000, "tsne": 2_000}
# The features of a part weigh 10 MB, which take 0.2 s to read.
MAX_PARTS: Final = 64
_SEED: Final = 20240607
_FEWEST: Final = 5


@dataclass(frozen=True, eq=False)
class SampleMap:
    """Where some rows of results lie on a map.

    Parameters
    ----------
    rows : ndarray of int64, shape (M,)
    coordinates : ndarray of float32, shape (M, 2)
    by_features : bool
        Whether by the features; else by the probabilities.
    method : {"pca", "tsne"}
    n_parts : int
        How many parts the rows are from.
    of_parts : tuple of Part
        Those that there were: the rows are counted in these.
    """

    rows: np.ndarray
    coordinates: np.ndarray
    by_features: bool
    method: Method
    n_parts: int
    of_parts: tuple[Part, ...]

    def is_of(self, table: ResultsTable) -> bool:
        """Tell whether the rows are still those of a table, which a job may have changed."""
        return table.parts[: len(self.of_parts)] == self.of_parts


def map_sample(table: ResultsTable, most: int) -> SampleMap:
    """Draw a sample of the answered rows by its first two principal components, within a second.

    They are those of the class probabilities: features would take minutes to read.

    Parameters
    ----------
    table : ResultsTable
    most : int
        Size of the sample.

    Raises
    ------
    DatasetError
        If fewer than 5 rows have an answer, or a part cannot be read.
    """
    rows, part_of = _draw(table, most)
    # Square roots: their distances are those of Hellinger between distributions.
    vectors = np.sqrt(table.read(rows, table.class_names).to_numpy(np.float32))
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    coordinates = centred @ axes[:, [-1, -2]]
    return SampleMap(rows, coordinates, False, "pca", len(np.unique(part_of)), table.parts)


def arrange_sample(location: str, most: int, *, progress: Progress = silent) -> SampleMap:
    """Arrange a sample of the answered rows by t-SNE: alike ones are near each other.

    By their features, if there are any. Takes half a minute: for a process of its own.

    Parameters
    ----------
    location : str
        RESULTS folder.
    most : int
        Size of the sample.
    progress : callable, optional
        Called with (what is being done, done, total).

    Raises
    ------
    DatasetError
        As `map_sample`.
    """
    table = open_results(location)
    rows, part_of = _draw(table, most)
    by_features = table.info.n_features > 0
    places = np.unique(part_of)
    vectors = []
    for done, place in enumerate(places.tolist()):
        progress("Reading a sample", done, len(places))
        chosen = rows[part_of == place]
        if by_features:
            vectors.append(np.stack(table.read(chosen, (FEATURES,))[FEATURES]))
        else:
            vectors.append(np.sqrt(table.read(chosen, table.class_names).to_numpy()))
    progress("Arranging the map", 0, 1)
    with limited_threads(1):  # threads that wait for each other would starve the pages
        components = principal_components(np.concatenate(vectors).astype(np.float32))
        coordinates = arrange(components)
    return SampleMap(rows, coordinates, by_features, "tsne", len(places), table.parts)


def _draw(table: ResultsTable, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows, of many parts from some of these; return them sorted, and the part of each."""
    rng = np.random.default_rng(_SEED)
    part_of = table.part_numbers
    drawn = rng.permutation(len(table.parts))[:MAX_PARTS]
    candidates = np.flatnonzero(table.answered & np.isin(part_of, drawn))
    rows = np.sort(rng.permutation(candidates)[:most])
    if len(rows) < _FEWEST:
        raise DatasetError(f"A map needs {_FEWEST} photographs with an answer, not {len(rows)}.")
    return rows, part_of[rows]
