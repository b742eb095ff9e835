"""What a file really is, told from its first bytes: to say why it is no photograph."""

import codecs
import os
from pathlib import Path
from typing import Final, NamedTuple

from har_core.images.camera_raw import name_camera_raw
from har_core.storage.names import real_path

# Content in which Pillow finds one of the formats that `har_core.images.decoding` reads.
READABLE: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_OTHER_IMAGES: Final = (
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"II\xbc\x01", "a JPEG XR picture"),
    (b"P5\n", "a PGM picture"),
    (b"P6\n", "a PPM picture"),
    (b"DDS ", "a DDS texture"),
    (b"gimp xcf ", "a GIMP file"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"v/1\x01", "an OpenEXR picture"),
)
ZIP_ARCHIVES: Final = ("a ZIP archive or Office document", "an empty ZIP archive")
_NO_IMAGES: Final = (
    (b"%PDF-", "a PDF document"),
    (b"PK\3\4", ZIP_ARCHIVES[0]),
    (b"PK\5\6", ZIP_ARCHIVES[1]),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"bplist00", "a property list (iCloud leaves such in place of what is not downloaded)"),
    (b"\0\x05\x16\x07", "an AppleDouble file (macOS leaves such beside a photograph)"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
    (b"ID3", "an audio file (MP3)"),
    (b"OggS", "an audio or video file (Ogg)"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
# ISO base media brands of still pictures (HEIF, ISO/IEC 23008-12; AVIF).
_AVIF_BRANDS: Final = (b"avif", b"avis")
_HEIC_BRANDS: Final = (
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"heif", b"mif1", b"mif2", b"msf1"),
)
_BMP_HEADER_SIZES: Final = (12, 16, 40, 52, 56, 64, 108, 124)
_HTML_STARTS: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<title")


TEXT: Final = "a text file"
_POINTER: Final = "a Git LFS pointer"
_BASE64: Final = "base64 text of a picture"
# Of a data URL, and of JPEG, PNG, GIF and WebP.
_BASE64_STARTS: Final = (b"data:image/", b"/9j/4", b"iVBORw0KGgo", b"R0lGOD", b"UklGR")


class FileKind(NamedTuple):
    """What the first bytes of a file say it is.

    Parameters
    ----------
    category : {"readable", "image", "html", "other", "unknown"}
        A format that we read, another image format, a web page, something else, or no idea.
    description : str
        With its article (``"a PDF document"``), or the name of a readable format (``"JPEG"``).
    """

    category: str
    description: str

    @property
    def is_pointer(self) -> bool:
        """Whether it stands in for a file that Git LFS keeps elsewhere."""
        return self.description == _POINTER

    @property
    def is_base64(self) -> bool:
        """Whether it is a picture, written as text."""
        return self.description == _BASE64


_HEAD_BYTES: Final = 4096  # holds the directories of most cameras' raw files


def identify_file(path: str | os.PathLike[str]) -> FileKind:
    """Tell what kind of file lies at a path by its beginning; an unreadable one is unknown."""
    try:
        with Path(real_path(path)).open("rb") as file:
            return identify_content(file.read(_HEAD_BYTES))
    except (OSError, ValueError):
        return FileKind("unknown", "a file that cannot be read")


def identify_content(data: bytes) -> FileKind:
    """Tell what kind of file some bytes are, in most cases by the first kilobyte.

    Parameters
    ----------
    data : bytes
        A file's content, or its beginning: a camera raw file that is a TIFF file is told from one
        by its directories, which may come later.

    Returns
    -------
    FileKind
    """
    head = data[:1024]
    if raw := name_camera_raw(data):
        return FileKind("image", f"a camera raw file ({raw})")
    for signatures, category in ((READABLE, "readable"), (_OTHER_IMAGES, "image")):
        for signature, description in signatures:
            if head.startswith(signature):
                return FileKind(category, description)
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return FileKind("readable", "BMP")
    if head.startswith(b"RIFF"):
        if head[8:12] == b"WEBP":
            return FileKind("readable", "WebP")
        return FileKind("other", "an audio or video file (RIFF)")
    if head[4:8] == b"ftyp":
        return _identify_media(head)
    for signature, description in _NO_IMAGES:
        if head.startswith(signature):
            return FileKind("other", description)
    if head and not head.strip(b"\0"):
        return FileKind("other", "a row of zero bytes (an interrupted copy leaves such)")
    return _identify_text(head)


def _identify_media(head: bytes) -> FileKind:
    """Tell what an ISO base media file holds by its major, then by its compatible brands."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return FileKind("readable", "AVIF")
    if any(brand in _HEIC_BRANDS for brand in brands):
        return FileKind("readable", "HEIC")
    return FileKind("other", "a video (MP4 or QuickTime)")


def _identify_text(head: bytes) -> FileKind:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_HTML_STARTS) or (start.startswith(b"<") and b"<html" in start):
        return FileKind("html", "a web page (HTML)")
    if head.lstrip().startswith(_BASE64_STARTS):
        return FileKind("other", _BASE64)
    if start.startswith(b"version https://git-lfs"):
        return FileKind("other", _POINTER)
    if start.startswith((b"<svg", b"<?xml", b"<!--")) and b"<svg" in start:
        return FileKind("image", "an SVG drawing")
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    # As the beginning of a text: the kilobyte may end inside a character.
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    if text and all(c.isprintable() or c.isspace() for c in text) and "\ufffd" not in text:
        return FileKind("other", TEXT)
    return FileKind("unknown", "unknown data")
