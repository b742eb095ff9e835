"""Which unlabelled photographs would teach most: those that a classifier is torn about, spread."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from har_core.analysis.components import principal_components
from har_core.analysis.features import compute_features
from har_core.analysis.suspects import fit_regression
from har_core.analysis.whole_set import group_numbers
from har_core.progress import Progress, silent

N_TO_LABEL: Final = 50
# The most doubtful of so many times the wanted number are spread over what the model sees.
_CANDIDATES: Final = 3
# On 50 components; with 10, as for all 1,280 features, its choice is as good (`docs/loop.md`), but
# its probabilities are so flat that they tell people nothing.
_DATA_WEIGHT: Final = 100.0


@dataclass(frozen=True, eq=False)
class Choice:
    """Unlabelled photographs to be labelled next.

    Parameters
    ----------
    rows : ndarray of int64, shape (K,)
        The most doubtful first.
    margins : ndarray of float64, shape (K,)
        Of each, in [0, 1]; NaN where nothing tells.
    probabilities : ndarray of float64, shape (K, C)
        What the labelled photographs say of each; C is 0 where they cannot.
    class_names : ndarray of str, shape (C,)
    """

    rows: np.ndarray
    margins: np.ndarray
    probabilities: np.ndarray
    class_names: np.ndarray


def choose_to_label(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    probabilities: np.ndarray | None = None,
    *,
    n: int = N_TO_LABEL,
) -> Choice:
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
    probabilities : ndarray of float, shape (N, K), optional
        A model's; they give the margins where fewer than two classes are labelled.
    n : int, default 50
        At most so many.

    Returns
    -------
    Choice
    """
    known = np.flatnonzero(labels != "")
    fresh = np.flatnonzero((labels == "") & ~np.isin(groups, groups[known]))
    said, class_names = _judge(features, labels, known, fresh)
    told = said if len(class_names) else None
    if told is None and probabilities is not None:
        told = probabilities[fresh]
    margins = np.full(len(fresh), np.nan)
    if told is not None:
        best = np.sort(told, axis=1)[:, -2:]
        margins = best[:, -1] - best[:, 0]
    ranked = np.argsort(margins, kind="stable")
    _, first = np.unique(groups[fresh[ranked]], return_index=True)
    candidates = ranked[np.sort(first)][: _CANDIDATES * n]
    chosen = candidates[_spread(features[fresh[candidates]], features[known], n)]
    chosen = chosen[np.argsort(margins[chosen], kind="stable")]
    return Choice(fresh[chosen], margins[chosen], said[chosen], class_names)


def photographs_to_label(
    model: Path,
    photographs: pd.DataFrame,
    *,
    n: int = N_TO_LABEL,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Run a model over a scanned dataset, and choose what to label next; see `choose_to_label`.

    Parameters
    ----------
    model : Path
        Bundle with an ONNX graph.
    photographs : DataFrame
        From `har_core.scan.scanning.scan_dataset`, with ``label`` as people have decided since.
    n : int, default 50
        At most so many.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    DataFrame
        ``filename``, ``suggested`` (the most probable class by what is labelled, else by the model)
        and ``margin``.

    Raises
    ------
    ModelBundleError, DatasetError
        See `har_core.analysis.features.compute_features`.
    """
    features = compute_features(model, photographs, progress=progress)
    usable = photographs[photographs["pixels"].notna()]
    rows = features.rows_of(usable["sha256"].tolist())
    usable, rows = usable[rows >= 0], rows[rows >= 0]
    own = features.probabilities[rows]
    choice = choose_to_label(
        principal_components(features.features[rows]),
        usable["label"].to_numpy(dtype=str),
        group_numbers(usable),
        own,
        n=n,
    )
    said, names = choice.probabilities, choice.class_names
    if not len(names):
        said, names = own[choice.rows], np.array(features.class_names)
    return pd.DataFrame(
        {
            "filename": usable["filename"].to_numpy()[choice.rows],
            "suggested": names[said.argmax(axis=1)] if len(said) else [],
            "margin": choice.margins,
        }
    )


def _judge(
    features: np.ndarray, labels: np.ndarray, known: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a regression on the labelled photographs says of others, and its classes."""
    class_names = np.unique(labels[known])
    if not len(rows) or len(class_names) < 2:
        return np.zeros((len(rows), 0)), class_names[:0]
    regression = fit_regression(features[known], labels[known], _DATA_WEIGHT)
    return regression.predict_proba(features[rows]), regression.classes_


def _spread(points: np.ndarray, centres: np.ndarray, n: int) -> np.ndarray:
    """Take points one after another, each the farthest from all centres and taken ones."""
    from sklearn.metrics import pairwise_distances_argmin_min

    if len(points) <= n:
        return np.arange(len(points))
    if len(centres):
        _, distance = pairwise_distances_argmin_min(points, centres)
    else:
        distance = np.full(len(points), np.inf)  # the first is the most doubtful
    taken: list[int] = []
    while len(taken) < n:
        taken.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[taken[-1]], axis=1))
        distance[taken[-1]] = -1.0  # below that of one that is like it
    return np.array(taken)
