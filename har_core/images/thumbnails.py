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
    place = _place(path)
    if place is None:
        return None
    try:
        return place.read_bytes()
    except OSError:
        made = make_thumbnail(path)
    if made is not None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, made)
        except OSError:
            return made
    return made


def _place(path: str | os.PathLike[str]) -> Path | None:
    """Return where a photograph's thumbnail is kept, or will be; None without a photograph."""
    try:
        status = Path(real_path(path)).stat()
    except OSError:
        return None
    identity = f"{path}|{status.st_size}|{status.st_mtime_ns}|{THUMBNAIL_SIZE}"
    name = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()
    # One folder for 100,000 files would be slow to list.
    return cache_dir() / "thumbnails" / name[:2] / f"{name}.jpg"


def thumbnails(paths: Sequence[str | None]) -> list[bytes | None]:
    """Return `thumbnail` of several photographs, decoded in parallel; None stays None."""
    found = {path: _kept(path) for path in paths if path}
    to_make = [path for path, kept in found.items() if kept is None]
    if to_make:  # starting threads takes longer than reading all that is kept
        with ThreadPoolExecutor(4) as pool:
            found.update(zip(to_make, pool.map(thumbnail, to_make), strict=True))
    return [found[path] if path else None for path in paths]


def _kept(path: str) -> bytes | None:
    place = _place(path)
    try:
        return place.read_bytes() if place else None
    except OSError:
        return None


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
