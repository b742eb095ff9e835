"""Unpacking an uploaded ZIP of labelled photographs, trusting nothing that it says."""

import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, Final

from har_core.dataset.cells import TABLE_SUFFIXES
from har_core.dataset.embedded import tables_with_photographs, unpack_photographs
from har_core.dataset.layouts import CSV_FILE, OTHER_TABLES, not_read
from har_core.dataset.names import split_of_word
from har_core.dataset.table import open_dataset
from har_core.errors import ZIP_DAMAGE, DatasetError, UnclearTableError
from har_core.images.decoding import MAX_BYTES
from har_core.images.formats import FORMATS_IN_WORDS, is_passed_over, is_photograph_name
from har_core.images.signatures import ZIP_ARCHIVES, identify_content
from har_core.progress import Progress, silent

MAX_ENTRIES: Final = 50_000
MAX_UNPACKED_BYTES: Final = 4 * 2**30
_CHUNK: Final = 2**20
_LISTED: Final = b"PK\1\2"  # begins each entry of a ZIP's directory
_INNER: Final = 4  # archives within it have entries, too
_PARQUET: Final = ".parquet"
_HEAD_BYTES: Final = 4096
_ENCRYPTED: Final = 1
_ARCHIVES: Final = (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z")


def unpack_dataset(
    archive: str | Path | IO[bytes],
    destination: str | Path,
    *,
    max_entries: int = MAX_ENTRIES,
    max_bytes: int = MAX_UNPACKED_BYTES,
    may_be_unclear: bool = False,
    progress: Progress = silent,
) -> Path:
    """Unpack the table and the photographs of a ZIP into a dataset folder.

    Folders are kept, but for outer ones that everything lies in, so that every layout of
    `har_core.dataset.table.open_dataset` can be sent. Photographs inside Parquet tables become
    files. Everything but tables and photographs is ignored. Sizes are counted while unpacking:
    what the ZIP's directory claims is not trusted.

    Parameters
    ----------
    archive : path or binary file
    destination : str or Path
        An existing empty folder.
    max_entries : int, default 50,000
    max_bytes : int, default 4 GiB
        Of all unpacked files; one photograph may have 20 MB.
    may_be_unclear : bool, default False
        Take it also if somebody has yet to choose its table or that table's columns.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    Path
        `destination`, in the layout that `har_core.dataset.table.load_dataset` reads.

    Raises
    ------
    DatasetError
        If it is no ZIP, is damaged or encrypted, exceeds a limit, has an entry that leads out of
        it or that comes twice, no photograph, or nothing that tells the labels.
    """
    destination = Path(destination)
    try:
        _check_directory(archive, max_entries)
        with zipfile.ZipFile(archive) as opened:
            entries = _files(opened, max_entries)
            targets = _targets(opened, entries)
            left = max_bytes
            for done, (target, entry) in enumerate(targets.items(), 1):
                path = destination / target
                path.parent.mkdir(parents=True, exist_ok=True)
                limit = left if target.suffix.lower() == _PARQUET else min(left, MAX_BYTES)
                left -= _unpack(opened, entry, path, limit)
                progress("Unpacking", done, len(targets))
    except ZIP_DAMAGE as error:
        raise DatasetError(_why_unusable(archive, error)) from error
    except OSError as error:
        raise DatasetError(f"Cannot unpack the ZIP archive: {error.strerror or error}.") from error
    fault = _why_not_opened(destination)
    # Beside photographs and labels a table with a column of bytes may hold features, say.
    if fault is not None and not (destination / CSV_FILE).exists():
        tables = tables_with_photographs(destination)
        if tables:
            limits = {"max_bytes": left, "max_rows": max_entries}
            unpack_photographs(tables, destination, **limits, progress=progress)
            fault = _why_not_opened(destination)
        for table in tables:
            table.unlink()
    if fault is None or (may_be_unclear and isinstance(fault, UnclearTableError)):
        return destination
    root = str(destination.resolve())
    message = str(fault).replace(f"{root}/", "").replace(root, "the ZIP archive")
    if unread := [e.filename for e in entries if e.filename.lower().endswith(OTHER_TABLES)]:
        message += f" {not_read(unread)}"
    raise DatasetError(f"The ZIP archive cannot be used. {message}") from fault


def _why_not_opened(folder: Path) -> DatasetError | None:
    try:
        open_dataset(folder, follow_links=False)
    except DatasetError as error:
        return error
    return None


def _why_unusable(archive: str | Path | IO[bytes], error: Exception) -> str:
    if isinstance(archive, (str, Path)):
        with Path(archive).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    else:
        archive.seek(0)
        head = archive.read(_HEAD_BYTES)
    kind = identify_content(head)
    if kind.description in ZIP_ARCHIVES:
        if isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error):
            return "The ZIP archive is cut short: its end is missing. Send it again."
    elif kind.category != "unknown":
        what = (
            f"a picture ({kind.description})" if kind.category == "readable" else kind.description
        )
        return f"The file is {what}, no ZIP archive; pack the dataset's folder as a ZIP archive."
    return f"The file is no usable ZIP archive: {error}."


