"""Photographs that look alike to a model: whose labels they have, and which are nearest."""

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd

from har_core.progress import silent

N_NEIGHBOURS: Final = 10
_ELEMENTS: Final = 2**22  # of a block of distances
_FEWEST_ROWS: Final = 64  # of a block
_SET: Final = 64  # distances of which the least is looked at first
_MANY_SETS: Final = 8  # for each wanted value, from which on that is faster


def vote_of_neighbours(nearest: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the labels of each photograph's nearest others.

    A k-nearest-neighbours classifier that never asks the photograph itself or its duplicates
    (Wilson, "Asymptotic Properties of Nearest Neighbor Rules Using Edited Data", IEEE Trans. SMC
    2(3), 1972).

    Parameters
    ----------
    nearest : ndarray of int, shape (R, K)
        From `nearest_others`, whose voters have a label.
    labels : ndarray of str, shape (N,)
        Given labels, ``""`` where there is none.

    Returns
    -------
    shares : ndarray of float64, shape (R, C)
        Share of the votes for each class; rows sum to 1, or to 0 if nobody could vote.
    class_names : ndarray of str, shape (C,)
        Sorted.
    """
    voters = np.flatnonzero(labels != "")
    class_names, codes = np.unique(labels[voters], return_inverse=True)
    code_of = np.zeros(len(labels), np.int64)
    code_of[voters] = codes
    shares = np.zeros((len(nearest), len(class_names)))
    rows = np.arange(len(nearest))[:, np.newaxis]
    np.add.at(shares, (rows, code_of[nearest]), nearest >= 0)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    return shares, class_names


def nearest_others(
    components: np.ndarray,
    voters: np.ndarray,
    groups: np.ndarray,
    rows: np.ndarray,
    *,
    report: Callable[[int, int], None] = silent,
) -> np.ndarray:
    """Return the photographs that are most like some, none of them a duplicate of these.

    Parameters
    ----------
    components : ndarray of float, shape (N, D)
        Feature vectors; near means alike.
    voters : ndarray of int, shape (V,)
        Which photographs may be among the nearest.
    groups : ndarray of int, shape (N,)
        Near-duplicate group of each.
    rows : ndarray of int, shape (R,)
        Whose neighbours to look for.
    report : callable, optional
        Called with (done, R).

    Returns
    -------
    ndarray of int64, shape (R, K)
        Nearest first; -1 where there are no more. K is at most `N_NEIGHBOURS`.
    """
    wanted = min(N_NEIGHBOURS, len(voters))
    found = np.full((len(rows), wanted), -1, np.int64)
    if not wanted:
        return found
    others = _padded_with_lengths(components[voters])
    candidates = np.pad(voters, (0, len(others) - len(voters)), constant_values=-1)
    by_group = np.argsort(groups[voters], kind="stable")
    grouped = groups[voters][by_group]
    chunk = max(_FEWEST_ROWS, _ELEMENTS // len(others))
    for start in range(0, len(rows), chunk):
        report(start, len(rows))
        here = rows[start : start + chunk]
        # Less the row's own squared length, which leaves the order as it is.
        distances = np.pad(-2 * components[here], ((0, 0), (0, 1)), constant_values=1) @ others.T
        first, last = (np.searchsorted(grouped, groups[here], side) for side in ("left", "right"))
        counts = last - first
        row = np.repeat(np.arange(len(here)), counts)
        place = np.arange(len(row)) + np.repeat(last - np.cumsum(counts), counts)
        distances[row, by_group[place]] = np.inf
        nearest, far = _least(distances, wanted)
        found[start : start + chunk] = np.where(np.isfinite(far), candidates[nearest], -1)
    report(len(rows), len(rows))
    return found


def _padded_with_lengths(rows: np.ndarray) -> np.ndarray:
    """Return rows with their squared lengths behind them, and infinitely far ones to fill a set."""
    padded = np.pad(rows, ((0, -len(rows) % _SET), (0, 1)))
    padded[:, -1] = np.inf
    padded[: len(rows), -1] = np.einsum("ij,ij->i", rows, rows)
    return padded


def _least(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of the n least values of each row, ascending, and these; both (R, n).

    The columns are a multiple of `_SET`. The n sets with the least minima hold the values; of many
    columns finding minima takes a tenth of the time of a selection.
    """
    columns = np.arange(values.shape[1])[np.newaxis]
    n_sets = values.shape[1] // _SET
    if n_sets > _MANY_SETS * n:
        minima = values.reshape(len(values), _SET, n_sets).min(axis=1)
        sets = np.argpartition(minima, n - 1, axis=1)[:, :n]
        columns = np.arange(_SET)[:, np.newaxis] * n_sets + sets[:, np.newaxis]
        columns = columns.reshape(len(values), -1)
        values = np.take_along_axis(values, columns, axis=1)
    least = np.argpartition(values, n - 1, axis=1)[:, :n]
    kept = np.take_along_axis(values, least, axis=1)
    least = np.take_along_axis(least, np.argsort(kept, axis=1, kind="stable"), axis=1)
    columns = np.broadcast_to(columns, values.shape)
    return np.take_along_axis(columns, least, axis=1), np.take_along_axis(values, least, axis=1)


def nearest_of_class(
    components: np.ndarray,
    labels: pd.Series,
    groups: np.ndarray,
    position: int,
    class_name: str,
    *,
    n: int = 3,
) -> np.ndarray:
    """Return the positions of the photographs of a class that are most like a given one.

    Parameters
    ----------
    components, labels, groups
        As in `nearest_others`.
    position : int
        Of the given photograph; neither it nor one of its duplicates is returned.
    class_name : str
    n : int, default 3
        At most so many.

    Returns
    -------
    ndarray of int64
        Nearest first.
    """
    others = labels.eq(class_name).to_numpy() & (groups != groups[position])
    candidates = np.flatnonzero(others)
    distances = squared_distances(components[[position]], components[candidates])[0]
    return candidates[np.argsort(distances, kind="stable")[:n]]


def squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the squared distance of each row to each other, (R, O), of (R, K) and (O, K)."""
    lengths = [np.einsum("ij,ij->i", values, values) for values in (rows, others)]
    return lengths[0][:, np.newaxis] + lengths[1] - 2 * (rows @ others.T)
