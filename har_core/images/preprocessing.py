"""From a decoded photograph to the network's input: resize, then scale as the bundle says."""

from typing import Final, Literal, get_args

import numpy as np
from PIL import Image

Preprocessing = Literal["none", "zero_to_one", "minus_one_to_one", "caffe", "torch"]
PREPROCESSINGS: tuple[Preprocessing, ...] = get_args(Preprocessing)

# Of the photographs of ImageNet, RGB; in [0, 255] as Caffe's networks take them, in [0, 1] as
# PyTorch's do (`keras.applications.imagenet_utils.preprocess_input`).
_CAFFE_MEAN: Final = np.array([123.68, 116.779, 103.939], np.float32)
_TORCH_MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)
_TORCH_DEVIATION: Final = np.array([0.229, 0.224, 0.225], np.float32)


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
    pixels : ndarray of uint8 or float, shape (..., 3)
        RGB, values in [0, 255].
    preprocessing : {"none", "zero_to_one", "minus_one_to_one", "caffe", "torch"}
        ``none``: values as they are, for a network that scales them itself (EfficientNet,
        ConvNeXt, MobileNetV3, and where a ``Rescaling`` layer stands in front). ``zero_to_one``:
        ``x / 255``. ``minus_one_to_one``: ``x / 127.5 - 1`` (MobileNet, MobileNetV2, Inception,
        Xception, NASNet, ResNetV2). ``caffe``: BGR less ImageNet's means (ResNet, VGG). ``torch``:
        ``x / 255`` less ImageNet's means, divided by its deviations (DenseNet, PyTorch). As
        ``preprocess_input`` of `keras.applications`.

    Returns
    -------
    ndarray of float32, same shape
        Values in [0, 255], [0, 1], [-1, 1], [-124, 152] or [-2.2, 2.7].

    Raises
    ------
    ValueError
        For any other ``preprocessing``.
    """
    if preprocessing == "minus_one_to_one":  # into one new array: this runs for every photograph
        scaled = np.divide(pixels, np.float32(127.5), dtype=np.float32)
        scaled -= np.float32(1)
        return scaled
    scaled = np.asarray(pixels, dtype=np.float32)
    match preprocessing:
        case "none":
            return scaled
        case "zero_to_one":
            return scaled / np.float32(255)
        case "caffe":
            return np.ascontiguousarray((scaled - _CAFFE_MEAN)[..., ::-1])
        case "torch":
            centred = scaled / np.float32(255) - _TORCH_MEAN
            return centred / _TORCH_DEVIATION
    raise ValueError(f"preprocessing must be one of {PREPROCESSINGS}, not {preprocessing!r}.")
