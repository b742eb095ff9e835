"""Reading a table's cells as they are, in whichever way a program wrote them."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from har_core.dataset.columns import has_filenames
from har_core.errors import DatasetError, on_one_line
from har_core.images.signatures import TEXT, identify_content

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Of tables; a dataset's folder is searched for these.
TABLE_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".json")
_DELIMITERS: Final = ",;\t|"
_PARQUET: Final = b"PAR1"
_OFFICE: Final = (b"PK\3\4", b"\xd0\xcf\x11\xe0")
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
# What no text holds: control characters but tab and line breaks, a byte order mark within.
_BINARY: Final = frozenset(map(chr, (*range(32), 0xFEFF))) - set("\t\n\r\f\v\x1a")
_BYTE_ORDER_MARK: Final = "\ufeff"
_JSON: Final = re.compile(r"\s*(\[\s*)?\{")
_NEXT_OBJECT: Final = re.compile(r"[\s,]*(?=\{)")
_HEAD_BYTES: Final = 64 * 2**10
# As text in memory: 30 columns of a million photographs.
_MOST_CELLS: Final = 30_000_000
_MOST_TEXT: Final = 2**30  # bytes in a column of Parquet, where they may be packed very well
# How pandas puts it.
_TOO_MANY_CELLS: Final = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_OPEN_QUOTE: Final = re.compile(r"EOF inside string starting at row (\d+)")


@dataclass(frozen=True, eq=False)
class Cells:
    """A table as text.

    Parameters
    ----------
    headings : list of str
        Without outer spaces; ``""`` for a column without a name.
    values : DataFrame of str
        One column per heading, numbered from 0; an absent value is ``""``.
    note : str
        What was guessed about how the file is written, ``""`` if nothing was.
    """

    headings: list[str]
    values: pd.DataFrame
    note: str = ""


def read_cells(source: Path | io.BytesIO, name: str) -> Cells:
    """Read a table: CSV with ``, ; | `` or tabs, Parquet, JSON lines or a JSON list of objects.

    Text is UTF-8, UTF-16, or else Windows-1252, which is noted.

    Parameters
    ----------
    source : Path or BytesIO
    name : str
        For messages.

    Raises
    ------
    DatasetError
        If there is no such file, or it is no such table.
    """
    try:
        data = source.getvalue() if isinstance(source, io.BytesIO) else source.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(
            f"There is no {name}; it must hold the columns filename,label."
        ) from error
    except (OSError, ValueError) as error:  # the latter of a path with a NUL
        cause = getattr(error, "strerror", None) or error
        raise DatasetError(f"{name} cannot be read: {cause}.") from error
    return _parse(data, name)


def read_headings(path: Path) -> list[str] | None:
    """Return a table's headings from the beginning of its file; None if it is no table."""
    try:
        with path.open("rb") as file:
            if file.read(len(_PARQUET)) == _PARQUET:
                return _parquet_headings(path)
            file.seek(0)
            head = file.read(_HEAD_BYTES)
        if len(head) == _HEAD_BYTES and b"\n" in head:  # whole lines only
            head = head[: head.rindex(b"\n") + 1]
            head += b"\0" * (head.startswith(b"\xff\xfe"))  # a line break of UTF-16 has two bytes
        text = _text_of(head, path.name)[0]
        lone = path.suffix.lower() == ".json" and "\n" not in text.strip() and text[:1] == "{"
        return None if lone else _headings_of(text)  # a lone object is one photograph's annotation
    except (OSError, ValueError, RecursionError, csv.Error, DatasetError):
        return None


def _headings_of(text: str) -> list[str] | None:
    """Return the headings of the beginning of a text; None if it is no table.

    Lines that cannot be read, or a cell whose end is not here, make no other file of a table of
    photographs; in a text of any other kind they tell that it is none.
    """
    if found := _JSON.match(text):
        return _headings_of_list(text, found.end(1)) if found[1] else _read_json(text, "").headings
    text, delimiter = _dialect(text)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    headings = [heading.strip() for heading in next(filter(any, rows), [])]
    if _is_quoted_line(headings):
        return _headings_of(headings[0])
    if has_filenames(headings):
        return headings
    return headings if all(len(row) <= len(headings) for row in rows) else None


def _headings_of_list(text: str, at: int) -> list[str]:
    """Return the headings of the objects that are whole, from a position in a list on."""
    headings: dict[str, None] = {}
    with suppress(ValueError):  # where the head of a file ends, the list may go on
        while found := _NEXT_OBJECT.match(text, at):
            row, at = json.JSONDecoder().raw_decode(text, found.end())
            headings |= dict.fromkeys(heading.strip() for heading in row)
    return list(headings)


