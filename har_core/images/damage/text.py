"""Whether a file was changed in transfer as if it were text, which no picture survives."""

import re
from typing import Final

from har_core.images.signatures import READABLE

CHANGED_AS_TEXT: Final = (
    "was changed in transfer as if it were text (other line ends or characters); copy the original "
    "again as it is, byte for byte"
)
_LINE_ENDS: Final = ((b"\n", b"\r\n"), (b"\r\n", b"\n"), (b"\r", b"\n"), (b"\n", b"\r"))
_BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
_ENCODINGS: Final = ("utf-8", "latin-1", "cp1252")
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
# Within the first characters of a file that PowerShell has redirected.
_WORDS: Final = {"PNG": "PNG", "JFIF": "JPEG", "Exif": "JPEG", "GIF8": "GIF", "WEBP": "WebP"}
_WORD_WITHIN: Final = 16
# XMP and the like, whose line ends are those of text.
_TEXT: Final = re.compile(rb"[\t\n\r -~]{32,}")
# In compressed data each byte is as frequent: of sixteen line ends all of one kind are no chance.
_FEWEST: Final = 16
_COMPRESSED: Final = ("JPEG", "PNG", "GIF", "WebP", "HEIC", "AVIF", "JPEG 2000")
_REPLACEMENT: Final = "\ufffd".encode()


def format_before(data: bytes) -> str:
    """Return the format that a file had before its beginning was changed as text.

    PNG's signature is made to show other line ends (RFC 2083, 12.11).

    Returns
    -------
    str
        ``"PNG"``, say; ``""`` if the beginning is no changed signature.
    """
    if data.startswith(_UTF_16):
        text = data[: 2 * _WORD_WITHIN].decode("utf-16", "replace")
        return next((name for word, name in _WORDS.items() if word in text), "")
    for signature, name in READABLE:
        if data.startswith(tuple(_changed(signature))):
            return name
    return ""


def _changed(signature: bytes) -> set[bytes]:
    changed = {signature.replace(*ends) for ends in _LINE_ENDS}
    changed.add(_BARE_LINE_FEED.sub(b"\r\n", signature))
    changed |= {signature.decode(encoding, "replace").encode() for encoding in _ENCODINGS}
    return changed - {signature}


def looks_converted(data: bytes, image_format: str) -> bool:
    """Tell whether a damaged picture's bytes are those of converted text.

    Parameters
    ----------
    data : bytes
        A file's content; of a sound picture of a few kilobytes it can be chance.
    image_format : str
        Only of compressed ones it can be told.
    """
    if image_format not in _COMPRESSED:
        return False
    binary = _TEXT.sub(b"", data)
    feeds, returns, pairs = (binary.count(end) for end in (b"\n", b"\r", b"\r\n"))
    return (
        feeds == pairs >= _FEWEST
        or (returns == 0 and min(feeds, len(binary) // 256) >= _FEWEST)
        or (pairs == 0 and feeds * returns >= _FEWEST * len(binary))
        or binary.count(_REPLACEMENT) >= _FEWEST
    )
