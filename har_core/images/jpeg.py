"""Decoding JPEGs with libjpeg-turbo itself, which tells what Pillow keeps back: its warnings."""

from typing import Final

import numpy as np
import simplejpeg
from PIL import Image

# Beginnings of frames (ITU-T T.81, table B.1; T.87) that are not decoded, and what they are.
_NOT_DECODED: Final = {
    **dict.fromkeys((0xC3, 0xCB), "without loss"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "in several sizes"),
    0xF7: "of the kind JPEG-LS",
}
_EXTENDED: Final = (0xC1, 0xC2, 0xC9, 0xCA)  # may have 12 bits
_WITHOUT_LENGTH: Final = (0x01, *range(0xD0, 0xDA))
_COLOURS: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}


def warns_of_damage(message: str) -> bool:
    """Tell whether a message of libjpeg's is a warning of damage, after which it goes on."""
    return "corrupt jpeg data" in message.lower()


def name_rare_kind(data: bytes) -> str:
    """Say what makes a JPEG one of those that are not decoded; ``""`` for an ordinary one."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 4 < len(data):
        marker = data[at + 1]
        if marker in _NOT_DECODED:
            return _NOT_DECODED[marker]
        if marker in _EXTENDED:
            return "of 12 bits a channel" if data[at + 4] == 12 else ""
        if marker in _WITHOUT_LENGTH or marker == 0xFF:
            at += 1 if marker == 0xFF else 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return ""


def reduction_for(size: tuple[int, int], side: int) -> int:
    """Return by how much a JPEG can be decoded smaller with both sides at least `side`: 1 … 8."""
    factor = min(size) // side
    return next((reduction for reduction in (8, 4, 2) if factor >= reduction), 1)


def decode_jpeg(
    data: bytes, mode: str, size: tuple[int, int], reduction: int = 1
) -> tuple[Image.Image, str]:
    """Decode a JPEG.

    Parameters
    ----------
    data : bytes
        Content of the file; of several pictures in it the first is read.
    mode : {"RGB", "L", "CMYK"}
        Pillow's mode of it.
    size : tuple of int
        Width and height in pixels.
    reduction : {1, 2, 4, 8}
        Decode it so many times smaller, sides rounded up.

    Returns
    -------
    image : PIL image
        In `mode`, the same pixels as from Pillow.
    warning : str
        The decoder's last one, e.g. ``"Corrupt JPEG data: premature end of data segment"``; ``""``
        for a sound file.

    Raises
    ------
    ValueError
        If the decoder gives up, does not know this kind of JPEG, or warns of its header: Pillow may
        decode it.
    """
    smaller = [0, 0] if reduction == 1 else [-(-length // reduction) for length in size]
    colour, (width, height) = _COLOURS[mode], smaller
    try:
        pixels = simplejpeg.decode_jpeg(data, colour, min_height=height, min_width=width)
        warning = ""
    except ValueError as error:
        pixels = simplejpeg.decode_jpeg(
            data, colour, min_height=height, min_width=width, strict=False
        )
        warning = str(error)
    if mode == "CMYK":  # inverted, as Adobe writes it and Pillow takes all for
        np.subtract(255, pixels, out=pixels)
    decoded_size = (pixels.shape[1], pixels.shape[0])
    return Image.frombuffer(mode, decoded_size, pixels, "raw", mode, 0, 1), warning
