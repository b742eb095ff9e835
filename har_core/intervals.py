"""The interval of a share, as every part of the program that gives one computes it."""

from typing import Final

import numpy as np

LEVEL: Final = 0.95


def wilson_ends(share: float | np.ndarray, n: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of Wilson's score interval of shares, at the level of 95 %.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the
    American Statistical Association 22, 1927.

    Parameters
    ----------
    share : float or ndarray of float
        In [0, 1].
    n : float or ndarray of float
        Independent observations that each is of, more than 0. Near duplicates are none: of these,
        callers give the number of groups, or Kish's effective number, which may be no integer.

    Returns
    -------
    low, high : ndarray of float
        In [0, 1], of the arguments' broadcast shape; the share lies between them.
    """
    from scipy.special import ndtri

    square = ndtri((1 + LEVEL) / 2) ** 2 / n
    middle = share + square / 2
    reach = np.sqrt(square * (share * (1 - share) + square / 4))
    low, high = ((middle + side * reach) / (1 + square) for side in (-1, 1))
    # Rounding alone would take the ends of 0 and 1 off these.
    return np.clip(low, 0, share), np.clip(high, share, 1)
