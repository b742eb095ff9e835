"""A map of very many photographs: of a sample, drawn from parts that are drawn first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from har_core.analysis.whole_set import arrange, principal_components
from har_core.errors import DatasetError
from har_core.model.fields import FEATURES
from har_core.scale.opened.table import ResultsTable, open_results

Method = Literal["pca", "tsne"]
# t-SNE takes seconds for each thousand.
MAX_POINTS: Final[dict[Method, int]] = {"pca": 4_000, "tsne": 2_000}
# The features of a part weigh 10 MB.
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
    parts, of_parts : int
        How many parts the rows are from, and how many there are.
    """

    rows: np.ndarray
    coordinates: np.ndarray
    by_features: bool
    method: Method
    parts: int
    of_parts: int


def map_sample(table: ResultsTable, most: int, method: Method = "pca") -> SampleMap:
    """Arrange a sample of the answered rows so that alike ones are near each other.

    With many parts some of them are drawn first, then rows of these.

    Parameters
    ----------
    table : ResultsTable
    most : int
        Size of the sample.
    method : {"pca", "tsne"}
        The first two principal components, at once; or t-SNE, which takes seconds.

    Raises
    ------
    DatasetError
        If fewer than 5 rows have an answer, or a part cannot be read.
    """
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(_SEED)
    part_of = table.part_numbers
    n_parts = int(part_of[-1]) + 1 if table.n else 0
    drawn = rng.permutation(n_parts)[:MAX_PARTS]
    candidates = np.flatnonzero(table.answered & np.isin(part_of, drawn))
    rows = np.sort(rng.permutation(candidates)[:most])
    if len(rows) < _FEWEST:
        raise DatasetError(f"A map needs {_FEWEST} photographs with an answer, not {len(rows)}.")
    by_features = table.info.n_features > 0
    found = table.read(rows, (FEATURES,) if by_features else table.class_names)
    # Square roots, so that distances are those of Hellinger between distributions.
    vectors = np.stack(found[FEATURES]) if by_features else np.sqrt(found.to_numpy())
    with threadpool_limits(1):  # threads that wait for each other would starve the pages
        components = principal_components(vectors.astype(np.float32))
        coordinates = components[:, :2] if method == "pca" else arrange(components)
    parts = len(np.unique(part_of[rows]))
    return SampleMap(rows, coordinates, by_features, method, parts, n_parts)


def arrange_sample(
    location: str, most: int, *, progress: Callable[[str, int, int], None] = lambda *_: None
) -> SampleMap:
    """Do `map_sample` by t-SNE, in a process of its own.

    Parameters
    ----------
    location : str
        RESULTS folder.
    most : int
    progress : callable, optional
        Called with (what is being done, done, total).
    """
    progress("Arranging the map", 0, 1)
    return map_sample(open_results(location), most, "tsne")
