"""Photographs that lie in other files: the cells of a table, the members of a tar file."""

import csv
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import Any, Final

from har_core.dataset.columns import FILENAME_HEADINGS
from har_core.errors import DatasetError, HarError, InvalidImageError
from har_core.images.decoding import MAX_BYTES, too_large
from har_core.images.formats import is_passed_over, is_photograph_name
from har_core.scale.sources.items import Item, item_named
from har_core.scale.sources.locations import is_remote, open_filesystem, with_retries
from har_core.storage.names import real_path
from har_core.storage.paths import exists, is_folder

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".parquet")
ADDRESS_HEADINGS: Final = ("uri", "url", "image_uri", "image_url")
_CONTENTS: Final = ("bytes", "image_bytes", "jpg", "jpeg", "png", "content", "data")
_ROWS: Final = 1024
_ROWS_OF_TEXT: Final = 2**17
_ROWS_OF_BYTES: Final = 64


def list_tar(uri: str) -> Iterator[Item]:
    """List the photographs in a tar file; what lies beside them (labels, texts) is passed over.

    Raises
    ------
    HarError
        If it cannot be read.
    """
    try:
        file, mtime_ns = _open(uri)
        with file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if member.isfile() and is_photograph_name(name) and not is_passed_over(name):
                    yield Item(
                        f"{uri}#{member.name}",
                        member.size,
                        mtime_ns,
                        container=uri,
                        start=member.offset_data,
                    )
    except (OSError, tarfile.TarError, UnicodeError) as error:
        raise HarError(f"Cannot read the tar file {uri}: {error}.") from error


def list_table(uri: str, column: str | None) -> Iterator[Item]:
    """List the photographs that a column of a table names or holds.

    Raises
    ------
    HarError
        If it cannot be read, or has no such column.
    """
    import pyarrow as pa

    try:
        if uri.lower().endswith(".parquet"):
            yield from _list_parquet(uri, column)
        else:
            yield from _list_csv(uri, column)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise HarError(f"Cannot read the table {uri}: {error}.") from error


def _list_csv(uri: str, column: str | None) -> Iterator[Item]:
    name, _ = photographs_column(uri, column)
    _, read = open_table(uri)
    yield from _named(uri, (batch.column(0).to_pylist() for batch in read([name])))


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
        file, _ = _open(uri)
        with file, pq.ParquetFile(file) as table:
            schema = table.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"Cannot read the table {uri}: {error}.") from error
    known = (*ADDRESS_HEADINGS, *_CONTENTS, *FILENAME_HEADINGS)
    name = _chosen(schema.names, column, known, uri)
    return name, holds_bytes(schema.field(name).type)


def open_table(uri: str) -> tuple[list[str], Callable[[list[str]], Iterator[Any]]]:
    """Return the headings of a table, and what reads columns of it as text.

    The columns come as Arrow's record batches, some rows at a time.

    Parameters
    ----------
    uri : str
        Of a CSV file, whose columns are separated by commas, semicolons, tabs or bars; or of a
        Parquet file.

    Raises
    ------
    DatasetError
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
        raise DatasetError(f"Cannot read the table {uri}: {error}.") from error

    def read(names: list[str]) -> Iterator[Any]:
        if head.startswith(b"PAR1"):
            with pq.ParquetFile(path, filesystem=filesystem) as table:
                for batch in table.iter_batches(_ROWS_OF_TEXT, columns=names):
                    yield pa.record_batch(
                        [_as_text(batch[n], classes.get(n)) for n in names], names
                    )
            return
        convert = arrow_csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string())
        )
        parse = arrow_csv.ParseOptions(delimiter=delimiter)
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
    file, mtime_ns = _open(uri)
    with file, pq.ParquetFile(file) as table:
        if inside:
            for row in range(table.metadata.num_rows):
                yield Item(
                    cell_uri(uri, row), mtime_ns=mtime_ns, container=uri, column=name, start=row
                )
            return
        batches = table.iter_batches(_ROWS, columns=[name])
        yield from _named(uri, (b.column(0).cast(pa.string()).to_pylist() for b in batches))


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


def _open(uri: str) -> tuple[Any, int]:
    """Open a file for reading at any place; also return the time of its last change."""
    filesystem, path = open_filesystem(real_path(uri))
    info = filesystem.get_file_info(path)
    file = with_retries(lambda: filesystem.open_input_file(path), uri)
    return file, -1 if info.mtime_ns is None else info.mtime_ns


class ContainerReader:
    """Reads what lies in tar and Parquet files; keeps the last one open, from front to back."""

    def __init__(self) -> None:
        self._key: tuple[str, str] | None = None
        self._file: Any = None
        self._rows: Iterator[tuple[int, Any]] = iter(())

    def read(self, item: Item) -> bytes:
        """Return the bytes of an item with a container.

        Raises
        ------
        InvalidImageError
            If its cell is empty, or it is too large.
        OSError
            If the container cannot be read.
        """
        if item.column:
            return self._read_cell(item)
        if item.size > MAX_BYTES:
            raise too_large(item.size)
        if self._key != (item.container, ""):
            self._file, _ = _open(item.container)
            self._key = (item.container, "")
        self._file.seek(item.start)
        return self._file.read(item.size)

    def _read_cell(self, item: Item) -> bytes:
        row, value = next(self._rows, (-1, None)) if self._key == _key(item) else (-1, None)
        if row > item.start or row < 0:  # another table, or further up
            self._rows = _rows_from(item)
            self._key = _key(item)
            row, value = next(self._rows)
        while row < item.start:
            row, value = next(self._rows)
        assert value is not None
        data = value.as_py()
        if isinstance(data, dict):
            data = data.get("bytes")
        if data is None:
            raise InvalidImageError(f"{item.uri} is empty.", "empty")
        return data


def _key(item: Item) -> tuple[str, str]:
    return item.container, item.column


def _rows_from(item: Item) -> Iterator[tuple[int, Any]]:
    """Yield rows and cells of a column from the row group on that holds an item."""
    import pyarrow.parquet as pq

    file, _ = _open(item.container)
    with file, pq.ParquetFile(file) as table:
        sizes = [table.metadata.row_group(g).num_rows for g in range(table.num_row_groups)]
        first, row = 0, 0
        while row + sizes[first] <= item.start:
            row += sizes[first]
            first += 1
        groups = list(range(first, len(sizes)))
        for batch in table.iter_batches(_ROWS_OF_BYTES, groups, columns=[item.column]):
            for cell in batch.column(0):
                yield row, cell
                row += 1
