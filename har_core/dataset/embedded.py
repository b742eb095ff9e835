"""Photographs that lie inside Parquet tables, as the library ``datasets`` writes them."""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from har_core.dataset.cells import column_sizes, holds_bytes
from har_core.dataset.files import PHOTO_FOLDER, DatasetFiles
from har_core.dataset.layouts import CSV_FILE
from har_core.dataset.names import split_of_word
from har_core.errors import DatasetError
from har_core.images.decoding import MAX_BYTES
from har_core.images.formats import PHOTO_FORMATS, is_photograph_name
from har_core.images.listing import files_below
from har_core.images.signatures import identify_content
from har_core.progress import Progress, silent

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE: Final = 64  # whole photographs are in memory
# A value that a file holds once may come in every row: so many are unpacked together.
_BYTES_AT_ONCE: Final = 2**26
_PACKED_TOGETHER: Final = 2**29  # of a column, at most, where somebody else sends the table
_OWN_NAMES: Final = ("filename", "file_name", "path")
_SAFE_NAME: Final = re.compile(r"[\w][\w .()+-]{0,150}")
_SUFFIXES: Final = {entry.name: entry.suffixes[0] for entry in PHOTO_FORMATS}


@dataclass(frozen=True)
class _Source:
    path: Path
    column: str
    split: str
    names: dict[str, list[str]]  # of the columns that hold classes by their number


def tables_with_photographs(folder: Path) -> list[Path]:
    """Return the Parquet files below a folder that hold photographs, sorted.

    Those are in a column of bytes, or of records with the field ``bytes``.

    Raises
    ------
    DatasetError
        If one of the files cannot be read as Parquet.
    """
    found = [Path(e.path) for e in files_below(folder) if e.name.lower().endswith(".parquet")]
    return [path for path in found if _describe(path)]


def describe_inside(files: DatasetFiles) -> str:
    """Say that a folder's photographs lie inside tables, and what to do; ``""`` if none do."""
    inside = []
    for file in files.walk():
        path = files.path(file) if file.lower().endswith(".parquet") else None
        with contextlib.suppress(DatasetError):  # a damaged one is none
            if path and _describe(Path(path)):
                inside.append(file)
    if not inside:
        return ""
    where = inside[0] if len(inside) == 1 else f"{len(inside)} tables ({inside[0]}, …)"
    return (
        f"The photographs lie inside {where}; write them as files by: har unpack "
        f"{quote(str(files.root))} --output NEW_FOLDER"
    )


