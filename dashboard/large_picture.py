"""An opened photograph: upright, decoded within the limits, as large as its place needs."""

from typing import Final

from PIL import Image

from har_core.errors import InvalidImageError
from har_core.images import decode_image

# Largest width and height of an opened photograph, in CSS pixels.
LARGEST: Final = (680, 520)
_PIXELS_PER_CSS_PIXEL: Final = 2  # of a dense screen


def large_picture(data: bytes) -> Image.Image | None:
    """Decode a photograph's file for showing it large.

    Browsers and Streamlit would show phone pictures as they are stored, lying on their side.

    Parameters
    ----------
    data : bytes
        Content of the file.

    Returns
    -------
    PIL image or None
        Upright RGB, sharp within `LARGEST` on a dense screen; None if the file is no picture.
    """
    width, height = (_PIXELS_PER_CSS_PIXEL * side for side in LARGEST)
    try:
        picture = Image.fromarray(decode_image(data, min_side=min(width, height)))
    except InvalidImageError:
        return None
    picture.thumbnail((width, height))
    return picture
