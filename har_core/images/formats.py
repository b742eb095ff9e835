"""Which files are photographs: the formats that are read, and the names of their files."""

from typing import Final, NamedTuple


class PhotoFormat(NamedTuple):
    """A format that is read.

    Parameters
    ----------
    name : str
        For people, and in `har_core.images.signatures.identify_content`.
    pillow : str
        Pillow's name of the decoder.
    suffixes : tuple of str
        Under which files of this format are found, in lower case.
    media_type : str
        As registered with IANA.
    """

    name: str
    pillow: str
    suffixes: tuple[str, ...]
    media_type: str


PHOTO_FORMATS: Final = (
    PhotoFormat("JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "image/jpeg"),
    PhotoFormat("PNG", "PNG", (".png",), "image/png"),
    PhotoFormat("WebP", "WEBP", (".webp",), "image/webp"),
    PhotoFormat("HEIC", "HEIF", (".heic", ".heif", ".hif"), "image/heic"),
    PhotoFormat("AVIF", "AVIF", (".avif",), "image/avif"),
    PhotoFormat("JPEG 2000", "JPEG2000", (".jp2", ".j2k", ".jpx", ".jpf", ".j2c"), "image/jp2"),
    PhotoFormat("BMP", "BMP", (".bmp", ".dib"), "image/bmp"),
    PhotoFormat("TIFF", "TIFF", (".tif", ".tiff"), "image/tiff"),
    PhotoFormat("GIF", "GIF", (".gif",), "image/gif"),
)
PHOTO_SUFFIXES: Final = tuple(suffix for entry in PHOTO_FORMATS for suffix in entry.suffixes)
FORMATS_IN_WORDS: Final = (
    ", ".join(entry.name for entry in PHOTO_FORMATS[:-1]) + f" or {PHOTO_FORMATS[-1].name}"
)
_LEFT_BEHIND: Final = (
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"),
    # Of disks and network storage: thumbnails, what was deleted or lost.
    *("@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
)


def is_photograph_name(name: str) -> bool:
    """Tell whether a file's name ends like that of a photograph; what is in it decides later."""
    return name.lower().endswith(PHOTO_SUFFIXES)


def is_passed_over(name: str) -> bool:
    """Tell whether a file or folder is hidden, or left behind by a system's file browser.

    Parameters
    ----------
    name : str
        Base name: ``._a.jpg`` and ``.DS_Store`` (macOS), ``Thumbs.db`` (Windows), …
    """
    return name.startswith(".") or name.lower() in _LEFT_BEHIND