def _parse(data: bytes, name: str) -> Cells:
    if data.startswith(_PARQUET):
        return _read_parquet(data, name)
    text, note = _text_of(data, name)
    try:
        if _JSON.match(text):
            return _read_json(text, note)
        return _read_delimited(text, note)
    except (ValueError, csv.Error) as error:
        raise DatasetError(f"{name} cannot be read as a table: {_in_words(error)}.") from error


def _text_of(data: bytes, name: str) -> tuple[str, str]:
    """Return the text, and what was guessed about its encoding."""
    if data.startswith(_OFFICE):
        raise DatasetError(f"{name} is a workbook or an archive; save the table as CSV.")
    if (kind := identify_content(data[:_HEAD_BYTES])).category == "html" or kind.is_pointer:
        raise DatasetError(f"{name} is {kind.description}, not a table; get the table itself.")
    note = ""
    try:
        if data.startswith(_UTF_16):
            text = data.decode("utf-16")
        else:
            try:
                text = data.decode("utf-8-sig")
            except UnicodeDecodeError:
                text = data.decode("cp1252")
                note = "it is not UTF-8, so it is read as Windows-1252"
    except UnicodeDecodeError as error:
        raise DatasetError(f"{name} cannot be read as a table: {_what_it_is(data)}.") from error
    text = text.lstrip(_BYTE_ORDER_MARK).removesuffix("\x1a")  # as old programs end a text
    if unfit := _BINARY.intersection(text[:_HEAD_BYTES]):
        what = _what_it_is(data)
        if unfit.isdisjoint({"\0", _BYTE_ORDER_MARK}):
            mark = min(unfit)
            line = text.count("\n", 0, text.index(mark)) + 1
            what = f"line {line} holds a control character ({ord(mark):#04x}); remove it"
        raise DatasetError(f"{name} cannot be read as a table: {what}.")
    return text if "\n" in text else text.replace("\r", "\n"), note  # as old Macs break lines


def _what_it_is(data: bytes) -> str:
    kind = identify_content(data[:_HEAD_BYTES])
    if kind.category == "readable":
        return f"it is a picture ({kind.description})"
    if kind.category != "unknown" and kind.description != TEXT:
        return f"it is {kind.description}"
    return "it is no text; save it as CSV in UTF-8"


def _in_words(error: Exception) -> str:
    """Say what is wrong with a table without its reader's own terms, counted as editors do."""
    said = " ".join(str(error).split())
    if found := _TOO_MANY_CELLS.search(said):
        expected, line, seen = found.groups()
        return (
            f"line {line} has {seen} cells, the lines before have {expected}; put quotation marks "
            "around a cell that holds the delimiter"
        )
    if found := _OPEN_QUOTE.search(said):
        return f"the quotation mark that line {int(found[1]) + 1} opens is never closed"
    if "No columns to parse" in said:
        return "it is empty"
    return said


def _dialect(text: str) -> tuple[str, str]:
    """Return the table's own text, and its delimiter."""
    first, _, rest = text.lstrip("\r\n").partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) <= len("sep=,"):
        return rest, first.strip()[4:] or "\t"  # as spreadsheets tell each other
    rows = {mark: next(csv.reader([first], delimiter=mark)) for mark in _DELIMITERS}
    # The one that makes a known heading, or else the most, of the first line.
    return text, max(_DELIMITERS, key=lambda mark: (has_filenames(rows[mark]), len(rows[mark])))


def _read_delimited(text: str, note: str) -> Cells:
    text, delimiter = _dialect(text)
    # With the names as its header pandas would take the first column for an index where rows end
    # in one delimiter more than the header.
    table = pd.read_csv(
        io.StringIO(text),
        sep=delimiter,
        header=None,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=f'{delimiter} "' in text,
    )
    # Spreadsheets leave rows of nothing but delimiters behind.
    table = table[table.ne("").any(axis=1)].reset_index(drop=True)
    if table.empty:
        raise ValueError("it is empty")
    headings = [heading.strip() for heading in table.iloc[0]]
    if _is_quoted_line(headings):
        return _read_delimited("\n".join(table[0]), note)
    return Cells(headings, table.iloc[1:].reset_index(drop=True), note)


def _is_quoted_line(headings: list[str]) -> bool:
    """Tell whether each line is one cell in quotation marks, as spreadsheets turn a table into."""
    if len(headings) != 1 or has_filenames(headings):
        return False
    cells = (next(csv.reader(io.StringIO(headings[0]), delimiter=mark), []) for mark in _DELIMITERS)
    return any(map(has_filenames, cells))


