"""Photographs that lie in other files: the cells of a table, the members of a tar file."""

import codecs
import contextlib
import csv
import io
import itertools
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from har_core.dataset.columns import FILENAME_HEADINGS
from har_core.errors import HarError, on_one_line
from har_core.images.formats import is_passed_over, is_photograph_name
from har_core.scale.sources.items import Item, item_named
from har_core.scale.sources.locations import (
    SourceDamagedError,
    is_remote,
    open_file,
)
from har_core.storage.names import real_path, storable
from har_core.storage.paths import exists, is_folder
from har_core.wording import are, counted

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".parquet")
ADDRESS_HEADINGS: Final = ("uri", "url", "image_uri", "image_url")
_NAMING: Final = (*ADDRESS_HEADINGS, *FILENAME_HEADINGS)
_UTF_8: Final = "utf-8-sig"
_WINDOWS: Final = "cp1252"
_PARQUET: Final = b"PAR1"
_CONTENTS: Final = ("bytes", "image_bytes", "jpg", "jpeg", "png", "content", "data")
_ROWS: Final = 1024
_ROWS_OF_TEXT: Final = 2**17
_MOST_WRONG: Final = 0.01
# To learn which folder a table's names are relative to: each, in every folder beside the table.
_LOOKED_FOR: Final = 20


def list_tar(uri: str) -> Iterator[Item]:
    """List the photographs in a tar file; what lies beside them (labels, texts) is passed over.

    Raises
    ------
    SourceDamagedError
        If it cannot be read, or not all of it; at the end.
    """
    try:
        file, mtime_ns = open_file(uri)
        with file, tarfile.open(fileobj=file, mode="r:", ignore_zeros=True) as archive:
            for member in _members(archive, file):
                # It would keep all of them, half a KB each; typeshed does not know the list.
                archive.members.clear()  # type: ignore[attr-defined]
                name = member.name.rpartition("/")[2]
                if member.isfile() and is_photograph_name(name) and not is_passed_over(name):
                    yield Item(
                        storable(f"{uri}#{member.name}"),
                        member.size,
                        mtime_ns,
                        container=uri,
                        start=member.offset_data,
                    )
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise SourceDamagedError(
            f"Cannot read the tar file {uri}: {on_one_line(error)}."
        ) from error


