"""Random changes to training photographs: crop, flip, colour, erasing, mixup; whole batches.

What is drawn and what is done are apart: NumPy draws a row of numbers for each photograph, the
same on every machine, and one pure function of pixels and numbers applies them, on whichever
backend and device Keras runs. So a photograph's view can be drawn again at another size, for a
teacher or a student.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

_COLUMNS: Final = (
    "top",
    "left",
    "height",
    "width",
    "mirrored",
    "brightness",
    "contrast",
    "saturation",
    "erased_top",
    "erased_left",
    "erased_height",
    "erased_width",
    "weight",
)
# The whole photograph as it is.
_UNCHANGED: Final = (0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1)
_GREY: Final = 127.5
# Rec. 601 luma, as in a conversion to greyscale.
_LUMA: Final = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class AugmentationSettings:
    """How strongly training photographs are changed.

    Parameters
    ----------
    min_crop_area : float
        Least share of the picture that a random crop keeps, in (0, 1].
    max_aspect_change : float
        A crop's aspect ratio varies between ``1 / max_aspect_change`` and ``max_aspect_change``.
    colour : float
        Brightness, contrast and saturation are each scaled by a factor in [1 - c, 1 + c].
    greyscale : float
        Probability of dropping the colour.
    erasing : float
        Probability of greying out a rectangle of 2–25 % of the area (random erasing, Zhong et
        al. 2017, arXiv:1708.04896).
    mixup : float
        Parameter of the Beta distribution that mixup (Zhang et al. 2017, arXiv:1710.09412) draws
        its weights from; 0 turns it off.
    """

    min_crop_area: float = 0.35
    max_aspect_change: float = 4 / 3
    colour: float = 0.3
    greyscale: float = 0.05
    erasing: float = 0.25
    mixup: float = 0.2


def draw_augmentations(
    rng: np.random.Generator, n: int, settings: AugmentationSettings
) -> np.ndarray:
    """Draw what will be done to each photograph of a batch.

    Parameters
    ----------
    rng : numpy.random.Generator
        A generator of the same seed draws the same.
    n : int
        Photographs in the batch.
    settings : AugmentationSettings
        Strengths.

    Returns
    -------
    ndarray of float32, shape (n, 13)
        For `augment`: a crop's box in shares of the picture, whether it is mirrored, colour
        factors, the erased rectangle in shares of the crop, and the photograph's weight in [0.5,
        1] in its mixture with the one as far from the batch's other end.
    """
    drawn = dict(zip(_COLUMNS, unchanged(n).T, strict=True))
    area = rng.uniform(settings.min_crop_area, 1, n)
    aspect = np.exp(rng.uniform(-1, 1, n) * math.log(settings.max_aspect_change))
    drawn["height"] = np.minimum(np.sqrt(area / aspect), 1)
    drawn["width"] = np.minimum(np.sqrt(area * aspect), 1)
    drawn["top"] = rng.uniform(0, 1, n) * (1 - drawn["height"])
    drawn["left"] = rng.uniform(0, 1, n) * (1 - drawn["width"])
    drawn["mirrored"] = rng.uniform(0, 1, n) < 0.5
    for factor in ("brightness", "contrast", "saturation"):
        drawn[factor] = rng.uniform(1 - settings.colour, 1 + settings.colour, n)
    drawn["saturation"] = np.where(
        rng.uniform(0, 1, n) < settings.greyscale, 0, drawn["saturation"]
    )
    area = rng.uniform(0.02, 0.25, n) * (rng.uniform(0, 1, n) < settings.erasing)
    aspect = np.exp(rng.uniform(-1, 1, n))
    drawn["erased_height"] = np.minimum(np.sqrt(area / aspect), 1)
    drawn["erased_width"] = np.minimum(np.sqrt(area * aspect), 1)
    drawn["erased_top"] = rng.uniform(0, 1, n) * (1 - drawn["erased_height"])
    drawn["erased_left"] = rng.uniform(0, 1, n) * (1 - drawn["erased_width"])
    if settings.mixup > 0:
        weight = rng.beta(settings.mixup, settings.mixup, n)
        # The larger part stays first, so that a pair is not drawn twice.
        drawn["weight"] = np.maximum(weight, 1 - weight)
    return np.stack([drawn[column] for column in _COLUMNS], axis=1).astype(np.float32)


def unchanged(n: int) -> np.ndarray:
    """Return the rows, float32 (n, 13), that leave photographs whole and as they are."""
    return np.tile(np.array(_UNCHANGED, np.float32), (n, 1))


def mix_targets(targets: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Mix a batch's targets, float32 (N, C), as `augment` mixes its pixels."""
    weight = draws[:, _COLUMNS.index("weight"), np.newaxis]
    return weight * targets + (1 - weight) * targets[::-1]


