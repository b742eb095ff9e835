"""Which unlabelled photographs would teach most: those that a classifier is torn about, spread."""

from typing import Final

import numpy as np

N_TO_LABEL: Final = 50
# The most doubtful of so many times the wanted number are spread over what the model sees.
_CANDIDATES: Final = 10
# As of the regression that judges labels, see `har_core.analysis.suspects`.
_DATA_WEIGHT: Final = 10.0
_MAX_ITERATIONS: Final = 100


def choose_to_label(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    probabilities: np.ndarray | None = None,
    *,
    n: int = N_TO_LABEL,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the photographs whose labels would teach most.

    A regression on the labelled ones gives each other one a margin, the probability of its most
    probable class minus that of the next (Scheffer, Decomain and Wrobel, "Active Hidden Markov
    Models for Information Extraction", IDA 2001). Of the smallest margins those are taken that lie
    farthest from what is labelled or taken already, one after another (k-centre; Sener and
    Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018).

    Parameters
    ----------
    features : ndarray of float, shape (N, D)
        Feature vectors of all photographs; near means alike.
    labels : ndarray of str, shape (N,)
        ``""`` for those to choose from.
    groups : ndarray of int, shape (N,)
        Near-duplicate group of each: of a group with a label none is chosen, of others one.
    probabilities : ndarray of float, shape (N, C), optional
        A model's; they give the margins where fewer than two classes are labelled.
    n : int, default 50
        At most so many.

    Returns
    -------
    chosen : ndarray of int64, shape (at most n,)
        Their rows, the most doubtful first.
    margins : ndarray of float64, shape (N,)
        In [0, 1]; NaN for labelled ones, and where nothing tells.
    """
    open_rows = np.flatnonzero(labels == "")
    margins = np.full(len(labels), np.nan)
    margins[open_rows] = _margins(features, labels, open_rows, probabilities)
    fresh = open_rows[~np.isin(groups[open_rows], groups[labels != ""])]
    ranked = fresh[np.argsort(margins[fresh], kind="stable")]
    _, first = np.unique(groups[ranked], return_index=True)
    candidates = ranked[np.sort(first)][: _CANDIDATES * n]
    chosen = _spread(features, np.flatnonzero(labels != ""), candidates, n)
    return chosen[np.argsort(margins[chosen], kind="stable")], margins


def _margins(
    features: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    probabilities: np.ndarray | None,
) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    known = np.flatnonzero(labels != "")
    if len(rows) and len(np.unique(labels[known])) > 1:
        scaler = StandardScaler().fit(features[known])
        regression = LogisticRegression(C=_DATA_WEIGHT / len(known), max_iter=_MAX_ITERATIONS)
        regression.fit(scaler.transform(features[known]), labels[known])
        said = regression.predict_proba(scaler.transform(features[rows]))
    elif probabilities is not None:
        said = probabilities[rows]
    else:
        return np.full(len(rows), np.nan)
    best = np.sort(said, axis=1)[:, -2:]
    return best[:, -1] - best[:, 0]


def _spread(
    features: np.ndarray, centres: np.ndarray, candidates: np.ndarray, n: int
) -> np.ndarray:
    """Take candidates one after another, each the farthest from all centres and taken ones."""
    from sklearn.metrics import pairwise_distances_argmin_min

    if len(candidates) <= n:
        return candidates
    points = features[candidates]
    taken = []
    if len(centres):
        _, distance = pairwise_distances_argmin_min(points, features[centres])
    else:
        taken.append(0)
        distance = np.linalg.norm(points - points[0], axis=1)
    while len(taken) < n:
        farthest = int(distance.argmax())
        taken.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(points - points[farthest], axis=1))
    return candidates[taken]
