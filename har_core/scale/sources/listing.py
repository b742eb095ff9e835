"""What the arguments of a job mean: folders, patterns, lists, tables, tar files, buckets.

Everything is listed as it is found, so that a million photographs need no memory.
"""

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from har_core.errors import HarError, on_one_line
from har_core.images.formats import is_passed_over, is_photograph_name
from har_core.images.listing import photographs_below
from har_core.scale.sources.containers import TABLE_SUFFIXES, list_table, list_tar
from har_core.scale.sources.items import Item, item_named, local_item, remote_item
from har_core.scale.sources.locations import (
    WEB,
    SourceDamagedError,
    absolute_path,
    is_remote,
    open_file,
    open_filesystem,
    with_retries,
)
from har_core.storage.names import printable, real_path, storable
from har_core.storage.paths import is_file, is_folder
from har_core.storage.patterns import Entry, matching, matching_here

LIST_SUFFIXES: Final = (".txt", ".lst", ".list")
_OTHER_LISTS: Final = (".json", ".jsonl", ".ndjson", ".xlsx", ".xls")
_OTHER_ARCHIVES: Final = (".zip", ".7z", ".rar")
Whole = Callable[[str], object]
_COMPRESSED_TARS: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


class Matches(NamedTuple):
    """What a pattern stands for.

    Parameters
    ----------
    found : list of Entry
        With their URIs as paths.
    listed : list of str
        URIs of the folders that were looked into.
    troubles : list of Item
        Folders that could not be listed.
    """

    found: list[Entry]
    listed: list[str]
    troubles: list[Item]


