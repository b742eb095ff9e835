"""Photographs that lie in other files: the cells of a table, the members of a tar file."""

import contextlib
import csv
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import Any, Final

from har_core.dataset.columns import FILENAME_HEADINGS
from har_core.errors import HarError
from har_core.images.formats import is_passed_over, is_photograph_name
from har_core.scale.sources.items import Item, item_named
from har_core.scale.sources.locations import (
    SourceDamagedError,
    is_remote,
    open_file,
    open_filesystem,
)
from har_core.storage.names import real_path, storable
from har_core.storage.paths import exists, is_folder

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".parquet")
ADDRESS_HEADINGS: Final = ("uri", "url", "image_uri", "image_url")
_CONTENTS: Final = ("bytes", "image_bytes", "jpg", "jpeg", "png", "content", "data")
_ROWS: Final = 1024
_ROWS_OF_TEXT: Final = 2**17
_MOST_WRONG: Final = 0.01


def list_tar(uri: str) -> Iterator[Item]:
    """List the photographs in a tar file; what lies beside them (labels, texts) is passed over.

    Raises
    ------
    SourceDamagedError
        If it cannot be read, or not all of it; at the end.
    """
    try:
        file, mtime_ns = open_file(uri)
        with file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in _members(archive, file):
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
        raise SourceDamagedError(f"Cannot read the tar file {uri}: {error}.") from error


def _members(archive: tarfile.TarFile, file: Any) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar file, also those behind a damaged header.

    `tarfile` by itself ends there as if that were the end of the file.
    """
    end = file.seek(0, os.SEEK_END)
    damaged: int | None = None
    while True:
        with contextlib.suppress(tarfile.ReadError):
            if (member := archive.next()) is not None:
                yield member
                continue
        if archive.offset >= end:
            raise tarfile.ReadError("it is cut off; what was behind that is missing")
        file.seek(archive.offset)
        block = file.read(tarfile.BLOCKSIZE)
        if not block.strip(b"\0"):
            break
        damaged = archive.offset if damaged is None else damaged
        archive.offset += tarfile.BLOCKSIZE
    if damaged is not None:
        raise tarfile.ReadError(f"damaged from byte {damaged:,}, where a photograph may be missing")


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
        if uri.lower().endswith(".parquet"):
            yield from _list_parquet(uri, column)
        else:
            yield from _list_csv(uri, column)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SourceDamagedError(f"Cannot read the table {uri}: {error}.") from error


def _list_csv(uri: str, column: str | None) -> Iterator[Item]:
    wrong: list[str] = []
    n_wrong = n = 0

    def leave_out(row: Any) -> str:
        nonlocal n_wrong
        n_wrong += 1
        if not wrong:
            wrong.append(f"{row.actual_columns} cells instead of {row.expected_columns}")
        return "skip"

    def cells() -> Iterator[list[str | None]]:
        nonlocal n
        for batch in read([name]):
            n += len(batch)
            # A name that is no Unicode is one all the same, as in a folder.
            yield [cell.decode(errors="surrogateescape") for cell in batch.column(0).to_pylist()]

    headings, read = open_table(uri, leave_out)
    name = _chosen(headings, column, (*ADDRESS_HEADINGS, *FILENAME_HEADINGS), uri)
    yield from _named(uri, cells())
    if n_wrong:
        said = f"{n_wrong:,} of {n + n_wrong:,} rows are left out; the first has {wrong[0]}"
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
        return _chosen(headings, column, (*ADDRESS_HEADINGS, *FILENAME_HEADINGS), uri), False
    try:
        file, _ = open_file(uri)
        with file, pq.ParquetFile(file) as table:
            schema = table.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise SourceDamagedError(f"Cannot read the table {uri}: {error}.") from error
    known = (*ADDRESS_HEADINGS, *_CONTENTS, *FILENAME_HEADINGS)
    name = _chosen(schema.names, column, known, uri)
    return name, holds_bytes(schema.field(name).type)


def open_table(
    uri: str, leave_out: Callable[[Any], str] | None = None
) -> tuple[list[str], Callable[[list[str]], Iterator[Any]]]:
    """Return the headings of a table, and what reads columns of it as text.

    The columns come as Arrow's record batches, some rows at a time.

    Parameters
    ----------
    uri : str
        Of a CSV file, whose columns are separated by commas, semicolons, tabs or bars; or of a
        Parquet file.
    leave_out : callable, optional
        Called with a row of a CSV file that has too many or too few cells, see
        ``pyarrow.csv.InvalidRow``; returns ``"skip"``. Columns are of bytes then. Default: such
        a row, or one that is no UTF-8, is an error.

    Raises
    ------
    SourceDamagedError
        If it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv as arrow_csv

    from har_core.dataset.embedded import class_names_of

    filesystem, path = open_filesystem(real_path(uri))
    try:
        with filesystem.open_input_stream(path) as stream:
            head = stream.read(2**16)
        if head.startswith(b"PAR1"):
            with pq.ParquetFile(path, filesystem=filesystem) as table:
                headings = list(table.schema_arrow.names)
                classes = class_names_of(table.schema_arrow)
        else:
            lines = re.split(
                "[\r\n]", head.decode("utf-8-sig", errors="replace").lstrip(), maxsplit=1
            )
            line = lines[0].strip()
            delimiter = max(",;\t|", key=line.count)
            headings = next(csv.reader([line], delimiter=delimiter))
    except (OSError, csv.Error, pa.ArrowException) as error:
        raise SourceDamagedError(f"Cannot read the table {uri}: {error}.") from error

    def read(names: list[str]) -> Iterator[Any]:
        if head.startswith(b"PAR1"):
            with pq.ParquetFile(path, filesystem=filesystem) as table:
                for batch in table.iter_batches(_ROWS_OF_TEXT, columns=names):
                    yield pa.record_batch(
                        [_as_text(batch[n], classes.get(n)) for n in names], names
                    )
            return
        kind = pa.binary() if leave_out else pa.string()
        convert = arrow_csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, kind)
        )
        parse = arrow_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=leave_out)
        with (
            filesystem.open_input_stream(path) as stream,
            arrow_csv.open_csv(stream, parse_options=parse, convert_options=convert) as batches,
        ):
            yield from batches

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
            groups = f"{len(lost)} of {table.num_row_groups} row groups"
            raise ValueError(f"{groups} cannot be read ({lost[0]})")