def unpack_photographs(
    tables: Sequence[Path],
    destination: Path,
    *,
    max_bytes: int | None = None,
    max_rows: int | None = None,
    progress: Progress = silent,
) -> None:
    """Write the photographs inside tables as files, and ``train.csv`` beside them.

    Photographs go to a folder of their split, which a table's name or folder tells
    (``data/test-00000-of-00001.parquet``), else to ``train/``. They keep their names where these
    are plain and not taken. Classes that are numbers get the names that the table records.

    Parameters
    ----------
    tables : sequence of Path
        From `tables_with_photographs`.
    destination : Path
        An existing folder without a ``train.csv``; none of its files is written over.
    max_bytes : int, optional
        Of all photographs together; one may have 20 MB, and so may what else is in the tables.
    max_rows : int, optional
        Of all tables together.
    progress : callable, optional
        Called with (what is being done, done, total).

    Raises
    ------
    DatasetError
        If a table is damaged or holds no photographs, or they are larger than allowed.
    """
    rows: list[dict[str, Any]] = []
    there = (path for path in destination.rglob("*") if path.is_file())
    taken = {path.relative_to(destination).as_posix().casefold() for path in there}
    left, text_left = max_bytes, None if max_bytes is None else MAX_BYTES
    total = sum(_n_rows(table) for table in tables)
    for table in tables:
        source = _describe(table)
        if source is None:
            raise DatasetError(f"{table.name} holds no photographs.")
        folder = source.split or PHOTO_FOLDER
        (destination / folder).mkdir(exist_ok=True)
        for row in _rows(source, None if max_bytes is None else _PACKED_TOGETHER):
            name, data = _picture(row.pop(source.column))
            own = [row.pop(key) for key in [*row] if key.strip().lower() in _OWN_NAMES]
            name = name or next((value for value in own if isinstance(value, str)), "")
            filename = _free_name(folder, name, data, len(rows), taken)
            if max_rows is not None and len(rows) == max_rows:
                raise DatasetError(f"The tables hold more than {max_rows:,} photographs.")
            if text_left is not None:
                text_left -= sum(len(cell) for cell in row.values() if isinstance(cell, str))
                if text_left < 0:
                    raise DatasetError(
                        f"{table.name} holds more than {MAX_BYTES // 2**20} MB of text."
                    )
            if data:
                if len(data) > MAX_BYTES or (left is not None and len(data) > left):
                    raise DatasetError(
                        f"The photographs in {table.name} are larger than allowed (at {filename}): "
                        f"one may have {MAX_BYTES // 2**20} MB."
                    )
                left = None if left is None else left - len(data)
                (destination / filename).write_bytes(data)
            classes = {key: _class_name(row[key], names) for key, names in source.names.items()}
            rows.append({"filename": filename, **row, **classes})
            progress("Unpacking photographs", len(rows), total)
    pd.DataFrame(rows).to_csv(destination / CSV_FILE, index=False)


def _describe(path: Path) -> _Source | None:
    """Find a table's column of photographs; None if it has none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    column = next((field.name for field in schema if holds_bytes(field.type)), None)
    if column is None:
        return None
    words = [*path.stem.replace("-", "_").replace(".", "_").split("_"), path.parent.name]
    split = next(filter(None, map(split_of_word, words)), "")
    return _Source(path, column, split, class_names_of(schema))


def class_names_of(schema: "pa.Schema") -> dict[str, list[str]]:
    """Return the names of numbered classes, as ``datasets`` records them in the schema."""
    try:
        recorded = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = recorded["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if feature.get("_type") == "ClassLabel" and column in schema.names
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _n_rows(path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _rows(source: _Source, most_packed: int | None) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path) as file:
            schema = file.schema_arrow
            plain = [f.name for f in schema if not pa.types.is_nested(f.type)]
            plain = [name for name in plain if not holds_bytes(schema.field(name).type)]
            largest = max((size for _, size in column_sizes(file.metadata)), default=0)
            if most_packed is not None and largest > most_packed:
                raise DatasetError(
                    f"{source.path.name} unpacks to more than is allowed: one of its columns holds "
                    f"{largest // 2**20:,} MB together; write it with smaller row groups."
                )
            n = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE // max(largest, 1)))
            for batch in file.iter_batches(n, columns=[source.column, *plain]):
                yield from batch.to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(source.path, error) from error


def _unreadable(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path.name} cannot be read as Parquet: {error}.")


def _picture(value: Any) -> tuple[str, bytes]:
    """Return a photograph's own name, ``""`` if it has none, and its content, empty if absent."""
    if isinstance(value, dict):
        return str(value.get("path") or ""), value.get("bytes") or b""
    return "", value or b""


def _free_name(folder: str, name: str, data: bytes, number: int, taken: set[str]) -> str:
    base = PurePosixPath(name.replace("\\", "/")).name
    if not (_SAFE_NAME.fullmatch(base) and is_photograph_name(base)):
        suffix = _SUFFIXES.get(identify_content(data).description, ".jpg")
        base = f"{number:06d}{suffix}"
    filename = f"{folder}/{base}"
    while filename.casefold() in taken:
        filename, number = f"{folder}/{number:06d}_{base}", number + 1
    taken.add(filename.casefold())
    return filename


def _class_name(value: Any, names: list[str]) -> Any:
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return "" if value in (None, -1) else value  # -1: the test split's, which nobody may know
