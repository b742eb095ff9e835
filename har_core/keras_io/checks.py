"""What a network from elsewhere must be like: its file's name, and square RGB pictures in."""

from pathlib import Path
from typing import Any, Final, TypeGuard

import numpy as np

from har_core.errors import ModelBundleError

KERAS_SUFFIXES: Final = (".keras", ".h5", ".hdf5")
LARGEST_SIDE: Final = 4096  # of the pictures that a network takes, in pixels


def input_side(network: Any, source: str | Path) -> int:
    """Return the side of the pictures that a Keras network takes, in pixels.

    Raises
    ------
    ModelBundleError
        If they are not square RGB pictures of a fixed size, or the output is not one row per
        picture.
    """
    shape = network.input_shape
    is_square = len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2]
    if not is_square or not is_possible_side(shape[1]):
        raise ModelBundleError(
            f"{source} takes inputs of shape {shape}; only square RGB pictures, (None, S, S, 3), "
            f"S at most {LARGEST_SIDE}, are supported."
        )
    if len(network.output_shape) != 2 or network.output_shape[1] is None:
        raise ModelBundleError(
            f"{source} has outputs of shape {network.output_shape}; only (None, classes) is "
            "supported."
        )
    return int(shape[1])


def is_possible_side(side: int | None) -> TypeGuard[int]:
    """Tell whether pictures can have sides of so many pixels; None is any number."""
    return side is not None and 0 < side <= LARGEST_SIDE


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
