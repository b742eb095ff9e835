"""Whether a network scales the pixels itself: what reaches its first layer with weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from har_core.images.preprocessing import Preprocessing

# A first layer that learned from scaled pixels sees black and white this far apart at most:
# 1 and 2 by the usual scalings, 4.7 by ImageNet's deviations.
_MOST_CONTRAST: Final = 16.0
_WHITE: Final = 255.0


@dataclass(frozen=True)
class InnerScaling:
    """What a network does to pixels before anything that it learned.

    Parameters
    ----------
    layers : tuple of str
        The layers or operations that do it.
    black, white : float
        What they make of 0 and of 255, averaged over the channels.
    """

    layers: tuple[str, ...]
    black: float
    white: float

    @property
    def expects(self) -> Preprocessing | None:
        """Return ``"none"`` if pixels must go in as they are, None if that cannot be told."""
        contrast = abs(self.white - self.black)
        shifted_only = abs(contrast - _WHITE) < 1  # as for Caffe's networks
        return "none" if 0 < contrast <= _MOST_CONTRAST or shifted_only else None

    def __str__(self) -> str:
        """Say it as part of a sentence."""
        return f"{', '.join(self.layers)}: black becomes {self.black:.3g}, white {self.white:.3g}"


def find_inner_scaling(network: Any, side: int) -> InnerScaling | None:
    """Tell what a Keras network does to pixels before its first layer with weights.

    It is measured, on a picture that is half black and half white, so that `Rescaling`,
    `Normalization` and arithmetic on tensors, in whatever nesting, are all found.

    Parameters
    ----------
    network : keras.Model
        Takes square RGB pictures.
    side : int
        Their side in pixels.

    Returns
    -------
    InnerScaling or None
        None if pixels reach the first layer with weights as they are.
    """
    layers: list[str] = []
    return measure(lambda pixels: _before_weights(network, pixels, layers), side, layers)


def measure(
    stem: Callable[[np.ndarray], np.ndarray], side: int, layers: list[str]
) -> InnerScaling | None:
    """Try a network's stem on a picture that is half black and half white.

    Parameters
    ----------
    stem : callable
        From float32 pixels (1, S, S, 3) to what the first layer with weights takes.
    side : int
        S.
    layers : list of str
        What the stem consists of; may be filled while it runs.

    Returns
    -------
    InnerScaling or None
        None also if what comes out is no picture of three channels.
    """
    picture = np.zeros((1, side, side, 3), np.float32)
    picture[:, :, side // 2 :] = _WHITE
    seen = np.asarray(stem(picture), dtype=np.float64)
    if seen.ndim != 4:
        return None
    if seen.shape[-1] != 3 and seen.shape[1] == 3:
        seen = np.moveaxis(seen, 1, -1)
    if seen.shape[-1] != 3:
        return None
    # Away from the edges, where padding may have been put.
    _, height, width, _ = seen.shape
    black, white = seen[0, height // 2, width // 4], seen[0, height // 2, (3 * width) // 4]
    if np.allclose(black, 0, atol=1e-3) and np.allclose(white, _WHITE, atol=1e-3):
        return None
    return InnerScaling(tuple(layers), float(black.mean()), float(white.mean()))


def _before_weights(network: Any, pixels: Any, passed: list[str]) -> Any:
    """Return what reaches the first layer with weights; `passed` collects the layers before it."""
    import keras

    if isinstance(network, keras.Sequential):
        for layer in network.layers:
            if _has_learned(layer):
                inside = isinstance(layer, keras.Model)
                return _before_weights(layer, pixels, passed) if inside else pixels
            pixels = layer(pixels, training=False)
            _note(layer, passed)
        return pixels
    operations = [o for o in network.operations if not isinstance(o, keras.layers.InputLayer)]
    for position, operation in enumerate(operations):
        if not _has_learned(operation):
            continue
        # Not `operation.input`: of a model inside, that is its own.
        here = [node for nodes in network._nodes_by_depth.values() for node in nodes]
        node = next(node for node in operation._inbound_nodes if any(node is n for n in here))
        before = keras.Model(network.inputs[0], node.input_tensors[0])
        for passed_operation in operations[:position]:
            _note(passed_operation, passed)
        pixels = before(pixels, training=False)
        inside = isinstance(operation, keras.Model)
        return _before_weights(operation, pixels, passed) if inside else pixels
    return pixels


def _has_learned(operation: Any) -> bool:
    """Tell whether there are weights in it; a model inside may only vary or scale pictures."""
    import keras

    if isinstance(operation, keras.Model):
        return any(map(_has_learned, operation.layers))
    return bool(getattr(operation, "weights", ())) and not isinstance(
        operation, keras.layers.Normalization
    )


def _note(operation: Any, passed: list[str]) -> None:
    import keras

    if isinstance(operation, keras.Model):
        for inner in operation.layers:
            _note(inner, passed)
        return
    kind = type(operation).__name__
    if not kind.startswith(("Random", "ZeroPadding", "InputLayer")):
        passed.append(kind)