def _read_json(text: str, note: str) -> Cells:
    """Read an object in each line, or a list of objects."""
    rows: list[dict[str, str]] = []
    for where, row in _json_values(text):
        if not isinstance(row, dict):
            raise ValueError(f"{where} is no JSON object")
        if row and all(isinstance(value, (dict, list)) for value in row.values()):
            raise ValueError(
                f"{where} holds lists or objects only; write a list with one object for each "
                'photograph: {"filename": …, "label": …}'
            )
        rows.append({heading.strip(): _as_text(value) for heading, value in row.items()})
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    _check_size(len(rows), len(headings))
    values = pd.DataFrame([[row.get(h, "") for h in headings] for row in rows], dtype=str)
    return Cells(headings, values, note)


def _check_size(n_rows: int, n_columns: int) -> None:
    if n_rows * n_columns > _MOST_CELLS:
        raise ValueError(
            f"it has {n_rows:,} rows and {n_columns:,} columns, too many to be in memory; leave "
            "out the columns that are not needed"
        )


def _json_values(text: str) -> Iterator[tuple[str, Any]]:
    if text.lstrip().startswith("["):
        for number, value in enumerate(_json_value(text, "it"), 1):
            yield f"entry {number}", value
        return
    for number, line in enumerate(text.split("\n"), 1):  # other line breaks may be in a text
        if line.strip():
            yield f"line {number}", _json_value(line, f"line {number}")


def _json_value(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where} is no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deeply") from error


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read_parquet(data: bytes, name: str) -> Cells:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(pa.BufferReader(data))
        known = [field.name for field in schema if not pa.types.is_nested(field.type)]
        if repeated := sorted(heading for heading, n in Counter(known).items() if n > 1):
            raise ValueError(f"it has more than one column {' and '.join(repeated)}")
        # A text that the file holds once is then in memory once, however many rows have it.
        with pq.ParquetFile(pa.BufferReader(data), read_dictionary=known) as file:
            n_rows = file.metadata.num_rows
            _check_size(n_rows, len(known))
            large = _large_columns(file.metadata)
            texts = {
                h: None if h in large else _text_column(file.read(columns=[h]).column(0))
                for h in known
            }
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f"{name} cannot be read as Parquet: {on_one_line(error)}.") from error
    columns = {heading: text for heading, text in texts.items() if text is not None}
    left_out = [heading for heading in schema.names if heading not in columns]
    values = pd.concat(columns.values(), axis=1) if columns else pd.DataFrame(index=range(n_rows))
    values.columns = pd.RangeIndex(len(columns))
    note = f"its columns {', '.join(left_out)} are no text and left out" if left_out else ""
    return Cells([heading.strip() for heading in columns], values, note)


def column_sizes(metadata: "pq.FileMetaData") -> Iterator[tuple[str, int]]:
    """Yield each column of each group of rows, and its bytes, a repeated value counted once."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            yield column.path_in_schema, column.total_uncompressed_size


def _large_columns(metadata: "pq.FileMetaData") -> set[str]:
    """Return the columns that would fill the memory, a text that the file holds once counted so."""
    sizes: Counter[str] = Counter()
    for column, size in column_sizes(metadata):
        sizes[column] += size
    return {column for column, size in sizes.items() if size > _MOST_TEXT}


def _text_column(column: "pa.ChunkedArray") -> pd.Series | None:
    """Return a column of Parquet as text; None if it is none: pictures and the like."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_dictionary(column.type):
            kind = column.type.value_type
            if pa.types.is_string(kind) or holds_bytes(kind):
                lengths = (
                    pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices)).as_py() or 0
                    for chunk in column.chunks
                )
                if sum(lengths) > _MOST_TEXT:
                    return None
            column = column.cast(kind)
        return column.cast(pa.string()).fill_null("").to_pandas().astype(str)
    except pa.ArrowException:
        return None


def holds_bytes(kind: Any) -> bool:
    """Tell whether an Arrow type is of bytes, or of records with bytes: of pictures, say."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and holds_bytes(kind.field(index).type)
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(is_kind(kind) for is_kind in kinds)


def _parquet_headings(path: Path) -> list[str] | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Only what can be text: a column of pictures names none.
        return [
            field.name.strip()
            for field in pq.read_schema(path)
            if not (pa.types.is_nested(field.type) or holds_bytes(field.type))
        ]
    except (OSError, ValueError, pa.ArrowException):
        return None