def _members(archive: tarfile.TarFile, file: Any) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar file, also those behind a damaged header or an end mark.

    `tarfile` by itself ends at either as if that were the end of the file. Behind an end mark may
    be another tar file, or what a hole of zeros has left.
    """
    end = file.seek(0, os.SEEK_END)
    archive.ignore_zeros = False  # which was for a first member behind damage
    file.seek(0)
    block = file.read(tarfile.BLOCKSIZE)
    closed = not block.strip(b"\0")
    damaged = None if closed or _is_header(block) else 0
    with contextlib.suppress(tarfile.ReadError):
        if (first := archive.next()) is not None:
            yield first
            closed = False
    while archive.offset < end:
        with contextlib.suppress(tarfile.ReadError):
            if (member := archive.next()) is not None:
                yield member
                closed = False
                continue
        if archive.offset < end:
            file.seek(archive.offset)
            closed = not file.read(tarfile.BLOCKSIZE).strip(b"\0")
            damaged = archive.offset if damaged is None and not closed else damaged
            archive.offset += tarfile.BLOCKSIZE
    if damaged is not None:
        raise tarfile.ReadError(f"damaged from byte {damaged:,}, where a photograph may be missing")
    if not closed:
        raise tarfile.ReadError("it is cut off; what was behind that is missing")


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def list_table(uri: str, column: str | None) -> Iterator[Item]:
    """List the photographs that a column of a table names or holds.

    Raises
    ------
    SourceDamagedError
        If it cannot be read, or not all of it; at the end.
    HarError
        If it has no such column, or so many of its rows are wrong that the table itself must be.
    """
    import pyarrow as pa

    try:
        head = b"" if uri.lower().endswith(".parquet") else _head(uri)
        if not head or head.startswith(_PARQUET):
            yield from _list_parquet(uri, column)
        else:
            yield from _list_csv(uri, column, head)
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise _unreadable_table(uri, error) from error


def _unreadable_table(uri: str, error: Exception) -> SourceDamagedError:
    return SourceDamagedError(f"Cannot read the table {uri}: {on_one_line(error)}.")


def _head(uri: str) -> bytes:
    file, _ = open_file(uri)
    with file:
        return file.read(2**16)


def _list_csv(uri: str, column: str | None, head: bytes) -> Iterator[Item]:
    headings, delimiter = _headings(head)
    place = headings.index(_chosen(headings, column, _NAMING, uri))
    n = n_wrong = 0
    first = ""

    def cells(rows: Iterator[list[str]]) -> Iterator[list[str | None]]:
        nonlocal n, n_wrong, first
        for row in rows:
            n += bool(row)
            if len(row) == len(headings):
                yield [row[place]]
            elif row:
                n_wrong += 1
                first = (
                    first or f"the first has {counted(len(row), 'cell')} instead of {len(headings)}"
                )

    file, _ = open_file(uri)
    with (
        file,
        # A name that is no Unicode is one all the same, as in a folder.
        io.TextIOWrapper(file, _UTF_8, errors="surrogateescape", newline="") as text,
    ):
        rows = csv.reader(text, delimiter=delimiter)
        next(row for row in rows if row)  # blank lines may come first
        yield from _named(uri, cells(rows))
    if n_wrong:
        said = f"{n_wrong:,} of {counted(n, 'row')} {are(n_wrong)} left out; {first}"
        if n_wrong > _MOST_WRONG * n:
            raise HarError(f"Cannot read the table {uri}: {said}. Quote cells with commas in them.")
        raise ValueError(said)


def photographs_column(uri: str, column: str | None = None) -> tuple[str, bool]:
    """Return which column of a table its photographs are in, and whether that holds their bytes.

    Parameters
    ----------
    uri : str
    column : str, optional
        Default: found by its usual names.

    Raises
    ------
    HarError
        If the table cannot be read, or has no such column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Workers, who read photographs alone, do without pandas.
    from har_core.dataset.cells import holds_bytes

    if not uri.lower().endswith(".parquet"):
        headings, _ = open_table(uri)
        return _chosen(headings, column, _NAMING, uri), False
    try:
        file, _ = open_file(uri)
        with file, pq.ParquetFile(file) as table:
            schema = table.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise _unreadable_table(uri, error) from error
    known = (*ADDRESS_HEADINGS, *_CONTENTS, *FILENAME_HEADINGS)
    name = _chosen(schema.names, column, known, uri)
    return name, holds_bytes(schema.field(name).type)


def _headings(head: bytes, encoding: str = _UTF_8) -> tuple[list[str], str]:
    """Return the headings of a CSV file by its beginning, and what separates its columns.

    Raises
    ------
    ValueError
        If it has none.
    """
    text = head.decode(encoding, errors="replace").lstrip("\r\n")
    line = re.split("[\r\n]", text, maxsplit=1)[0]
    if not line:
        raise ValueError("it is empty")
    if "\0" in line:
        raise ValueError("it is no text; save it as CSV in UTF-8")
    delimiter = max(",;\t|", key=line.count)
    return next(csv.reader([line], delimiter=delimiter)), delimiter


def _encoding(head: bytes) -> str:
    """Tell how a table is written by its beginning, as `har_core.dataset.cells.read_cells` does."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder(_UTF_8)().decode(head)  # the last sign may be cut off
    except UnicodeDecodeError:
        return _WINDOWS
    return _UTF_8


def open_table(uri: str) -> tuple[list[str], Callable[[list[str]], list[Any]]]:
    """Return the headings of a table, and what reads columns of it as text.

    The columns come as Arrow's record batches.

    Parameters
    ----------
    uri : str
        Of a CSV file, whose columns are separated by commas, semicolons, tabs or bars, in UTF-8,
        UTF-16 or else Windows-1252; or of a Parquet file.

    Raises
    ------
    SourceDamagedError
        If it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv as arrow_csv

    from har_core.dataset.embedded import class_names_of

    try:
        head = _head(uri)
        if head.startswith(_PARQUET):
            file, _ = open_file(uri)
            with file, pq.ParquetFile(file) as table:
                headings = list(table.schema_arrow.names)
                classes = class_names_of(table.schema_arrow)
        else:
            encoding = _encoding(head)
            headings, delimiter = _headings(head, encoding)
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise _unreadable_table(uri, error) from error

    def read(names: list[str]) -> list[Any]:
        if head.startswith(_PARQUET):
            file, _ = open_file(uri)
            with file, pq.ParquetFile(file) as table:
                return [
                    pa.record_batch([_as_text(batch[n], classes.get(n)) for n in names], names)
                    for batch in table.iter_batches(_ROWS_OF_TEXT, columns=names)
                ]
        try:
            return read_text(names, encoding)
        except pa.ArrowInvalid as error:
            if encoding != _UTF_8 or "invalid UTF8" not in str(error):
                raise
            return read_text(names, _WINDOWS)

    def read_text(names: list[str], encoding: str) -> list[Any]:
        convert = arrow_csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string())
        )
        parse = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        written = arrow_csv.ReadOptions(encoding="utf8" if encoding == _UTF_8 else encoding)
        file, _ = open_file(uri)
        with file, arrow_csv.open_csv(file, written, parse, convert) as batches:
            return list(batches)

    return headings, read