def augment(pixels: Any, draws: Any, size: int, *, dtype: str = "float32") -> Any:
    """Do to a batch what was drawn for it.

    Parameters
    ----------
    pixels : tensor of uint8, shape (N, S, S, 3)
        RGB photographs.
    draws : tensor of float32, shape (N, 13)
        From `draw_augmentations`.
    size : int
        Side of the result.
    dtype : {"float32", "bfloat16"}
        What the resampling is computed in.

    Returns
    -------
    tensor of float32, shape (N, size, size, 3)
        Values in [0, 255].
    """
    from keras import ops

    one = {name: draws[:, i] for i, name in enumerate(_COLUMNS)}
    images = _crop(pixels, one, size, dtype)
    factor = {name: one[name][:, None, None, None] for name in _COLUMNS}
    images = images * factor["brightness"]
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    images = factor["contrast"] * images + (1 - factor["contrast"]) * mean
    grey = ops.sum(images * ops.convert_to_tensor(_LUMA, "float32"), axis=-1, keepdims=True)
    images = factor["saturation"] * images + (1 - factor["saturation"]) * grey
    images = ops.clip(images, 0.0, 255.0)
    images = _erase(images, one, size)
    return factor["weight"] * images + (1 - factor["weight"]) * ops.flip(images, axis=0)


def prepare_pixels(pixels: Any, draws: Any, size: int, *, dtype: str = "float32") -> Any:
    """Return what `augment` does, scaled to [-1, 1]."""
    return augment(pixels, draws, size, dtype=dtype) / 127.5 - 1


def _crop(pixels: Any, one: dict[str, Any], size: int, dtype: str) -> Any:
    """Cut out, mirror and resize: two matrix products, which every backend does fast."""
    from keras import ops

    side = pixels.shape[1]
    images = ops.cast(pixels, dtype)
    rows = _resampling_weights(one["top"], one["height"], 0 * one["top"], size, side)
    columns = _resampling_weights(one["left"], one["width"], one["mirrored"], size, side)
    images = ops.einsum("nih,nhwc->niwc", ops.cast(rows, dtype), images)
    images = ops.einsum("njw,niwc->nijc", ops.cast(columns, dtype), images)
    return ops.cast(images, "float32")


def _resampling_weights(start: Any, length: Any, mirrored: Any, size: int, side: int) -> Any:
    """Return the share, (N, size, side), of each source row in each row of the result.

    Bilinear with a support that grows when shrinking, like `preprocessing.resize_image`.
    """
    from keras import ops

    steps = (ops.arange(size, dtype="float32") + 0.5) / size
    steps = mirrored[:, None] * (1 - steps) + (1 - mirrored[:, None]) * steps
    centres = (start[:, None] + steps * length[:, None]) * side
    support = ops.maximum(length * (side / size), 1.0)[:, None, None]
    distance = ops.abs(ops.arange(side, dtype="float32") + 0.5 - centres[:, :, None])
    weights = ops.relu(1 - distance / support)
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def _erase(images: Any, one: dict[str, Any], size: int) -> Any:
    from keras import ops

    centres = (ops.arange(size, dtype="float32") + 0.5) / size

    def inside(start: Any, length: Any) -> Any:
        after_start = centres >= start[:, None]
        return ops.logical_and(after_start, centres < (start + length)[:, None])

    rows = inside(one["erased_top"], one["erased_height"])
    columns = inside(one["erased_left"], one["erased_width"])
    mask = ops.logical_and(rows[:, :, None], columns[:, None, :])
    return ops.where(mask[..., None], _GREY, images)
