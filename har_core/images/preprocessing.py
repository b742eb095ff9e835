"""From a decoded photograph to the network's input: resize, then scale as the bundle says."""

from typing import Literal, get_args

import numpy as np
from PIL import Image

Preprocessing = Literal["minus_one_to_one", "zero_to_one"]
PREPROCESSINGS: tuple[str, ...] = get_args(Preprocessing)


def resize_image(image: np.ndarray | Image.Image, size: int) -> np.ndarray:
    """Resize to a square, without keeping the aspect ratio, so that nothing is cropped away.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3), or PIL.Image.Image
        RGB photograph.
    size : int
        Side of the result in pixels.

    Returns
    -------
    ndarray of uint8, shape (size, size, 3)
        Bilinear with antialiasing (the filter's support grows when shrinking).
    """
    if isinstance(image, np.ndarray):
        if image.shape[:2] == (size, size):
            return image
        image = Image.fromarray(image)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def scale_pixels(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Scale pixel values to the range that a network was trained on.

    Parameters
    ----------
    pixels : ndarray of uint8 or float, any shape
        Values in [0, 255].
    preprocessing : {"minus_one_to_one", "zero_to_one"}
        ``x / 127.5 - 1`` (as ``keras.applications.mobilenet_v2.preprocess_input``) or ``x / 255``.

    Returns
    -------
    ndarray of float32, same shape
        Values in [-1, 1] or [0, 1].

    Raises
    ------
    ValueError
        For any other ``preprocessing``.
    """
    scaled = np.asarray(pixels, dtype=np.float32)
    if preprocessing == "minus_one_to_one":
        return scaled / np.float32(127.5) - np.float32(1)
    if preprocessing == "zero_to_one":
        return scaled / np.float32(255)
    raise ValueError(f"preprocessing must be one of {PREPROCESSINGS}, not {preprocessing!r}.")
