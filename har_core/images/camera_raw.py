"""Telling the raw files of cameras, most of which are TIFF files, from pictures."""

import struct
from collections.abc import Iterator
from typing import Final

# Beginnings of those that are no ordinary TIFF files.
_SIGNATURES: Final = (
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"IIU\0", "Panasonic RW2"),
    (0, b"FOVb", "Sigma X3F"),
    (0, b"\0MRM", "Minolta MRW"),
    (4, b"ftypcrx ", "Canon CR3"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (8, b"CR\2", "Canon CR2"),
)
_TIFF: Final = {b"II*\0": "<", b"MM\0*": ">"}
# TIFF tags, and what only raw files have in them (TIFF/EP, DNG 1.7, makers' own).
_COMPRESSION, _PHOTOMETRIC, _MAKE, _SUB_DIRECTORIES, _DNG_VERSION = 259, 262, 271, 330, 50706
_RAW_COMPRESSIONS: Final = {
    34713: "Nikon NEF",
    32767: "Sony ARW",
    32769: "camera raw",
    32770: "Samsung SRW",
    34892: "DNG",
    65000: "Kodak DCR",
    65535: "Pentax PEF",
}
_RAW_COLOURS: Final = (32803, 34892)  # a colour filter's mosaic, linear raw
_MAKERS: Final = {
    "nikon": "Nikon NEF",
    "canon": "Canon CR2",
    "sony": "Sony ARW",
    "pentax": "Pentax PEF",
    "ricoh": "Pentax PEF",
    "samsung": "Samsung SRW",
    "hasselblad": "Hasselblad 3FR",
    "phase one": "Phase One IIQ",
    "leaf": "Leaf MOS",
    "epson": "Epson ERF",
}
_MOST_DIRECTORIES: Final = 8
_MOST_ENTRIES: Final = 200
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 13: 4}
_CODES: Final = {1: "B", 3: "H", 4: "I", 13: "I"}


def name_camera_raw(data: bytes) -> str:
    """Name the kind of camera raw file that some bytes are.

    Parameters
    ----------
    data : bytes
        A file's content, or its beginning: of a raw file that is a TIFF file the directories have
        to be in it.

    Returns
    -------
    str
        E.g. ``"Nikon NEF"``, or ``""`` for anything else.
    """
    for offset, signature, name in _SIGNATURES:
        if data.startswith(signature, offset):
            return name
    order = _TIFF.get(data[:4])
    if order is None:
        return ""
    maker = colours = ""
    for tag, values in _entries(data, order):
        if tag == _DNG_VERSION:
            return "DNG"
        if tag == _MAKE and isinstance(values, bytes):
            text = values.decode("latin-1").lower()
            maker = maker or next((n for m, n in _MAKERS.items() if text.startswith(m)), "")
        elif tag == _COMPRESSION and values and values[0] in _RAW_COMPRESSIONS:
            colours = _RAW_COMPRESSIONS[values[0]]
        elif tag == _PHOTOMETRIC and values and values[0] in _RAW_COLOURS:
            colours = colours or "camera raw"
    return (maker or colours) if colours else ""


def _entries(data: bytes, order: str) -> Iterator[tuple[int, bytes | tuple[int, ...]]]:
    """Yield tag and values of a TIFF file's first directory and of those below it."""
    pending = [_number(data, order, 4)]
    seen: set[int] = set()
    while pending and len(seen) < _MOST_DIRECTORIES:
        start = pending.pop(0)
        if start in seen or start + 2 > len(data):
            continue
        seen.add(start)
        (n_entries,) = struct.unpack_from(f"{order}H", data, start)
        for number in range(min(n_entries, _MOST_ENTRIES)):
            at = start + 2 + 12 * number
            if at + 12 > len(data):
                break
            tag, kind, count = struct.unpack_from(f"{order}HHI", data, at)
            values = _values(data, order, kind, count, at + 8)
            if tag == _SUB_DIRECTORIES and not isinstance(values, bytes):
                pending += values[:_MOST_DIRECTORIES]
            yield tag, values


def _values(data: bytes, order: str, kind: int, count: int, at: int) -> bytes | tuple[int, ...]:
    size = _SIZES.get(kind, 0) * min(count, _MOST_ENTRIES)
    if size == 0:
        return ()
    if size > 4:
        at = _number(data, order, at)
    field = data[at : at + size]
    if len(field) < size:
        return ()
    if kind == 2:
        return field
    return struct.unpack(f"{order}{min(count, _MOST_ENTRIES)}{_CODES[kind]}", field)


def _number(data: bytes, order: str, at: int) -> int:
    field = data[at : at + 4]
    return struct.unpack(f"{order}I", field)[0] if len(field) == 4 else len(data)
