"""Unpacking an uploaded ZIP of labelled photographs, trusting nothing that it says."""

import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, Final

from har_core.dataset.layouts import CSV_FILE
from har_core.dataset.table import PHOTO_FOLDER
from har_core.errors import ZIP_DAMAGE, DatasetError
from har_core.images.decoding import MAX_BYTES, PHOTO_SUFFIXES

MAX_ENTRIES: Final = 50_000
MAX_UNPACKED_BYTES: Final = 4 * 2**30
_CHUNK: Final = 2**20
_ENCRYPTED: Final = 1


def unpack_dataset(
    archive: str | Path | IO[bytes],
    destination: str | Path,
    *,
    max_entries: int = MAX_ENTRIES,
    max_bytes: int = MAX_UNPACKED_BYTES,
) -> Path:
    """Unpack the table and the photographs of a ZIP into a dataset folder.

    The table is ``train.csv`` or the only CSV file; photographs may lie in any folder of the ZIP
    and are stored by base name, so that no entry can leave `destination`. Everything else is
    ignored. Sizes are counted while unpacking: what the ZIP's directory claims is not trusted.

    Parameters
    ----------
    archive : path or binary file
    destination : str or Path
        An existing empty folder.
    max_entries : int, default 50,000
    max_bytes : int, default 4 GiB
        Of all unpacked files; one photograph may have 20 MB.

    Returns
    -------
    Path
        `destination`, in the layout that `har_core.dataset.table.load_dataset` reads.

    Raises
    ------
    DatasetError
        If it is no ZIP, is damaged or encrypted, exceeds a limit, has an entry that leads out of
        it, two photographs of one name, no photograph, or not exactly one table.
    """
    destination = Path(destination)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _files(opened, max_entries)
            table = _table(entries)
            photographs = _photographs(entries)
            (destination / PHOTO_FOLDER).mkdir()
            left = max_bytes
            left -= _unpack(opened, table, destination / CSV_FILE, min(left, MAX_BYTES))
            for name, entry in photographs.items():
                target = destination / PHOTO_FOLDER / name
                left -= _unpack(opened, entry, target, min(left, MAX_BYTES))
    except ZIP_DAMAGE as error:
        raise DatasetError(f"The file is no usable ZIP archive: {error}.") from error
    except OSError as error:
        raise DatasetError(f"Cannot unpack the ZIP archive: {error.strerror or error}.") from error
    return destination


def _files(archive: zipfile.ZipFile, max_entries: int) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > max_entries:
        raise DatasetError(
            f"The ZIP archive holds {len(entries):,} entries; at most {max_entries:,} are read."
        )
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise DatasetError(f"The ZIP archive's entry {entry.filename!r} leads out of it.")
        if entry.flag_bits & _ENCRYPTED:
            raise DatasetError("The ZIP archive is encrypted; send it without a password.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise DatasetError(f"The ZIP archive's entry {entry.filename!r} is a link.")
    return [entry for entry in entries if not entry.is_dir() and not _is_hidden(entry)]


def _is_hidden(entry: zipfile.ZipInfo) -> bool:
    # "__MACOSX" is what macOS adds, with a file beside each; "./train" is no hidden folder.
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    return any(part == "__MACOSX" or part.startswith(".") for part in parts)


def _table(entries: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    tables = [entry for entry in entries if entry.filename.lower().endswith(".csv")]
    named = [entry for entry in tables if _name(entry) == CSV_FILE]
    chosen = named or tables
    if len(chosen) != 1:
        found = ", ".join(entry.filename for entry in tables[:5]) or "none"
        raise DatasetError(
            f"The ZIP archive must hold {CSV_FILE}, or one CSV file, with the columns "
            f"filename,label; found: {found}."
        )
    return chosen[0]


def _photographs(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    photographs: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = _name(entry)
        if not name.lower().endswith(PHOTO_SUFFIXES):
            continue
        if name in photographs:
            raise DatasetError(
                f"The ZIP archive holds two photographs named {name}: "
                f"{photographs[name].filename} and {entry.filename}; rename one."
            )
        photographs[name] = entry
    if not photographs:
        raise DatasetError(f"The ZIP archive holds no photographs ({', '.join(PHOTO_SUFFIXES)}).")
    return photographs


def _name(entry: zipfile.ZipInfo) -> str:
    return PurePosixPath(entry.filename.replace("\\", "/")).name


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, limit: int) -> int:
    """Write one entry and return its size; refuse it as soon as it exceeds the limit."""
    written = 0
    with archive.open(entry) as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                raise DatasetError(
                    f"The ZIP archive unpacks to more than is allowed (at {entry.filename}): one "
                    f"photograph may have {MAX_BYTES // 2**20} MB; send fewer or smaller ones."
                )
            file.write(chunk)
    return written