def _check_directory(archive: str | Path | IO[bytes], max_entries: int) -> None:
    """Refuse an archive whose list of entries alone would fill the memory."""
    if isinstance(archive, (str, Path)):
        with Path(archive).open("rb") as file:
            _check_directory(file, max_entries)
        return
    archive.seek(0)
    n_listed, end = 0, b""
    while chunk := archive.read(_CHUNK):
        n_listed += (end + chunk).count(_LISTED)
        end = chunk[1 - len(_LISTED) :]
    if n_listed > _INNER * max_entries:
        raise DatasetError(f"The ZIP archive holds more than {max_entries:,} entries.")


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
    # "./train" is no hidden folder, and gives no part.
    return any(map(is_passed_over, PurePosixPath(entry.filename.replace("\\", "/")).parts))


def _targets(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return where each table and photograph goes, relative to the destination."""
    paths = {
        entry: PurePosixPath(entry.filename.replace("\\", "/"))
        for entry in entries
        # Annotations, as of COCO, are larger than any list of labels.
        if not (entry.filename.lower().endswith(".json") and entry.file_size > MAX_BYTES)
    }
    tables = [entry for entry, path in paths.items() if path.suffix.lower() in TABLE_SUFFIXES]
    photographs = [
        entry
        for entry, path in paths.items()
        if path.suffix.lower() not in TABLE_SUFFIXES and _is_photograph(archive, entry, path)
    ]
    holds_them = any(paths[entry].suffix.lower() == _PARQUET for entry in tables)
    if not photographs and not holds_them:
        inner = next((e.filename for e in entries if e.filename.lower().endswith(_ARCHIVES)), None)
        if inner is not None:
            raise DatasetError(
                f"The ZIP archive holds another archive, {inner}; send that as a ZIP."
            )
        raise DatasetError(f"The ZIP archive holds no photographs ({FORMATS_IN_WORDS}).")
    kept = {entry: paths[entry] for entry in (*tables, *photographs)}
    # Without a table a photograph's folder is its label, and stays.
    outer = _shared_folders(list(kept.values()), keep=0 if tables else 1)
    targets: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for entry, path in kept.items():
        target = PurePosixPath(*path.parts[outer:])
        if target in targets:
            raise DatasetError(f"The ZIP archive holds {entry.filename} twice; leave one out.")
        targets[target] = entry
    return targets


def _is_photograph(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: PurePosixPath) -> bool:
    if is_photograph_name(path.name):
        return True
    with archive.open(entry) as file:
        return identify_content(file.read(_HEAD_BYTES)).category == "readable"


def _shared_folders(paths: list[PurePosixPath], keep: int) -> int:
    """Count the outer folders that all paths share, but for `keep` folders and those of splits."""
    shared = 0
    for parts in zip(*(path.parts[: len(path.parts) - 1 - keep] for path in paths), strict=False):
        if len(set(parts)) > 1 or split_of_word(parts[0]):
            break
        shared += 1
    return shared


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
