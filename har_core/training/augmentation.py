"""Random changes to training photographs: crop, flip, colour, erasing, mixup; whole batches."""

import math
from dataclasses import dataclass
from typing import Any


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


def augment_batch(
    pixels: Any, targets: Any, seed: Any, size: int, settings: AugmentationSettings
) -> tuple[Any, Any]:
    """Augment a batch; the same seed gives the same result.

    Parameters
    ----------
    pixels : tensor of uint8, shape (N, H, W, 3)
        RGB photographs.
    targets : tensor of float32, shape (N, C)
        Class probabilities, e.g. one-hot.
    seed : tensor of int32, shape (2,)
        Changes with every batch.
    size : int
        Side of the result.
    settings : AugmentationSettings
        Strengths.

    Returns
    -------
    pixels : tensor of float32, shape (N, size, size, 3)
        Values in [0, 255].
    targets : tensor of float32, shape (N, C)
        Mixed where the pixels were.
    """
    import tensorflow as tf

    seeds = iter(tf.unstack(tf.random.split(seed, 16)))
    n = tf.shape(pixels)[0]

    def uniform(low: float, high: float, shape: tuple[int, ...] = ()) -> Any:
        return tf.random.stateless_uniform((n, *shape), next(seeds), low, high)

    boxes = _random_boxes(uniform, settings)
    images = tf.image.crop_and_resize(
        tf.cast(pixels, tf.float32), boxes, tf.range(n), (size, size), method="bilinear"
    )
    images = _jitter_colour(images, uniform, settings)
    images = _erase_rectangles(images, uniform, settings, size)
    if settings.mixup > 0:
        gamma = [tf.random.stateless_gamma((n,), next(seeds), settings.mixup) for _ in range(2)]
        weight = gamma[0] / (gamma[0] + gamma[1] + 1e-12)
        # The larger part stays first, so that a pair is not drawn twice.
        weight = tf.maximum(weight, 1 - weight)
        images = _blend(images, tf.reverse(images, [0]), weight[:, None, None, None])
        targets = _blend(targets, tf.reverse(targets, [0]), weight[:, None])
    return images, targets


def _blend(first: Any, second: Any, weight: Any) -> Any:
    return weight * first + (1 - weight) * second


def _random_boxes(uniform: Any, settings: AugmentationSettings) -> Any:
    import tensorflow as tf

    limit = math.log(settings.max_aspect_change)
    area = uniform(settings.min_crop_area, 1.0)
    aspect = tf.exp(uniform(-1.0, 1.0) * limit)
    height = tf.minimum(tf.sqrt(area / aspect), 1.0)
    width = tf.minimum(tf.sqrt(area * aspect), 1.0)
    top = uniform(0.0, 1.0) * (1 - height)
    left = uniform(0.0, 1.0) * (1 - width)
    # A box whose left and right are swapped makes crop_and_resize mirror.
    mirrored = uniform(0.0, 1.0) < 0.5
    first = tf.where(mirrored, left + width, left)
    second = tf.where(mirrored, left, left + width)
    return tf.stack([top, first, top + height, second], axis=1)


def _jitter_colour(images: Any, uniform: Any, settings: AugmentationSettings) -> Any:
    import tensorflow as tf

    c = settings.colour
    images = images * uniform(1 - c, 1 + c, (1, 1, 1))
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    images = _blend(images, mean, uniform(1 - c, 1 + c, (1, 1, 1)))
    grey = tf.image.rgb_to_grayscale(images)
    saturation = uniform(1 - c, 1 + c, (1, 1, 1))
    colourless = uniform(0.0, 1.0, (1, 1, 1)) < settings.greyscale
    images = _blend(images, grey, tf.where(colourless, 0.0, saturation))
    return tf.clip_by_value(images, 0.0, 255.0)


def _erase_rectangles(images: Any, uniform: Any, settings: AugmentationSettings, size: int) -> Any:
    import tensorflow as tf

    area = uniform(0.02, 0.25)
    aspect = tf.exp(uniform(-1.0, 1.0))
    height, width = tf.sqrt(area / aspect), tf.sqrt(area * aspect)
    top, left = uniform(0.0, 1.0) * (1 - height), uniform(0.0, 1.0) * (1 - width)
    centres = (tf.range(size, dtype=tf.float32) + 0.5) / size
    rows = (centres >= top[:, None]) & (centres < (top + height)[:, None])
    columns = (centres >= left[:, None]) & (centres < (left + width)[:, None])
    chosen = (uniform(0.0, 1.0) < settings.erasing)[:, None, None]
    mask = rows[:, :, None] & columns[:, None, :] & chosen
    return tf.where(mask[..., None], 127.5, images)
