"""File names that are no Unicode, as text that every format, database and page can hold.

Python puts a lone surrogate, U+DC80 to U+DCFF, for each byte of a name that is no UTF-8 (PEP 383).
JSON, CSV, Parquet, SQLite, Arrow's strings in pandas and browsers refuse such text.
"""

import os
import re
from typing import Final

# Private use, as MirBSD's OPTU-8 maps raw octets; nobody's names are seen to hold them.
_TO_PRIVATE: Final = {code: code - 0xDC80 + 0xF780 for code in range(0xDC80, 0xDD00)}
_TO_ESCAPES: Final = {code: f"%{code - 0xDC00:02X}" for code in _TO_PRIVATE}
_FROM_PRIVATE: Final = {private: code for code, private in _TO_PRIVATE.items()}
# Control characters, line and paragraph separators, marks of the reading direction.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(name: str | os.PathLike[str]) -> str:
    """Return a path for people: ``caf%E9.jpg`` where a byte is no UTF-8; not to be opened."""
    text = os.fspath(name)
    return text if _is_unicode(text) else text.translate(_TO_ESCAPES)


def one_line(text: str) -> str:
    """Return text for a terminal, which names may not steer.

    Control characters, line breaks and marks of the reading direction are written as ``%0A`` or
    ``%E2%80%AE``.
    """
    return text if text.isprintable() else _UNSEEN.sub(_escaped, text)


def storable(path: str | os.PathLike[str]) -> str:
    """Return a path as valid Unicode, which `real_path` turns back before it is opened."""
    text = os.fspath(path)
    return text if _is_unicode(text) else text.translate(_TO_PRIVATE)


def real_path(path: str | os.PathLike[str]) -> str:
    """Return the path that `storable` was given; any other path stays as it is."""
    text = os.fspath(path)
    if text.isascii():
        return text
    original = text.translate(_FROM_PRIVATE)
    return original if original != text and os.path.lexists(original) else text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode())
