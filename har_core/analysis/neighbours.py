"""Photographs that look alike to a model: whose labels they have, and which are nearest."""

from typing import Final

import numpy as np
import pandas as pd

N_NEIGHBOURS: Final = 10
_CHUNK: Final = 1024


def vote_of_neighbours(
    components: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    neighbours: int = N_NEIGHBOURS,
) -> tuple[np.ndarray, np.ndarray]:
    """Count the labels of each photograph's nearest others.

    A k-nearest-neighbours classifier that never asks the photograph itself or its duplicates
    (Wilson, "Asymptotic Properties of Nearest Neighbor Rules Using Edited Data", IEEE Trans. SMC
    2(3), 1972).

    Parameters
    ----------
    components : ndarray of float, shape (N, D)
        Feature vectors; near means alike.
    labels : ndarray of str, shape (N,)
        Given labels; a photograph without one (``""``) has no vote.
    groups : ndarray of int, shape (N,)
        Near-duplicate group of each.
    neighbours : int, default 10
        Votes for each photograph.

    Returns
    -------
    shares : ndarray of float64, shape (N, C)
        Share of the votes for each class; rows sum to 1, or to 0 if nobody could vote.
    class_names : ndarray of str, shape (C,)
        Sorted.
    """
    voters = np.flatnonzero(labels != "")
    class_names, codes = np.unique(labels[voters], return_inverse=True)
    shares = np.zeros((len(labels), len(class_names)))
    wanted = min(neighbours, len(voters))
    if not wanted:
        return shares, class_names
    for start in range(0, len(labels), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(labels)))
        distances = _squared_distances(components[rows], components[voters])
        distances[groups[rows][:, np.newaxis] == groups[voters]] = np.inf
        nearest = np.argpartition(distances, wanted - 1, axis=1)[:, :wanted]
        allowed = np.isfinite(np.take_along_axis(distances, nearest, axis=1))
        np.add.at(shares, (rows[:, np.newaxis], codes[nearest]), allowed)
    total = shares.sum(axis=1, keepdims=True)
    return shares / np.maximum(total, 1), class_names


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
        As in `vote_of_neighbours`.
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
    others = (labels.to_numpy(dtype=object) == class_name) & (groups != groups[position])
    candidates = np.flatnonzero(others)
    distances = _squared_distances(components[[position]], components[candidates])[0]
    return candidates[np.argsort(distances, kind="stable")[:n]]


def _squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    products = rows @ others.T
    lengths = np.einsum("ij,ij->i", others, others)
    # Each row's own length is left out of all of its distances: their order stays.
    return lengths - 2 * products
