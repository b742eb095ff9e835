"""The bytes of photographs that lie in tar and Parquet files."""

import bisect
import itertools
from collections.abc import Iterator
from typing import Any, Final

from har_core.errors import InvalidImageError
from har_core.images.decoding import MAX_BYTES, too_large
from har_core.scale.sources.items import Item
from har_core.scale.sources.locations import open_file

# A damaged page of a Parquet file costs at most so many photographs before it.
_ROWS: Final = 8


class ContainerReader:
    """Reads what lies in tar and Parquet files; keeps the last one open, from front to back."""

    def __init__(self) -> None:
        self._key: tuple[str, str] | None = None
        self._file: Any = None

    def read(self, item: Item) -> bytes:
        """Return the bytes of an item with a container.

        Raises
        ------
        InvalidImageError
            If its cell is empty, it is too large, or its end is missing.
        SourceLostError
            If a server stays away.
        Exception
            Of whatever reads the container; it may have others that are sound.
        """
        if item.size > MAX_BYTES:
            raise too_large(item.size)
        if self._key != (item.container, item.column):
            self._key = None
            self._file = _Column(item) if item.column else open_file(item.container)[0]
            self._key = item.container, item.column
        if item.column:
            return self._file.read(item)
        self._file.seek(item.start)
        data = self._file.read(item.size)
        if len(data) < item.size:
            raise InvalidImageError(f"{item.container} is cut off in {item.uri}.", "truncated")
        return data


class _Column:
    """A column of a Parquet file; of a damaged row group is lost what is behind the damage."""

    def __init__(self, item: Item) -> None:
        import pyarrow.parquet as pq

        file, _ = open_file(item.container)
        self._table = pq.ParquetFile(file)
        metadata = self._table.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._ends = list(itertools.accumulate(sizes))
        self._group = -1
        self._row = 0
        self._cells: Iterator[Any] = iter(())
        self._damage: Exception | None = None

    def read(self, item: Item) -> bytes:
        """Return a cell's bytes; raises as `ContainerReader.read`."""
        group = bisect.bisect_right(self._ends, item.start)
        if group != self._group or item.start < self._row:
            batches = self._table.iter_batches(_ROWS, [group], columns=[item.column])
            self._cells = (cell for batch in batches for cell in batch.column(0))
            self._row = self._ends[group - 1] if group else 0
            self._group, self._damage = group, None
        if self._damage is not None:
            raise self._damage.with_traceback(None)  # else it grows with every row
        try:
            while self._row <= item.start:
                cell = next(self._cells)
                self._row += 1
        except Exception as error:
            self._damage = error
            raise
        data = cell.as_py()
        if isinstance(data, dict):
            data = data.get("bytes")
        if data is None:
            raise InvalidImageError(f"{item.uri} is empty.", "empty")
        return data