def _as_text(column: Any, classes: list[str] | None) -> Any:
    """Return a column as text; classes that it has by their number, by name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if classes is None or not pa.types.is_integer(column.type):
        return column.cast(pa.string())
    known = pc.and_(pc.greater_equal(column, 0), pc.less(column, len(classes)))
    return pa.array(classes, pa.string()).take(pc.if_else(known, column, None))


def _list_parquet(uri: str, column: str | None) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    name, inside = photographs_column(uri, column)
    file, mtime_ns = open_file(uri)
    with file, pq.ParquetFile(file) as table:
        if inside:
            for row in range(table.metadata.num_rows):
                yield Item(
                    cell_uri(uri, row), mtime_ns=mtime_ns, container=uri, column=name, start=row
                )
            return
        lost: list[str] = []

        def cells() -> Iterator[list[str | None]]:
            for group in range(table.num_row_groups):
                try:
                    for batch in table.iter_batches(_ROWS, [group], columns=[name]):
                        yield batch.column(0).cast(pa.string()).to_pylist()
                except (OSError, ValueError, pa.ArrowException) as error:
                    lost.append(str(error))

        yield from _named(uri, cells())
        if lost:
            groups = f"{len(lost):,} of {counted(table.num_row_groups, 'row group')}"
            raise ValueError(f"{groups} cannot be read ({lost[0]})")


def cell_uri(table: str, row: int) -> str:
    """Return the URI of the photograph that a row of a table holds."""
    return f"{table}#{row}"


def _named(uri: str, cells: Iterator[list[str | None]]) -> Iterator[Item]:
    """List the photographs that cells name, relative to their table or to a folder beside it."""
    names = (cell for chunk in cells for cell in chunk if cell)
    first: list[str] = []
    try:
        first.extend(itertools.islice(names, _LOOKED_FOR))
    finally:  # those before a damaged cell are listed, too
        base = base_folder(uri.rpartition("/")[0], first)
        yield from (item_named(name, base) for name in first)
    yield from (item_named(name, base) for name in names)


def base_folder(folder: str, names: Iterable[str]) -> str:
    """Return a table's folder, or the one below it that holds the first photograph that is there.

    Parameters
    ----------
    folder : str
    names : iterable of str
        As in the table, of which the first twenty are looked for.
    """
    if is_remote(folder):
        return folder
    here, below = real_path(folder), None
    for name in itertools.islice(names, _LOOKED_FOR):
        if is_remote(name) or exists(real_path(f"{folder}/{name}")):
            return folder
        if os.path.isabs(name):  # noqa: PTH117
            continue
        if below is None:
            below = sorted(n for n in os.listdir(here) if is_folder(f"{here}/{n}"))  # noqa: PTH208
        found = (n for n in below if exists(real_path(f"{here}/{n}/{name}")))
        if (beside := next(found, None)) is not None:
            return f"{folder}/{storable(beside)}"
    return folder


def _chosen(headings: list[str], column: str | None, known: tuple[str, ...], uri: str) -> str:
    if column is not None:
        if column in headings:
            return column
        raise HarError(f"{uri} has no column {column!r}; there are {', '.join(headings)}.")
    by_name = {heading.strip().lower(): heading for heading in reversed(headings)}
    found = next((by_name[name] for name in known if name in by_name), None)
    if found is None:
        raise HarError(
            f"Which column of {uri} names the photographs? Say it by --column; there are "
            f"{', '.join(headings)}."
        )
    return found
