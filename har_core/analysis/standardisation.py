"""Standardising feature vectors, so that features which hardly ever occur do not decide alone."""

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

# Of the median deviation of the features that vary. Among few photographs some features hardly ever
# occur; another photograph that has one would be thousands of deviations off: 44 photographs of
# four new actions, on 16 others: top-1 81 % and log loss 1.99 without this, 100 % and 0.07 with it.
_LEAST_SCALE: Final = 0.1
# Of the largest deviation: what varies less is constant but for rounding.
_VARIES: Final = 1e-6


def fit_scaler(features: np.ndarray) -> "StandardScaler":
    """Fit what shifts features to mean 0 and scales them to deviation 1, tiny ones to less.

    Parameters
    ----------
    features : ndarray of float32, shape (N, D)

    Returns
    -------
    sklearn.preprocessing.StandardScaler
        Fitted; a feature is divided by its deviation, or by a tenth of the median deviation of
        all that vary if that is more.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    deviations = np.sqrt(scaler.var_)
    varying = deviations[deviations > _VARIES * deviations.max()]
    if len(varying):
        scaler.scale_ = np.maximum(deviations, _LEAST_SCALE * np.median(varying))
    return scaler