def list_sources(
    sources: Sequence[str],
    column: str | None = None,
    whole: Whole = lambda uri: None,
    *,
    known: Mapping[str, Matches] = MappingProxyType({}),
) -> Iterator[Item]:
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
    whole : callable, optional
        Called with the URI of each folder, list, table and tar file that was read to its end.
    known : mapping, optional
        What `tables_among` has found out about some of the sources.

    Yields
    ------
    Item
        In a folder photographs are told by their names, other files on this machine by their
        content. A photograph that a list names and that is not there is listed, and fails later.
        What cannot be read of a source is one item with `Item.trouble`, after what can.

    Raises
    ------
    HarError
        If a source does not exist or holds no photograph, or none of them can be read.
    """
    good, trouble = False, ""
    for source in sources:
        empty = True
        for item in _list_source(source, column, whole, known.get(source)):
            empty = False
            good |= not item.trouble
            trouble = trouble or item.trouble
            yield item
        if empty:
            raise HarError(_nothing_in(source))
    if trouble and not good:
        raise HarError(trouble)


def _nothing_in(source: str) -> str:
    name = source.lower()
    if name.endswith((*LIST_SUFFIXES, *TABLE_SUFFIXES)):
        return f"{source} names no photographs: it has no rows with a name."
    if name.endswith(".tar"):
        return f"The tar file {source} holds no photographs."
    beside = [".tar"]  # a bucket is not listed twice
    if not is_remote(source):
        folder = absolute_path(source)
        beside = os.listdir(folder) if is_folder(folder) else []  # noqa: PTH208
    hint = ""
    if any(name.lower().endswith((".tar", *TABLE_SUFFIXES)) for name in beside):
        hint = f" Tables and tar files in it are named by a pattern: '{source.rstrip('/')}/*.tar'."
    return f"{source} holds no photographs.{hint}"


def tables_among(sources: Sequence[str]) -> tuple[list[str] | None, dict[str, Matches]]:
    """Find the tables that sources stand for.

    Returns
    -------
    tables : list of str or None
        URIs; None if a source stands for something else.
    known : dict of str to Matches
        What patterns among the sources were found to match, for `list_sources`: a bucket is not
        listed twice.
    """
    found: list[str] = []
    known: dict[str, Matches] = {}
    for source in sources:
        suffix = PurePosixPath(source).suffix.lower()
        if suffix and not glob.has_magic(suffix) and suffix not in TABLE_SUFFIXES:
            return None, known  # without listing what a pattern matches
        if _is_pattern(source):
            known[source] = _matches(source)
            found += [entry.path for entry in known[source].found]
        else:
            found.append(source if is_remote(source) else storable(absolute_path(source)))
    if not found or not all(uri.lower().endswith(TABLE_SUFFIXES) for uri in found):
        return None, known
    return found, known


def files_among(sources: Sequence[str]) -> Iterator[str]:
    """Yield what sources on this machine name, patterns by what they match; some are folders."""
    for source in sources:
        if is_remote(source):
            continue
        if _is_pattern(source):
            yield from (entry.path for entry in _matches(source).found)
        else:
            yield absolute_path(source)


def _is_pattern(source: str) -> bool:
    if is_remote(source):
        return not _is_web(source) and glob.has_magic(open_filesystem(source)[1])
    path = absolute_path(source)
    return glob.has_magic(path) and not is_file(path) and not is_folder(path)


def _is_file(source: str) -> bool:
    """Tell whether a source leads to a file; a bucket is not asked."""
    return is_remote(source) or is_file(absolute_path(source))


def _matches(source: str) -> Matches:
    """List what a pattern matches; it is the same here and in a bucket."""
    listed: list[str] = []
    troubles: list[Item] = []
    if not is_remote(source):
        found = [
            Entry(storable(entry.path), entry.is_folder)
            for entry in matching_here(
                absolute_path(source),
                lambda folder, error: troubles.append(_unlisted(folder, error)),
                lambda folder: listed.append(storable(folder)),
            )
        ]
        return Matches(found, listed, troubles)
    filesystem, path = open_filesystem(source)
    prefix = _prefix(source)

    def inside(folder: str) -> list[Entry]:
        try:
            infos = _listed(filesystem, folder, source)
        except PermissionError as error:
            troubles.append(_refused(prefix + folder, error))
            return []
        listed.append(prefix + folder)
        return [Entry(info.path, info.type.name == "Directory", info) for info in infos]

    found = [entry._replace(path=prefix + entry.path) for entry in matching(path, inside)]
    return Matches(found, listed, troubles)


def _list_source(
    source: str, column: str | None, whole: Whole, known: Matches | None
) -> Iterator[Item]:
    if known is not None or _is_pattern(source):
        yield from _list_matches(source, column, whole, known or _matches(source))
    elif source.lower().endswith(_OTHER_LISTS) and _is_file(source):
        # Only where one is named: what a pattern matches may be notes beside photographs.
        raise HarError(
            f"{source} is a kind of list that is not read: make it a .txt, with a path or URI in "
            "each line, or a table in .csv or .parquet."
        )
    elif is_remote(source):
        yield from _list_remote(source, column, whole)
    elif is_folder(path := absolute_path(source)):
        yield from _below(path, whole)
    elif is_file(path):
        yield from _list_file(storable(path), column, whole)
    else:
        raise HarError(f"There is no {source}.")


def _list_matches(
    source: str, column: str | None, whole: Whole, matches: Matches
) -> Iterator[Item]:
    if not matches.found and not matches.troubles:
        raise HarError(f"Nothing matches {source}.")
    for folder in matches.listed:
        whole(folder)
    below: set[str] = set()  # of ``**/*`` each folder matches, and comes after the one above it

    def read(folder: str) -> None:
        below.add(folder)
        whole(folder)

    for uri, is_a_folder, info in matches.found:
        if not is_a_folder:
            yield from _list_file(uri, column, whole, info)
        elif uri in below:
            continue
        elif info is None:
            yield from _below(real_path(uri), read)
        else:
            filesystem, _ = open_filesystem(source)
            yield from _below_remote(filesystem, info.path, uri.removesuffix(info.path), read)
    yield from matches.troubles


def _unlisted(folder: str, error: OSError) -> Item:
    trouble = f"Cannot list {printable(folder)}: {error.strerror or error}."
    return Item(storable(folder), trouble=trouble)


def _refused(uri: str, error: OSError) -> Item:
    return Item(uri, trouble=f"Cannot list {uri}: {error}.")


def _list_file(uri: str, column: str | None, whole: Whole, info: Any = None) -> Iterator[Item]:
    """List what one file stands for."""
    name = uri.lower()
    if name.endswith(_COMPRESSED_TARS):
        raise HarError(f"{uri} is a compressed tar file, in which nothing can be found; unpack it.")
    if name.endswith(_OTHER_ARCHIVES):
        raise HarError(f"{uri} is an archive that is not read; unpack it, or make a .tar of it.")
    itself = remote_item(uri, info) if info is not None else local_item(uri)
    if name.endswith(".tar"):
        listed = list_tar(uri)
    elif name.endswith(TABLE_SUFFIXES):
        listed = list_table(uri, column)
    elif name.endswith(LIST_SUFFIXES):
        listed = _list_lines(uri)
    else:
        yield itself
        return
    try:
        yield from listed
    except SourceDamagedError as error:
        yield itself._replace(trouble=str(error))
    else:
        whole(uri)


def _list_lines(uri: str) -> Iterator[Item]:
    folder = uri.rpartition("/")[0]
    try:
        file, _ = open_file(uri)
        with file:
            for line in _lines(file):
                if line:
                    yield item_named(line, folder)
    except (OSError, ValueError) as error:
        raise SourceDamagedError(f"Cannot read the list {uri}: {on_one_line(error)}.") from error


def _lines(stream: Any) -> Iterator[str]:
    """Yield lines; a name that is no Unicode is one all the same, as in a folder."""
    rest, first = b"", True
    while chunk := stream.read(2**20):
        *lines, rest = (rest + chunk).split(b"\n")
        if first and b"\0" in (lines[0] if lines else rest):
            raise ValueError("it is no text in UTF-8")
        first = False
        yield from (_line(line) for line in lines)
    yield _line(rest)


def _line(line: bytes) -> str:
    return line.decode("utf-8-sig", errors="surrogateescape").strip()


def _below(folder: str, whole: Whole) -> Iterator[Item]:
    troubles: list[Item] = []

    def told(path: str, error: OSError | None) -> None:
        if error is None:
            whole(storable(path))
        elif not isinstance(error, FileNotFoundError):  # which went just now, with what was in it
            troubles.append(_unlisted(path, error))

    for entry in photographs_below(folder, told):
        try:
            status = entry.stat()
        except FileNotFoundError:
            continue
        except OSError:  # nobody may look at it
            yield Item(storable(entry.path))
        else:
            yield Item(storable(entry.path), status.st_size, status.st_mtime_ns)
    yield from troubles


def _list_remote(source: str, column: str | None, whole: Whole) -> Iterator[Item]:
    filesystem, path = open_filesystem(source)
    prefix = _prefix(source)
    try:
        info = with_retries(lambda: filesystem.get_file_info(path), source)
    except PermissionError as error:
        raise HarError(f"{source} may not be read: {error}.") from error
    kind = info.type.name
    if kind == "NotFound":
        raise HarError(f"There is no {source}.")
    if kind == "File" and not source.endswith("/"):
        yield from _list_file(source, column, whole, info)
    else:
        yield from _below_remote(filesystem, path, prefix, whole)


def _is_web(source: str) -> bool:
    return source.split("://", 1)[0].lower() in WEB


def _prefix(source: str) -> str:
    """Return what stands before the paths of a filesystem in URIs: ``s3://``."""
    return "" if _is_web(source) else source.split("://", 1)[0] + "://"


def _below_remote(filesystem: Any, path: str, prefix: str, whole: Whole) -> Iterator[Item]:
    try:
        listed = _listed(filesystem, path, prefix + path)
    except PermissionError as error:
        yield _refused(prefix + path, error)
        return
    for info in listed:
        name = info.path.rstrip("/").rpartition("/")[2]
        if is_passed_over(name):
            continue
        if info.type.name == "Directory":
            yield from _below_remote(filesystem, info.path, prefix, whole)
        elif is_photograph_name(name):
            yield remote_item(prefix + info.path, info)
    whole(prefix + path)


def _listed(filesystem: Any, folder: str, what: str) -> list[Any]:
    """Return what is in a folder of a bucket, sorted; of one that went just now, nothing."""
    from pyarrow import fs

    selector = fs.FileSelector(folder, allow_not_found=True)
    found = with_retries(lambda: filesystem.get_file_info(selector), what)
    return sorted(found, key=lambda info: info.path)
