"""Near duplicates among very many photographs, by the features that a model has of them."""

from typing import Any, Final

import numpy as np

from har_core.analysis.neighbours import squared_distances
from har_core.errors import DatasetError
from har_core.progress import Progress
from har_core.scale.labels import NONE
from har_core.scale.scanned.folder import FINDINGS_FILE, ScanFolder
from har_core.storage.checksums import digests_of

# Cosine similarity of the features of near duplicates. On the public HAR set 48 of 56 million pairs
# reach it, among them 29 of the 43 whose thumbnails correlate by 0.92, as a scan wants.
ALIKE: Final = 0.98
# Among more photographs too many that are none are as similar.
MOST_COMPARED: Final = 100_000
_CELL: Final = 2_000
_NEAREST_CELLS: Final = 2
# Of each row with later ones of its cell: of one scene thousands may be alike, and are linked by so
# many as well.
_MOST_PAIRS: Final = 32
_AT_ONCE: Final = 4_096
_ELEMENTS: Final = 2**24
_SEED: Final = 20240607


def possible_pairs(projected: np.ndarray, most: float) -> np.ndarray:
    """Find nearly all pairs of rows at a small distance, in almost linear time.

    Rows are dealt to cells, each to the two nearest of centres that are drawn from them, and
    compared within these (an inverted file: Sivic & Zisserman 2003, ICCV). Up to 2,000 rows are one
    cell: no pair is missed.

    Parameters
    ----------
    projected : ndarray of float32, shape (N, K)
    most : float
        Largest squared distance.

    Returns
    -------
    ndarray of int64, shape (P, 2)
        Rows, the smaller first; each pair once.
    """
    n = len(projected)
    cells = _cells(projected, -(-n // _CELL))
    order = np.argsort(cells.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(cells.ravel()))
    found = [np.empty(0, np.int64)]
    for members in np.split(order // cells.shape[1], ends[:-1]):
        first, second = _close(projected[members], most)
        smaller = np.minimum(members[first], members[second])
        found.append(smaller * n + np.maximum(members[first], members[second]))
    pairs = np.unique(np.concatenate(found))
    return np.stack([pairs // max(n, 1), pairs % max(n, 1)], axis=1)


def _cells(projected: np.ndarray, n_cells: int) -> np.ndarray:
    """Return the nearest cells of each row, int64, shape (N, 1 or 2)."""
    n = len(projected)
    if n_cells < _NEAREST_CELLS:
        return np.zeros((n, 1), np.int64)
    drawn = np.random.default_rng(_SEED).choice(n, n_cells, replace=False)
    centres = projected[np.sort(drawn)]
    cells = np.empty((n, _NEAREST_CELLS), np.int64)
    for start in range(0, n, _AT_ONCE):
        distances = squared_distances(projected[start : start + _AT_ONCE], centres)
        nearest = np.argpartition(distances, _NEAREST_CELLS - 1, axis=1)
        cells[start : start + _AT_ONCE] = nearest[:, :_NEAREST_CELLS]
    return cells


def _close(rows: np.ndarray, most: float) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of rows at most so far apart, the first one smaller; see `_MOST_PAIRS`."""
    found = []
    chunk = max(1, _ELEMENTS // max(len(rows), 1))
    for start in range(0, len(rows), chunk):
        near = np.argwhere(squared_distances(rows[start : start + chunk], rows[start:]) <= most)
        near = near[near[:, 0] < near[:, 1]]
        rank = np.arange(len(near)) - np.searchsorted(near[:, 0], near[:, 0])
        found.append(near[rank < _MOST_PAIRS] + start)
    pairs = np.concatenate([np.empty((0, 2), np.int64), *found])
    return pairs[:, 0], pairs[:, 1]


def pairs_of_scan(scan: ScanFolder, digest: np.ndarray, report: Progress) -> np.ndarray:
    """Return the rows that a scan calls near duplicates, as pairs: int64, shape (P, 2).

    Parameters
    ----------
    scan : ScanFolder
        From `har scan --to`.
    digest : ndarray of uint64, shape (N,)
        Of the rows' sha256.
    report : callable
        Called with (what is being done, done, total).

    Raises
    ------
    DatasetError
        If the scan has no findings, or none of these photographs.
    """
    report("Reading the scan", 0, 1)
    scan.read_body()
    table: Any = scan.read_table(FINDINGS_FILE, ["sha256", "duplicate_group"])
    if table is None:
        raise DatasetError(f"{scan.location} has no findings yet; let 'har scan' come to its end.")
    if not np.isin(digest, digests_of(table["sha256"])).any():
        raise DatasetError(f"{scan.location} is a scan of other photographs.")
    grouped = table.filter(table["duplicate_group"].is_valid())
    of_scan = digests_of(grouped["sha256"])
    number = grouped["duplicate_group"].to_numpy().astype(np.int64)
    order = np.argsort(of_scan, kind="stable")
    place = np.minimum(np.searchsorted(of_scan[order], digest), max(len(order) - 1, 0))
    group = np.full(len(digest), NONE)
    if len(order):
        same = of_scan[order][place] == digest
        group[same] = number[order][place[same]]
    rows = np.flatnonzero(group != NONE)
    rows = rows[np.argsort(group[rows], kind="stable")]
    linked = np.flatnonzero(np.diff(group[rows]) == 0)
    report("Reading the scan", 1, 1)
    return np.stack([rows[linked], rows[linked + 1]], axis=1)
