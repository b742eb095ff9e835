"""Which values the 256 levels of each tensor cover: those with the least squared error."""

from typing import Any, Final

import numpy as np

from har_core.training.quantization.folding import fold_normalisation
from har_core.training.quantization.twin import LARGEST_CODE, quantised_twin, quantisers

_SHRINKAGES: Final = np.linspace(0.3, 1, 36)
_SAMPLE: Final = 40_000
_BATCH: Final = 16


def observer(network: Any) -> Any:
    """Return a network that gives what `calibrate` looks at: every tensor that will be rounded.

    Parameters
    ----------
    network : keras.Model
        From `har_core.training.network.build_network`; later weights come in with
        `folding.load_folded_weights`.

    Returns
    -------
    keras.Model
        Its last output is `network`'s.
    """
    import keras

    folded = fold_normalisation(network)
    names = [layer.name for layer in quantisers(quantised_twin(network))]
    outputs = [folded.get_layer(name).output for name in names]
    return keras.Model(folded.input, [*outputs, folded.output])


def calibrate(twin: Any, observed: Any, pixels: np.ndarray) -> None:
    """Set the ranges of a twin to what its network computes for some photographs.

    Parameters
    ----------
    twin : keras.Model
        From `har_core.training.quantization.twin.quantised_twin`.
    observed : keras.Model
        From `observer`.
    pixels : ndarray of float32, shape (N, S, S, 3)
        In [-1, 1]; a hundred training photographs or so.
    """
    layers = quantisers(twin)
    rng = np.random.default_rng(0)
    values: list[list[np.ndarray]] = [[] for _ in layers]
    n_batches = -(-len(pixels) // _BATCH)
    for start in range(0, len(pixels), _BATCH):
        *outputs, _ = observed.predict_on_batch(pixels[start : start + _BATCH])
        for collected, output in zip(values, outputs, strict=True):
            flat = np.asarray(output).ravel()
            collected.append(flat[rng.integers(len(flat), size=_SAMPLE // n_batches)])
            collected.append(np.array([flat.min(), flat.max()]))
    for layer, collected in zip(layers, values, strict=True):
        layer.set_weights(list(best_range(np.concatenate(collected))))


def best_range(values: np.ndarray) -> tuple[np.float32, np.float32]:
    """Return scale and zero point of the 256 levels with the least squared error.

    Parameters
    ----------
    values : ndarray of float32
        What a tensor holds.

    Returns
    -------
    scale, zero_point : float32
        The zero point is a whole number in [0, 255]: 0 is always among the levels.
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    best = (np.inf, np.float32(1), np.float32(0))
    for shrinkage in _SHRINKAGES:
        scale = np.float32(max(shrinkage * (high - low) / LARGEST_CODE, 1e-9))
        zero = np.float32(np.clip(np.round(-shrinkage * low / scale), 0, LARGEST_CODE))
        codes = np.clip(np.round(values / scale), -zero, LARGEST_CODE - zero)
        error = float(np.mean((codes * scale - values) ** 2))
        if error < best[0]:
            best = (error, scale, zero)
    return best[1], best[2]
