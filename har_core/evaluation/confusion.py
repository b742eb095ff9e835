"""Which classes does the model take for which? Counts, shares, order of classes, worst pairs."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

Share = Literal["count", "row", "column"]


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, n_classes: int) -> np.ndarray:
    """Count photographs by true and predicted class.

    Parameters
    ----------
    labels, predictions : ndarray of int, shape (N,)
        Class indices.
    n_classes : int

    Returns
    -------
    ndarray of int64, shape (C, C)
        Rows are true classes, columns predictions, as in ``sklearn.metrics.confusion_matrix``.
    """
    cells = np.bincount(labels * n_classes + predictions, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes).astype(np.int64)


def confusion_shares(matrix: np.ndarray, share: Share) -> np.ndarray:
    """Divide counts by their row sum (where a class's photographs go) or column sum.

    Parameters
    ----------
    matrix : ndarray of int, shape (C, C)
    share : {"count", "row", "column"}
        ``"count"`` returns the counts.

    Returns
    -------
    ndarray of float64, shape (C, C)
        0 in rows or columns without photographs.
    """
    counts = matrix.astype(np.float64)
    if share == "count":
        return counts
    totals = counts.sum(axis=1 if share == "row" else 0, keepdims=True)
    return np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)


def similarity_order(matrix: np.ndarray) -> np.ndarray:
    """Order classes so that those taken for each other are neighbours.

    Average-linkage clustering on how often two classes are confused (row shares, both directions),
    with the order of leaves that keeps neighbours closest (Bar-Joseph et al. 2001).

    Parameters
    ----------
    matrix : ndarray of int, shape (C, C)

    Returns
    -------
    ndarray of int, shape (C,)
        A permutation of the class indices.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    shares = confusion_shares(matrix, "row")
    distance = 1 - (shares + shares.T) / 2  # of its diagonal nothing is read
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return leaves_list(tree).astype(np.int64)


def most_confused_pairs(
    matrix: np.ndarray, class_names: Sequence[str], limit: int = 10
) -> pd.DataFrame:
    """Rank the mistakes by how many photographs they hold.

    Parameters
    ----------
    matrix : ndarray of int, shape (C, C)
    class_names : sequence of str, length C
    limit : int, default 10

    Returns
    -------
    DataFrame
        ``label``, ``prediction``, ``count`` and ``share`` (of the photographs of that label), the
        most frequent first, then the larger share; only pairs that occur.
    """
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, 0)
    rows, columns = np.nonzero(mistakes)
    names = np.asarray(class_names, dtype=object)
    pairs = pd.DataFrame(
        {
            "label": names[rows],
            "prediction": names[columns],
            "count": mistakes[rows, columns],
            "share": confusion_shares(matrix, "row")[rows, columns],
        }
    )
    ranked = pairs.sort_values(["count", "share"], ascending=False, kind="stable")
    return ranked.head(limit).reset_index(drop=True)
