"""Small versions of photographs for pages: made when first shown, then kept on disk."""

import base64
import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from PIL import Image

from har_core.errors import InvalidImageError
from har_core.images.decoding import read_image_file
from har_core.storage.cache import cache_dir
from har_core.storage.files import write_atomically
from har_core.storage.names import real_path

# Sharp in a tile of 170 CSS pixels on a dense screen; about 8 KB.
THUMBNAIL_SIZE: Final = (260, 200)
_QUALITY: Final = 80


def thumbnail(path: str | os.PathLike[str]) -> bytes | None:
    """Return a small JPEG of a photograph, or None if it cannot be read.

    Parameters
    ----------
    path : str or path-like
        Photograph.

    Returns
    -------
    bytes or None
        At most 260×200 pixels. Made once per version of the file; where the cache cannot be
        written it is made each time.
    """
    try:
        status = Path(real_path(path)).stat()
    except OSError:
        return None
    identity = f"{path}|{status.st_size}|{status.st_mtime_ns}|{THUMBNAIL_SIZE}"
    name = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()
    # One folder for 100,000 files would be slow to list.
    kept = cache_dir() / "thumbnails" / name[:2] / f"{name}.jpg"
    try:
        return kept.read_bytes()
    except OSError:
        made = make_thumbnail(path)
    if made is not None:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(kept, made)
        except OSError:
            return made
    return made


def thumbnails(paths: Sequence[str | None]) -> list[bytes | None]:
    """Return `thumbnail` of several photographs, decoded in parallel; None stays None."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda path: thumbnail(path) if path else None, paths))


def make_thumbnail(path: str | os.PathLike[str]) -> bytes | None:
    """Make what `thumbnail` returns, and keep it nowhere."""
    try:
        pixels = read_image_file(path, min_side=min(THUMBNAIL_SIZE))
    except InvalidImageError:
        return None
    image = Image.fromarray(pixels)
    image.thumbnail(THUMBNAIL_SIZE, Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as an address that holds it, for a page or a document of its own."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
