"""Thumbnails that outlive their photographs: one file that holds each under its sha256."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from har_core.errors import ZIP_DAMAGE
from har_core.storage.files import write_atomically


def write_thumbnails(path: Path, pictures: Mapping[str, bytes]) -> None:
    """Write an archive of thumbnails, in one atomic step.

    Parameters
    ----------
    path : Path
        In a folder that exists.
    pictures : mapping of str to bytes
        sha256 of a photograph to a JPEG, from `har_core.images.thumbnails.thumbnail`.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for sha256, picture in pictures.items():
            archive.writestr(f"{sha256}.jpg", picture)
    write_atomically(path, buffer.getvalue())


def read_thumbnails(path: Path, sha256: list[str]) -> list[bytes | None]:
    """Return the thumbnails of photographs; None for one that is not there or is damaged.

    Parameters
    ----------
    path : Path
        Of the archive, which may be missing.
    sha256 : list of str
        Of the photographs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            known = set(archive.namelist())
            return [_read(archive, f"{name}.jpg", known) for name in sha256]
    except (*ZIP_DAMAGE, OSError):
        return [None] * len(sha256)


def _read(archive: zipfile.ZipFile, name: str, known: set[str]) -> bytes | None:
    try:
        return archive.read(name) if name in known else None
    except ZIP_DAMAGE:
        return None