def cell_uri(table: str, row: int) -> str:
    """Return the URI of the photograph that a row of a table holds."""
    return f"{table}#{row}"


def _named(uri: str, cells: Iterator[list[str | None]]) -> Iterator[Item]:
    """List the photographs that cells name, relative to their table or to a folder beside it."""
    folder = uri.rpartition("/")[0]
    base: str | None = None
    for chunk in cells:
        for cell in chunk:
            if cell:
                base = base_folder(folder, cell) if base is None else base
                yield item_named(cell, base)


def base_folder(folder: str, first: str) -> str:
    """Return a table's folder, or the one below it that holds its first photograph."""
    if is_remote(folder) or is_remote(first) or exists(f"{folder}/{first}"):
        return folder
    below = sorted(f"{folder}/{name}" for name in os.listdir(folder))  # noqa: PTH208
    found = (path for path in below if is_folder(path) and exists(f"{path}/{first}"))
    return next(found, folder)


def _chosen(headings: list[str], column: str | None, known: tuple[str, ...], uri: str) -> str:
    if column is not None:
        if column in headings:
            return column
        raise HarError(f"{uri} has no column {column!r}; there are {', '.join(headings)}.")
    by_name = {heading.lower(): heading for heading in reversed(headings)}
    found = next((by_name[name] for name in known if name in by_name), None)
    if found is None:
        raise HarError(
            f"Which column of {uri} names the photographs? Say it by --column; there are "
            f"{', '.join(headings)}."
        )
    return found
