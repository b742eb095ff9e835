"""Running a network, or a part of it, over photographs as a prediction would see them."""

from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.evaluation.calibration import fit_temperature, negative_log_likelihood
from har_core.images.decoding import read_square
from har_core.images.preprocessing import scale_pixels
from har_core.model.temperature import apply_temperature
from har_core.progress import Progress, silent
from har_core.training.network import INPUT_SIZE, PREPROCESSING

_BATCH: Final = 64


def decode_photographs(
    paths: pd.Series, what: str = "Reading photographs", progress: Progress = silent
) -> np.ndarray:
    """Decode photographs exactly as a prediction does; uint8 (N, 224, 224, 3)."""
    pixels = np.empty((len(paths), INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
    for i, path in enumerate(paths):
        pixels[i] = read_square(path, INPUT_SIZE)
        progress(what, i + 1, len(paths))
    return pixels


def run_in_batches(
    model: Any,
    inputs: np.ndarray,
    *,
    scaled: bool = True,
    what: str = "",
    progress: Progress = silent,
) -> np.ndarray:
    """Run a model in inference mode; float32.

    Parameters
    ----------
    model : keras.Model
    inputs : ndarray, shape (N, ...)
    scaled : bool
        False for pixels in [0, 255].
    what, progress : str and callable, optional
        What is being done, and what is called with that, done and total.
    """
    outputs = np.empty((len(inputs), *model.output_shape[1:]), np.float32)
    for start in range(0, len(inputs), _BATCH):
        batch = inputs[start : start + _BATCH]
        # Calling the model directly would keep every layer's output of the batch in memory.
        outputs[start : start + len(batch)] = model.predict_on_batch(
            batch if scaled else scale_pixels(batch, PREPROCESSING)
        )
        progress(what, start + len(batch), len(inputs))
    return outputs


def validation_quality(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the log's validation columns; *calibrated* is at the temperature that suits best."""
    temperature = fit_temperature(labels, probabilities, negative_log_likelihood)
    calibrated = apply_temperature(probabilities, temperature)
    return {
        "validation_top1": float((probabilities.argmax(axis=1) == labels).mean()),
        "validation_log_loss": float(negative_log_likelihood(labels, probabilities).mean()),
        "validation_calibrated_log_loss": float(negative_log_likelihood(labels, calibrated).mean()),
    }
