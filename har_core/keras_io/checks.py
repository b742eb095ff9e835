"""What a network from elsewhere must be like: square RGB pictures in, probabilities out."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError

_SUM_TOLERANCE: Final = 1e-3


def input_side(network: Any, source: str | Path) -> int:
    """Return the side of the pictures that a Keras network takes, in pixels.

    Raises
    ------
    ModelBundleError
        If they are not square RGB pictures of a fixed size, or the output is not one row per
        picture.
    """
    shape = network.input_shape
    if len(shape) != 4 or shape[3] != 3 or shape[1] is None or shape[1] != shape[2]:
        raise ModelBundleError(
            f"{source} takes inputs of shape {shape}; only square RGB pictures, (None, S, S, 3), "
            "are supported."
        )
    if len(network.output_shape) != 2 or network.output_shape[1] is None:
        raise ModelBundleError(
            f"{source} has outputs of shape {network.output_shape}; only (None, classes) is "
            "supported."
        )
    return int(shape[1])


def probe_pictures(size: int) -> np.ndarray:
    """Draw pictures to try a network on: colour gradients of every contrast.

    Returns
    -------
    ndarray of uint8, shape (8, size, size, 3)
    """
    rng = np.random.default_rng(0)
    ramp = np.linspace(-1, 1, size)
    across, down = rng.uniform(-90, 90, (2, 8, 1, 1, 3))
    gradients = across * ramp[:, np.newaxis] + down * ramp[:, np.newaxis, np.newaxis]
    noise = rng.normal(0, 1, (8, size, size, 3)) * np.linspace(0, 60, 8)[:, None, None, None]
    return np.clip(rng.uniform(40, 215, (8, 1, 1, 3)) + gradients + noise, 0, 255).astype(np.uint8)


def check_probabilities(outputs: np.ndarray, source: str | Path) -> None:
    """Refuse outputs that are no softmax probabilities.

    Parameters
    ----------
    outputs : ndarray of float, shape (N, C)
        Of the network on any pictures.
    source : str or Path
        What to call the network.

    Raises
    ------
    ModelBundleError
        With advice on how to mend the network.
    """
    if not np.isfinite(outputs).all():
        raise ModelBundleError(f"{source} gives NaN or infinite outputs; its weights are broken.")
    sums = outputs.sum(axis=1)
    if outputs.min() >= 0 and np.abs(sums - 1).max() <= _SUM_TOLERANCE:
        return
    if outputs.min() >= 0 and outputs.max() <= 1:
        advice = (
            "they look like independent probabilities (sigmoid); only one class per photograph is "
            "supported, so the last layer must be a softmax"
        )
    else:
        advice = "they look like logits; append a softmax layer and save it again"
    raise ModelBundleError(
        f"The outputs of {source} are no probabilities: they lie in [{outputs.min():.3g}, "
        f"{outputs.max():.3g}] and sum to {sums.min():.3g} … {sums.max():.3g} instead of 1; "
        f"{advice}."
    )
