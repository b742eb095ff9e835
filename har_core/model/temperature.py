"""Temperature scaling of probabilities."""

import numpy as np


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits behind softmax probabilities by a temperature.

    Softmax is invariant to a constant, so ``log(p)`` serves as the logits (Guo et al. 2017,
    "On Calibration of Modern Neural Networks", arXiv:1706.04599). The ranking never changes.

    Parameters
    ----------
    probabilities : ndarray of float, shape (N, C)
        Rows of a softmax.
    temperature : float
        Positive; 1 only renormalises.

    Returns
    -------
    ndarray of float64, shape (N, C)
        Rows sum to 1.
    """
    scaled = np.asarray(probabilities, dtype=np.float64)
    if temperature != 1.0:  # exp(log(p) / T), without logarithms of 0
        scaled = (scaled / scaled.max(axis=-1, keepdims=True)) ** (1 / temperature)
    return scaled / scaled.sum(axis=-1, keepdims=True)
