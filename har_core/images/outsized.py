"""Sound PNG files with texts so large that Pillow refuses to unpack them."""

from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LEFT_OUT: Final = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
# In the errors of `PIL.PngImagePlugin`, whose limits keep a small file from unpacking to gigabytes.
_COMPLAINTS: Final = ("Decompressed data too large", "Too much memory used in text chunks")


def has_outsized_texts(data: bytes, error: ValueError) -> bool:
    """Tell whether Pillow refused a PNG only for what is written beside its pixels."""
    return data.startswith(_SIGNATURE) and str(error).startswith(_COMPLAINTS)


def without_texts(data: bytes) -> bytes:
    """Return a PNG without its texts and its colour profile, which may be what is outsized."""
    kept = [_SIGNATURE]
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] not in _LEFT_OUT:
            kept.append(data[position:end])
        position = end
    return b"".join([*kept, data[position:]])
