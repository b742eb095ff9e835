"""Which photographs regressions learn from, and which they judge then."""

from typing import Final

import numpy as np
import pandas as pd

_SEED: Final = 20240607


def deal_folds(labels: np.ndarray, groups: np.ndarray, n_folds: int) -> np.ndarray:
    """Deal photographs to folds, near duplicates to the same, each class as evenly as can be.

    The largest groups first, in drawn order among equals, each to the fold that has the fewest of
    its label, then the fewest of all (Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM
    Journal on Applied Mathematics 17(2), 1969). scikit-learn's ``StratifiedGroupKFold`` weighs all
    classes at each step, which took a quarter of the time of a cross-validation.

    Parameters
    ----------
    labels : ndarray of str, shape (N,)
    groups : ndarray of int, shape (N,)
        Near-duplicate group of each; of one with several labels the rarest decides: the others have
        more groups to be dealt.
    n_folds : int
        At most as many as groups; then no fold is empty.

    Returns
    -------
    ndarray of int64, shape (N,)
        In [0, `n_folds`); the same for the same photographs.
    """
    together = pd.DataFrame({"group": groups, "code": np.unique(labels, return_inverse=True)[1]})
    parts = together.groupby(["group", "code"]).size().reset_index(name="photographs")
    parts["whole"] = parts.groupby("group")["photographs"].transform("sum")
    parts["n_groups"] = parts.groupby("code")["group"].transform("size")
    parts = parts.sample(frac=1, random_state=_SEED)
    parts = parts.sort_values(["whole", "n_groups"], ascending=[False, True], kind="stable")
    of_class = [[0] * n_folds for _ in range(together["code"].max() + 1)]
    of_all = [0] * n_folds
    fold_of: dict[int, int] = {}
    for group, code, photographs, *_ in parts.itertuples(index=False):
        same = of_class[code]
        if group not in fold_of:
            evenest = min(zip(same, of_all, range(n_folds), strict=True))
            fold_of[group] = evenest[2]
        same[fold_of[group]] += photographs
        of_all[fold_of[group]] += photographs
    return together["group"].map(fold_of).to_numpy(np.int64)


def draw_to_learn(labels: np.ndarray, most: int, least: int) -> np.ndarray:
    """Draw which photographs regressions learn from, of so many that all would take minutes.

    Parameters
    ----------
    labels : ndarray, shape (N,)
        Of each, anything that can be compared.
    most : int
        How many; up to so many are all taken.
    least : int
        Of each class, even if that makes them more.

    Returns
    -------
    ndarray of int64
        Ascending places in [0, N).
    """
    n = len(labels)
    if n <= most:
        return np.arange(n)
    order = np.random.default_rng(_SEED).permutation(n)
    rank = pd.Series(labels[order]).groupby(labels[order]).cumcount().to_numpy()
    return np.sort(order[(np.arange(n) < most) | (rank < least)])
