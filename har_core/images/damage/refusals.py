"""Why a file could not be decoded: what it is instead, cut short, or damaged."""

import re
from typing import Final

from har_core.errors import InvalidImageError
from har_core.images.damage.text import CHANGED_AS_TEXT, format_before, looks_converted
from har_core.images.formats import FORMATS_IN_WORDS
from har_core.images.jpeg import name_rare_kind
from har_core.images.signatures import ZIP_ARCHIVES, identify_content

# An object's address says nothing to a reader.
_OBJECT: Final = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>")


def explain_failure(data: bytes, error: Exception) -> InvalidImageError:
    """Say why `data` could not be decoded: another type, cut short, or damaged."""
    kind = identify_content(data)
    if kind.category == "html":
        return InvalidImageError(
            "The file is a web page (HTML), not an image; the download was probably answered with "
            "an error page. Save the picture itself.",
            "html",
        )
    if kind.is_pointer:
        return InvalidImageError(
            "The file is a Git LFS pointer, which stands in for the photograph; git lfs pull gets "
            "the photograph itself.",
            "not_an_image",
        )
    if kind.is_base64:
        return InvalidImageError(
            "The file is a picture written as base64 text; decode it (base64 -d) and send the "
            "picture itself.",
            "not_an_image",
        )
    if kind.description == ZIP_ARCHIVES[0]:
        return InvalidImageError(
            f"The file is {kind.description}, not an image; unpack it and send the pictures in it.",
            "not_an_image",
        )
    if kind.category == "image":
        return InvalidImageError(
            f"The file is {kind.description}, which is not read; save it as JPEG or PNG.",
            "unsupported_format",
        )
    if kind.description == "JPEG" and (rare := name_rare_kind(data)):
        return InvalidImageError(
            f"The file is a JPEG {rare}, which is not read; save it as an ordinary JPEG or PNG.",
            "unsupported_format",
        )
    before = kind.description if kind.category == "readable" else format_before(data)
    if before and (kind.category != "readable" or looks_converted(data, before)):
        return InvalidImageError(f"The {before} file {CHANGED_AS_TEXT}.", "damaged")
    if kind.category == "readable":
        if "truncated" in str(error).lower() or not _has_its_end(data, kind.description):
            return InvalidImageError(
                f"The {kind.description} file is cut short: its end is missing. Download or copy "
                "it again.",
                "truncated",
            )
        detail = "" if _OBJECT.search(str(error)) or not str(error) else f" ({error})"
        return InvalidImageError(
            f"The {kind.description} file is damaged and cannot be decoded{detail}. Download or "
            "copy it again.",
            "damaged",
        )
    return InvalidImageError(
        f"The file is {kind.description}, not an image; send {FORMATS_IN_WORDS}.",
        "not_an_image",
    )


def refuse_affected(data: bytes, share: float, warning: str) -> InvalidImageError:
    """Say why a JPEG is refused of which a share is affected by what its decoder warned of."""
    if looks_converted(data, "JPEG"):
        return InvalidImageError(f"The JPEG file {CHANGED_AS_TEXT}.", "damaged")
    is_cut = "premature end" in warning.lower()
    return InvalidImageError(
        f"The JPEG file is {'cut short' if is_cut else 'damaged'}: about {share:.0%} of the "
        "picture is missing or wrong. Download or copy it again.",
        "truncated" if is_cut else "damaged",
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
    if image_format in ("HEIC", "AVIF", "JPEG 2000") and data[4:8] in (b"ftyp", b"jP  "):
        return _has_all_boxes(data)
    return True


def _has_all_boxes(data: bytes) -> bool:
    """Tell whether the boxes of an ISO base media file (ISO/IEC 14496-12, 4.2) are complete."""
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size == 0:  # up to the end, wherever that is
            return True
        position += max(size, 8)
    return position <= len(data)
