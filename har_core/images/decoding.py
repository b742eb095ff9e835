"""From bytes to a validated RGB array: formats, limits, orientation, errors."""

import io
import os
import stat
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import numpy as np
from PIL import ExifTags, Image

from har_core.errors import InvalidImageError
from har_core.images.preprocessing import resize_image
from har_core.images.signatures import identify_content

MAX_BYTES: Final = 20 * 2**20
MAX_PIXELS: Final = 50_000_000
# WebP's decoder holds 16 bytes a pixel at its peak, the others 8.
MAX_WEBP_PIXELS: Final = 30_000_000
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
PHOTO_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
_FORMATS_IN_WORDS: Final = "JPEG, PNG, WebP, BMP, TIFF or GIF"

# The picture as it is stored, as a view of the upright one, by EXIF orientation (EXIF 2.32, tag
# 0x0112); 1 and invalid ones are upright already.
_AS_STORED: Final[dict[int, Callable[[np.ndarray], np.ndarray]]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
_TURNED: Final = (5, 6, 7, 8)
# Pixels that are converted at a time: a copy of all 50 million would take 200 MB, of which some
# conversions need three.
_STRIP_PIXELS: Final = 2**20
# Larger ones are decoded one at a time, or a few requests together would take gigabytes.
_LARGE_PIXELS: Final = 16_000_000
_ONE_LARGE: Final = threading.Lock()
# How much larger than the wanted side a JPEG is decoded. The decoder averages squares of pixels,
# which resizing with antialiasing would do as well: for the network's 224 pixels it adds a blur of
# at most a fifth of a pixel (docs/performance.md). 12 megapixels, 4:3 or 16:9, fit 1/8.
_REDUCED_DECODING_MARGIN: Final = 1.4


def decode_image(data: bytes, *, min_side: int | None = None) -> np.ndarray:
    """Decode a photograph.

    Parameters
    ----------
    data : bytes
        The content of a JPEG (also a phone's multi-picture one), PNG, WebP, BMP, TIFF (first
        page) or GIF (first frame) file; what it is called does not matter.
    min_side : int, optional
        What the photograph will be shrunk to. A JPEG much larger than that is decoded at 1/2, 1/4
        or 1/8 of its size, with both sides at least 1.4 times `min_side`: several times faster for
        a 12-megapixel photograph. One less than 2.8 times as large is decoded exactly. Default:
        full size.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB, upright (EXIF orientation applied), transparency on white, 16-bit and float grey
        scaled to 8 bits. C-contiguous and owned by the caller.

    Raises
    ------
    InvalidImageError
        If the bytes are no such image, are cut short or damaged, or exceed `MAX_BYTES` or
        `MAX_PIXELS` (`MAX_WEBP_PIXELS`); the limits are checked before a pixel is decoded.

    Examples
    --------
    >>> decode_image(Path("photo.jpg").read_bytes()).shape  # doctest: +SKIP
    (183, 275, 3)
    """
    return _decode(data, min_side, _to_upright_rgb)


def decode_square(data: bytes, side: int) -> np.ndarray:
    """Decode a photograph and resize it, without keeping the aspect ratio.

    Parameters
    ----------
    data : bytes
        See `decode_image`.
    side : int
        Side of the result in pixels.

    Returns
    -------
    ndarray of uint8, shape (side, side, 3)
        What ``resize_image(decode_image(data, min_side=side), side)`` gives, in less time: an
        ordinary photograph is resized before it is copied out of the decoder.

    Raises
    ------
    InvalidImageError
        See `decode_image`.
    """

    def shrink(image: Image.Image, orientation: int) -> np.ndarray:
        is_upright = orientation not in _AS_STORED
        if is_upright and image.mode == "RGB" and not image.has_transparency_data:
            return resize_image(image, side)
        return resize_image(_to_upright_rgb(image, orientation), side)

    return _decode(data, side, shrink)


def _decode(
    data: bytes, min_side: int | None, convert: Callable[[Image.Image, int], np.ndarray]
) -> np.ndarray:
    """Open, check and load a picture, then convert it, given its EXIF orientation."""
    if len(data) == 0:
        raise InvalidImageError("The file is empty (0 bytes).", "empty")
    if len(data) > MAX_BYTES:
        raise _too_large(len(data))
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_dimensions(image)
            if min_side is not None:
                side = round(min_side * _REDUCED_DECODING_MARGIN)
                # Only JPEG decoders follow it; each side stays at least `side`, turned or not.
                image.draft(None, (side, side))
            with _ONE_LARGE if image.width * image.height > _LARGE_PIXELS else nullcontext():
                image.load()
                return convert(image, _exif_orientation(image))
    except InvalidImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidImageError(
            f"The image has far more than {MAX_PIXELS // 10**6} megapixels (a decompression "
            "bomb?); send a smaller version.",
            "too_many_pixels",
        ) from error
    # Pillow's parsers meet untrusted bytes here and raise whatever their arithmetic ends in:
    # OSError, SyntaxError, ValueError, struct.error, EOFError, IndexError, MemoryError, …
    except Exception as error:
        raise _explain_failure(data, error) from error


def read_image_file(path: str | os.PathLike[str], *, min_side: int | None = None) -> np.ndarray:
    """Read and decode a photograph from a file; see `decode_image`.

    Raises
    ------
    InvalidImageError
        Also if the file does not exist, is no regular file, or cannot be read.
    """
    return decode_image(read_bytes(path), min_side=min_side)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a photograph's file.

    Raises
    ------
    InvalidImageError
        If the file does not exist, is no regular file, is larger than `MAX_BYTES`, or cannot be
        read.
    """
    try:
        status = Path(path).stat()
        # Reading a pipe or a device could wait for ever.
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise InvalidImageError(f"Cannot read {path}: it is {kind}.", "unreadable")
        if status.st_size > MAX_BYTES:
            raise _too_large(status.st_size)
        return Path(path).read_bytes()
    except OSError as error:
        message = f"Cannot read {path}: {error.strerror or error}."
        raise InvalidImageError(message, "unreadable") from error
    except ValueError as error:  # a NUL character in the path
        raise InvalidImageError(f"Cannot read {str(path)!r}: {error}.", "unreadable") from error


def _too_large(n_bytes: int) -> InvalidImageError:
    return InvalidImageError(
        f"The file has {n_bytes / 2**20:.1f} MB; at most {MAX_BYTES // 2**20} MB are read. "
        "Send a smaller version.",
        "too_large",
    )


def _check_dimensions(image: Image.Image) -> None:
    width, height = image.size
    limit = MAX_WEBP_PIXELS if image.format == "WEBP" else MAX_PIXELS
    if width * height > limit:
        of_webp = " of a WebP" if image.format == "WEBP" else ""
        raise InvalidImageError(
            f"The image has {width} × {height} pixels ({width * height / 1e6:.0f} megapixels); "
            f"at most {limit // 10**6} megapixels{of_webp} are decoded. Send a smaller version.",
            "too_many_pixels",
        )


def _exif_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; broken EXIF counts as none."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's EXIF parser fails like its image parsers, see `decode_image`
        return 1
    return orientation if isinstance(orientation, int) else 1


def _to_upright_rgb(image: Image.Image, orientation: int) -> np.ndarray:
    """Convert a loaded picture strip by strip into a new array, uint8 of shape (H, W, 3)."""
    width, height = image.size
    shape = (width, height, 3) if orientation in _TURNED else (height, width, 3)
    upright = np.empty(shape, np.uint8)
    stored = _AS_STORED[orientation](upright) if orientation in _AS_STORED else upright
    is_wide = image.mode.startswith("I") or image.mode == "F"
    grey_range = _grey_range(image) if is_wide else (0.0, 0.0)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height))) if rows < height else image
        if is_wide:
            stored[top : top + rows] = _grey_to_uint8(np.asarray(strip), grey_range)[..., None]
        else:
            stored[top : top + rows] = np.asarray(_to_rgb(strip))
    return upright


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey_range(image: Image.Image) -> tuple[float, float]:
    """Return the values of black and white of a grey picture of more than 8 bits.

    16-bit values span 0 … 65535. Wider types do not say what white is: it is taken to be the
    smallest of 1 (floats only), 255 and 65535 that no value exceeds. With values beyond that, or
    below zero, the range found becomes black to white. NaN and infinity count as 0.
    """
    values = np.asarray(image)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return 0.0, 65535.0
    lowest, highest = float(values.min()), float(values.max())
    if not np.isfinite([lowest, highest]).all():
        finite = values[np.isfinite(values)]
        lowest = float(finite.min(initial=0.0))
        highest = float(finite.max(initial=0.0))
    whites = (1, 255, 65535) if values.dtype.kind == "f" else (255, 65535)
    if lowest >= 0:
        for white in whites:
            if highest <= white:
                return 0.0, float(white)
    return lowest, highest


def _grey_to_uint8(values: np.ndarray, grey_range: tuple[float, float]) -> np.ndarray:
    """Scale grey values, uint16, int32 or float32 of shape (H, W), from black … white to uint8."""
    black, white = grey_range
    grey = values.astype(np.float64)
    np.nan_to_num(grey, copy=False, posinf=0.0, neginf=0.0)
    grey -= black
    grey *= 255 / ((white - black) or 1.0)
    return np.rint(grey, out=grey).astype(np.uint8)


def _explain_failure(data: bytes, error: Exception) -> InvalidImageError:
    """Say why Pillow could not decode `data`: another type, cut short, or damaged."""
    kind = identify_content(data)
    if kind.category == "html":
        return InvalidImageError(
            "The file is a web page (HTML), not an image; the download was probably answered with "
            "an error page. Save the picture itself.",
            "html",
        )
    if kind.category == "image":
        return InvalidImageError(
            f"The file is {kind.description}, which is not read; save it as {_FORMATS_IN_WORDS}.",
            "unsupported_format",
        )
    if kind.category == "readable":
        if "truncated" in str(error).lower() or not _has_its_end(data, kind.description):
            return InvalidImageError(
                f"The {kind.description} file is cut short: its end is missing. Download or copy "
                "it again.",
                "truncated",
            )
        return InvalidImageError(
            f"The {kind.description} file is damaged and cannot be decoded ({error}). Download "
            "or copy it again.",
            "damaged",
        )
    return InvalidImageError(
        f"The file is {kind.description}, not an image; send a {_FORMATS_IN_WORDS}.",
        "not_an_image",
    )


def _has_its_end(data: bytes, image_format: str) -> bool:
    """Tell whether the file is as long as its own structure says (TIFF: does not say)."""
    if image_format == "JPEG":
        return b"\xff\xd9" in data[-1024:]
    if image_format == "PNG":
        return b"IEND" in data[-1024:]
    if image_format == "GIF":
        return data.rstrip(b"\0").endswith(b"\x3b")
    if image_format == "WebP":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    if image_format == "BMP":
        return len(data) >= int.from_bytes(data[2:6], "little")
    return True
