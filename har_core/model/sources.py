"""What callers hand in as photographs, and what is said of anything else."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from har_core.errors import InvalidImageError
from har_core.images.decoding import read_bytes

ImageSource = bytes | bytearray | memoryview | str | os.PathLike[str] | np.ndarray


def content_of(source: ImageSource) -> bytes:
    """Return the bytes of a photograph's file.

    Parameters
    ----------
    source : bytes or path
        The content itself, or where it is.

    Raises
    ------
    InvalidImageError
        If the file cannot be read.
    TypeError
        If it is neither.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return read_bytes(source)
    hint = ""
    if hasattr(source, "convert"):  # a picture of Pillow's
        hint = "; numpy.asarray(image.convert('RGB')) is such an array"
    elif hasattr(source, "read"):
        hint = "; hand in what its read() returns"
    raise TypeError(
        "A photograph is its file's bytes, a path, or a uint8 array of shape (H, W, 3), not "
        f"{type(source).__name__!r}{hint}."
    )


def checked_array(image: np.ndarray) -> np.ndarray:
    """Return an array that is a picture as it is.

    Raises
    ------
    InvalidImageError
        If it is none.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InvalidImageError(
            f"An array must be uint8 RGB with shape (H, W, 3), not {image.dtype} {image.shape}."
        )
    return image


def listed(sources: Iterable[ImageSource]) -> list[ImageSource]:
    """Return several photographs as a list.

    Raises
    ------
    TypeError
        If it is a single one, whose characters, bytes or rows would count as photographs.
    """
    single = isinstance(sources, str | bytes | bytearray | memoryview | os.PathLike)
    if single or (isinstance(sources, np.ndarray) and sources.ndim == 3):
        raise TypeError("predict_batch takes a list of photographs; for a single one use predict.")
    return list(sources)


def checked_pixels(pixels: Any, side: int) -> np.ndarray:
    """Return prepared photographs as they are.

    ONNX Runtime would end the process at a batch without any.

    Raises
    ------
    ValueError
        If they are not uint8 of shape (N, side, side, 3), with N of at least 1.
    """
    array = np.asarray(pixels)
    if array.dtype != np.uint8 or array.shape[1:] != (side, side, 3) or not len(array):
        raise ValueError(
            f"Prepared photographs are uint8 with shape (N, {side}, {side}, 3) and N of at least "
            f"1, not {array.dtype} {array.shape}."
        )
    return array
