"""From any of Pillow's modes to upright RGB pixels in sRGB."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from PIL import Image

from har_core.images.colour import colour_transform

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


def is_plain_rgb(image: Image.Image, orientation: int) -> bool:
    """Tell whether a picture is upright RGB as it is, but for its colour profile."""
    return orientation not in _AS_STORED and image.mode == "RGB" and not image.has_transparency_data


def share_without_number(image: Image.Image) -> float:
    """Return the share, in [0, 1], of a picture's pixels that are NaN or infinite."""
    if image.mode != "F":
        return 0.0
    finite = sum(np.count_nonzero(np.isfinite(np.asarray(strip))) for _, strip in _strips(image))
    return 1 - finite / (image.width * image.height)


def to_upright_rgb(image: Image.Image, orientation: int, profile: bytes | None) -> np.ndarray:
    """Convert a loaded picture strip by strip into a new array.

    Parameters
    ----------
    image : PIL image
        In any mode, loaded.
    orientation : int
        Of its EXIF data; invalid ones count as upright.
    profile : bytes or None
        Its ICC profile, see `har_core.images.colour.colour_transform`.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        C-contiguous, transparency on white.
    """
    width, height = image.size
    shape = (width, height, 3) if orientation in _TURNED else (height, width, 3)
    upright = np.empty(shape, np.uint8)
    stored = _AS_STORED[orientation](upright) if orientation in _AS_STORED else upright
    is_wide = image.mode.startswith("I") or image.mode == "F"
    grey_range = _grey_range(image) if is_wide else (0.0, 0.0)
    for top, strip in _strips(image):
        narrow = strip
        if is_wide:
            narrow = Image.fromarray(_grey_to_uint8(np.asarray(strip), grey_range))
        stored[top : top + strip.height] = np.asarray(to_rgb(narrow, profile))
    return upright


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the rows of a picture, `_STRIP_PIXELS` at a time, and how many lie above them."""
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        whole = rows >= height
        yield top, image if whole else image.crop((0, top, width, min(top + rows, height)))


def to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a picture of 8 bits a channel to RGB in sRGB, transparency on white."""
    is_grey = image.mode in ("1", "L", "LA")
    mode = "L" if is_grey else "CMYK" if image.mode == "CMYK" else "RGB"
    transform = colour_transform(profile, mode)
    if not image.has_transparency_data:
        if transform is not None:
            return transform.apply(image if image.mode == mode else image.convert(mode))
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    if transform is not None:
        coloured = transform.apply(rgba.getchannel("R") if is_grey else rgba.convert("RGB"))
        coloured.putalpha(rgba.getchannel("A"))
        rgba = coloured
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _grey_range(image: Image.Image) -> tuple[float, float]:
    """Return the values of black and white of a grey picture of more than 8 bits.

    16-bit values span 0 … 65535. Wider types do not say what white is: it is taken to be the
    smallest of 1 (floats only), 255 and 65535 that no value exceeds. With values beyond that, or
    below zero, the range found becomes black to white. NaN and infinity count as 0.
    """
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    lowest, highest = np.inf, -np.inf
    for _, strip in _strips(image):
        values = np.nan_to_num(np.asarray(strip), posinf=0.0, neginf=0.0)
        lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
    whites = (1, 255, 65535) if image.mode == "F" else (255, 65535)
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
