"""What the arguments of a job mean: folders, patterns, lists, tables, tar files, buckets.

Everything is listed as it is found, so that a million photographs need no memory.
"""

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from har_core.errors import HarError
from har_core.images.formats import is_passed_over, is_photograph_name
from har_core.images.listing import photographs_below
from har_core.scale.sources.containers import TABLE_SUFFIXES, list_table, list_tar
from har_core.scale.sources.items import Item, item_named, local_item, remote_item
from har_core.scale.sources.locations import is_remote, local_path, open_filesystem, with_retries
from har_core.storage.names import storable
from har_core.storage.paths import is_file, is_folder

LIST_SUFFIXES: Final = (".txt", ".lst", ".list")
_OTHER_ARCHIVES: Final = (".zip", ".7z", ".rar")
_COMPRESSED_TARS: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def list_sources(sources: Sequence[str], column: str | None = None) -> Iterator[Item]:
    """List the photographs that a command line names.

    Parameters
    ----------
    sources : sequence of str
        Each a photograph; a folder or prefix of a bucket, with all that is below it; a pattern,
        whose ``*`` stays within a folder and whose ``**`` does not; a list (``.txt``, a path or
        URI in each line); a table (``.csv``, ``.tsv``, ``.parquet``) with a column of paths, URIs
        or the photographs' bytes; a WebDataset's ``.tar``.
    column : str, optional
        Of the tables; default: found by its usual names.

    Yields
    ------
    Item
        In a folder photographs are told by their names, other files on this machine by their
        content. A photograph that a list names and that is not there is listed, and fails later.

    Raises
    ------
    HarError
        If a source does not exist, cannot be read, or holds no photograph.
    """
    for source in sources:
        empty = True
        for item in _list_source(source, column):
            empty = False
            yield item
        if empty:
            raise HarError(_nothing_in(source))


def _nothing_in(source: str) -> str:
    name = source.lower()
    if name.endswith((*LIST_SUFFIXES, *TABLE_SUFFIXES)):
        return f"{source} names no photographs: it has no rows with a name."
    if name.endswith(".tar"):
        return f"The tar file {source} holds no photographs."
    beside = [".tar"]  # a bucket is not listed twice
    if not is_remote(source):
        folder = _absolute(source)
        beside = os.listdir(folder) if is_folder(folder) else []  # noqa: PTH208
    hint = ""
    if any(name.lower().endswith((".tar", *TABLE_SUFFIXES)) for name in beside):
        hint = f" Tables and tar files in it are named by a pattern: '{source.rstrip('/')}/*.tar'."
    return f"{source} holds no photographs.{hint}"


def tables_among(sources: Sequence[str]) -> list[str] | None:
    """Return the tables that sources stand for, as URIs; None if one stands for something else.

    Raises
    ------
    HarError
        If a bucket cannot be listed.
    """
    found: list[str] = []
    for source in sources:
        suffix = PurePosixPath(source).suffix.lower()
        if suffix and not glob.has_magic(suffix) and suffix not in TABLE_SUFFIXES:
            return None  # without listing what a pattern matches
        if is_remote(source):
            filesystem, path = open_filesystem(source)
            pattern = _is_remote_pattern(source, path)
            matches = _matches(source, filesystem, path) if pattern else ()
            found += [uri for uri, _ in matches] if pattern else [source]
            continue
        path = _absolute(source)
        found += [storable(path)] if is_file(path) else map(storable, _local_matches(path))
    if not found or not all(uri.lower().endswith(TABLE_SUFFIXES) for uri in found):
        return None
    return found


def _absolute(source: str) -> str:
    return os.path.abspath(os.path.expanduser(local_path(source)))  # noqa: PTH100, PTH111


def _local_matches(pattern: str) -> list[str]:
    return sorted(glob.iglob(pattern, recursive=True))  # noqa: PTH207 - see har_core.cli.inputs


def _list_source(source: str, column: str | None) -> Iterator[Item]:
    if is_remote(source):
        yield from _list_remote(source, column)
        return
    path = _absolute(source)
    if is_folder(path):
        yield from _below(path)
    elif is_file(path):
        yield from _list_file(storable(path), column)
    elif glob.has_magic(path):
        matches = _local_matches(path)
        if not matches:
            raise HarError(f"Nothing matches {source}.")
        for match in matches:
            if is_folder(match):
                yield from _below(match)
            else:
                yield from _list_file(storable(match), column)
    else:
        raise HarError(f"There is no {source}.")


