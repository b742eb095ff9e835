"""Which photographs of a scan show the same."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd

from har_core.dataset.duplicates import duplicate_groups

# Of some rows, each of other pixels: which pairs of them, by their place among these, resemble each
# other, int64 (P, 2), and how much, float32 (P,).
PairsAmong: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def add_duplicates(photographs: pd.DataFrame, pairs_among: PairsAmong) -> None:
    """Add ``copies``, ``correlation`` and ``duplicate_group``.

    Parameters
    ----------
    photographs : DataFrame
        With ``pixels`` and ``plain`` of `har_core.scan.measurement.Measurement`; see
        `har_core.scan.scanning.scan_dataset` for what is added.
    pairs_among : callable
        Finds near duplicates; see `PairsAmong`.
    """
    comparable = photographs["pixels"].notna() & ~photographs["plain"].eq(1)
    rows = np.flatnonzero(comparable)
    content, unique = pd.factorize(photographs["pixels"].iloc[rows])
    first = rows[np.unique(content, return_index=True)[1]]
    pairs, correlations = pairs_among(first)

    copies = np.ones(len(photographs), np.int64)
    copies[rows] = np.bincount(content, minlength=len(unique))[content]
    best = np.zeros(len(unique))
    for side in (0, 1):
        np.maximum.at(best, pairs[:, side], correlations)
    correlation = np.zeros(len(photographs))
    correlation[rows] = best[content]
    groups = pd.Series(pd.NA, index=photographs.index, dtype="Int64")
    groups.iloc[rows] = duplicate_groups(len(unique), pairs)[content]
    # Numbers only for those that share theirs, from 1 in order of appearance.
    shared = groups.notna() & groups.duplicated(keep=False)
    photographs["copies"] = copies
    photographs["correlation"] = correlation
    photographs["duplicate_group"] = pd.array([pd.NA] * len(photographs), dtype="Int64")
    photographs.loc[shared, "duplicate_group"] = pd.factorize(groups[shared])[0] + 1