def _list_file(uri: str, column: str | None, info: Any = None) -> Iterator[Item]:
    """List what one file stands for."""
    name = uri.lower()
    if name.endswith(_COMPRESSED_TARS):
        raise HarError(f"{uri} is a compressed tar file, in which nothing can be found; unpack it.")
    if name.endswith(_OTHER_ARCHIVES):
        raise HarError(f"{uri} is an archive that is not read; unpack it, or make a .tar of it.")
    if name.endswith(".tar"):
        yield from list_tar(uri)
    elif name.endswith(TABLE_SUFFIXES):
        yield from list_table(uri, column)
    elif name.endswith(LIST_SUFFIXES):
        yield from _list_lines(uri)
    elif info is not None:
        yield remote_item(uri, info)
    else:
        yield local_item(uri)


def _list_lines(uri: str) -> Iterator[Item]:
    filesystem, path = open_filesystem(uri)
    folder = uri.rpartition("/")[0]
    try:
        with filesystem.open_input_stream(path) as stream:
            for line in _lines(stream):
                if line:
                    yield item_named(line, folder)
    except (OSError, UnicodeDecodeError) as error:
        raise HarError(f"Cannot read the list {uri}: {error}.") from error


def _lines(stream: Any) -> Iterator[str]:
    rest = b""
    while chunk := stream.read(2**20):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8-sig").strip() for line in lines)
    yield rest.decode("utf-8-sig").strip()


def _below(folder: str) -> Iterator[Item]:
    for entry in photographs_below(folder):
        status = entry.stat()
        yield Item(storable(entry.path), status.st_size, status.st_mtime_ns)


def _list_remote(source: str, column: str | None) -> Iterator[Item]:
    filesystem, path = open_filesystem(source)
    if _is_remote_pattern(source, path):
        matches = _matches(source, filesystem, path)
        if not matches:
            raise HarError(f"Nothing matches {source}.")
        for uri, info in matches:
            if info.type.name == "Directory":
                yield from _below_remote(filesystem, info.path, _prefix(source, path))
            else:
                yield from _list_file(uri, column, info)
        return
    info = with_retries(lambda: filesystem.get_file_info(path), source)
    kind = info.type.name
    if kind == "NotFound":
        raise HarError(f"There is no {source}.")
    if kind == "File" and not source.endswith("/"):
        yield from _list_file(source, column, info)
    else:
        yield from _below_remote(filesystem, path, _prefix(source, path))


def _prefix(source: str, path: str) -> str:
    """Return what stands before the paths of a filesystem in URIs: ``s3://``."""
    return "" if path.startswith("http") else source.split("://", 1)[0] + "://"


def _below_remote(filesystem: Any, path: str, prefix: str) -> Iterator[Item]:
    from pyarrow import fs

    listed = with_retries(
        lambda: filesystem.get_file_info(fs.FileSelector(path, recursive=False)), prefix + path
    )
    for info in sorted(listed, key=lambda info: info.path):
        name = info.path.rstrip("/").rpartition("/")[2]
        if is_passed_over(name):
            continue
        if info.type.name == "Directory":
            yield from _below_remote(filesystem, info.path, prefix)
        elif is_photograph_name(name):
            yield remote_item(prefix + info.path, info)


def _is_remote_pattern(source: str, path: str) -> bool:
    return glob.has_magic(path) and not source.startswith("http")


def _matches(source: str, filesystem: Any, path: str) -> list[tuple[str, Any]]:
    """Return what a pattern matches, as on this machine: URI and ``pyarrow.fs.FileInfo``."""
    segments = path.split("/")
    n_fixed = next(i for i, segment in enumerate(segments) if glob.has_magic(segment))
    found = _matching(filesystem, "/".join(segments[:n_fixed]), segments[n_fixed:], source)
    prefix = _prefix(source, path)
    return [(prefix + info.path, info) for info in found]


def _matching(filesystem: Any, folder: str, segments: list[str], source: str) -> Iterator[Any]:
    """Yield what is in a folder of a bucket and matches; ``**`` is any folders, or none."""
    from pyarrow import fs

    selector = fs.FileSelector(folder, allow_not_found=True)
    listed = with_retries(lambda: filesystem.get_file_info(selector), source)
    inside = sorted(listed, key=lambda info: info.path)
    first, *rest = segments
    if first == "**" and rest:
        yield from _matching(filesystem, folder, rest, source)
    for info in inside:
        name = info.path.rpartition("/")[2]
        is_folder = info.type == fs.FileType.Directory
        if name.startswith(".") and not first.startswith("."):
            continue
        if first == "**" and rest:
            if is_folder:
                yield from _matching(filesystem, info.path, segments, source)
        elif fnmatch.fnmatchcase(name, first):
            if not rest:
                yield info
            elif is_folder:
                yield from _matching(filesystem, info.path, rest, source)
