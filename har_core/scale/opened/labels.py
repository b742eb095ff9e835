"""Labels of scored photographs: a table of them joined with a RESULTS folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from har_core.errors import DatasetError
from har_core.scale.opened.table import NONE, ResultsTable

Key = Literal["sha256", "uri", "filename"]
# The first one that a table has decides; a photograph is its sha256, the others only say where
# it lies.
KEYS: Final[tuple[Key, ...]] = ("sha256", "uri", "filename")
LABEL: Final = "label"
_SHA256: Final = ("sha256",)
_DIGITS: Final = 64


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels by what tells the photographs apart.

    Parameters
    ----------
    key : {"sha256", "uri", "filename"}
    keys, labels : Series of str, length M
        Each key once.
    contradicted : int
        Keys that were given different labels, and are left out.
    """

    key: Key
    keys: pd.Series
    labels: pd.Series
    contradicted: int

    @classmethod
    def of(cls, table: pd.DataFrame) -> "LabelTable":
        """Take the labels from a table with `LABEL` and one of `KEYS`.

        Raises
        ------
        DatasetError
            If it lacks them, or has no label.
        """
        key = next((name for name in KEYS if name in table), None)
        if key is None or LABEL not in table:
            has = ", ".join(map(str, table)) or "none of them"
            raise DatasetError(
                f"A table of labels has the columns {LABEL!r} and one of "
                f"{', '.join(map(repr, KEYS))}; this one has {has}."
            )
        pairs = table[[key, LABEL]].dropna()
        pairs = pairs[pairs[key].ne("") & pairs[LABEL].ne("")]
        contradicted = 0
        if not pairs[key].is_unique:
            pairs = pairs.drop_duplicates()
            several = pairs[key].duplicated(keep=False)
            contradicted = pairs.loc[several, key].nunique()
            pairs = pairs[~several]
        if pairs.empty:
            raise DatasetError("The table of labels has no row with a label.")
        return cls(key, pairs[key], pairs[LABEL], contradicted)


def read_label_table(path: str | Path) -> LabelTable:
    """Read a CSV or Parquet file with a label for each sha256, URI or filename.

    Raises
    ------
    DatasetError
        If it cannot be read, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = {LABEL, *KEYS}
    path = Path(path).expanduser()
    try:
        if path.suffix.lower() == ".parquet":
            names = [name for name in pq.read_schema(path).names if name in wanted]
            table = pq.read_table(path, columns=names).to_pandas()
        else:
            table = pd.read_csv(path, dtype=str, usecols=lambda name: name in wanted)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f"Cannot read the table of labels {path}: {error}.") from error
    return LabelTable.of(table)


@dataclass(frozen=True, eq=False)
class JoinedLabels:
    """The labels of the rows of a `ResultsTable`.

    Parameters
    ----------
    key : {"sha256", "uri", "filename"}
        What they were joined by.
    label : ndarray of int16, shape (N,)
        Index of the class; -1 where the label is not known or no class.
    counted : ndarray of bool, shape (N,)
        Rows to measure on: with a label and an answer, each photograph once.
    unanswered : int
        Rows with a label but without an answer.
    copies : int
        Rows left out since another one has the same sha256.
    unknown_labels : tuple of str
        Labels that are no class of the model.
    contradicted : int
        See `LabelTable`.
    unmatched : int
        Labels of which there is no row.
    """

    key: Key
    label: np.ndarray
    counted: np.ndarray
    unanswered: int
    copies: int
    unknown_labels: tuple[str, ...]
    contradicted: int
    unmatched: int


def join_labels(table: ResultsTable, labels: LabelTable) -> JoinedLabels:
    """Give the rows of results their labels.

    By URI or filename only where one row alone has it: two photographs may share a name.

    Raises
    ------
    DatasetError
        If no row has a label, or the table's sha256 are none.
    """
    digests = np.concatenate(
        [np.empty((0, 2), np.uint64), *(_digests(p["sha256"]) for _, p in table.read_all(_SHA256))]
    )
    if labels.key == "sha256":
        row_of = _find_digests(digests, _digests(_as_arrow(labels.keys)))
    else:
        row_of = _find_names(table, labels)
    codes = pd.Index(table.class_names).get_indexer(labels.labels)
    label = np.full(table.n, NONE, np.int16)
    found = row_of != NONE
    if not found.any():
        raise DatasetError(
            f"None of the {len(labels.keys):,} labels belongs to these results: no {labels.key} "
            "is the same. Is it the table of other photographs?"
        )
    label[found] = codes[row_of[found]]
    labelled = np.flatnonzero((label != NONE) & table.answered)
    once = labelled[np.unique(digests[labelled, 0], return_index=True)[1]]
    counted = np.zeros(table.n, bool)
    counted[once] = True
    return JoinedLabels(
        labels.key,
        label,
        counted,
        int(((label != NONE) & ~table.answered).sum()),
        len(labelled) - len(once),
        tuple(sorted(map(str, labels.labels[codes == NONE].unique()))),
        labels.contradicted,
        _n_unused(row_of[found], len(labels.keys)),
    )


def count_among(table: ResultsTable, rows: np.ndarray, sha256: pd.Series) -> int:
    """Count the rows whose photographs are among some.

    Parameters
    ----------
    table : ResultsTable
    rows : ndarray of bool, shape (N,)
        Which rows to look at.
    sha256 : Series of str
        Of those photographs; each once.
    """
    if sha256.empty:
        return 0
    among = _digests(_as_arrow(sha256))
    chunks = (_digests(part["sha256"])[rows[of]] for of, part in table.read_all(_SHA256))
    return sum(int((_find_digests(chunk, among) != NONE).sum()) for chunk in chunks)


def _n_unused(used: np.ndarray, n: int) -> int:
    unused = np.ones(n, bool)
    unused[used] = False
    return int(unused.sum())


def _as_arrow(values: pd.Series) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.string(), from_pandas=True)


def _digests(sha256: Any) -> np.ndarray:
    """Return the first 128 bits of each sha256 as two uint64, shape (N, 2); 0 for a null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pc.fill_null(sha256, "0" * _DIGITS)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not len(array):
        return np.empty((0, 2), np.uint64)
    _, offsets, content = array.buffers()
    starts = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    try:
        if (np.diff(starts) != _DIGITS).any():
            raise ValueError
        letters = np.frombuffer(content, np.uint8)[starts[0] : starts[-1]].reshape(-1, _DIGITS)
        content = bytes.fromhex(letters[:, :32].tobytes().decode())
        return np.frombuffer(content, np.uint64).reshape(-1, 2)
    except ValueError as error:
        raise DatasetError(
            f"The column 'sha256' of the labels holds {array[0].as_py()!r} or the like: a sha256 "
            f"is {_DIGITS} hexadecimal digits."
        ) from error


def _find_digests(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which label each row has, -1 for none; int64."""
    order = np.argsort(labels[:, 0])
    place = np.minimum(np.searchsorted(labels[order, 0], rows[:, 0]), len(order) - 1)
    row_of = order[place]
    same = (labels[row_of] == rows).all(axis=1) & rows.any(axis=1)
    return np.where(same, row_of, NONE)


def _find_names(table: ResultsTable, labels: LabelTable) -> np.ndarray:
    """Return which label each row has by its URI or filename, -1 for none; int64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks: list[Any] = []
    for _, part in table.read_all(("uri",)):
        names = part["uri"]
        if labels.key == "filename":  # of a member of an archive, too
            names = pc.replace_substring_regex(names, r".*[/#]", "")
        chunks += names.chunks
    found = pc.index_in(pa.chunked_array(chunks, pa.string()), value_set=_as_arrow(labels.keys))
    row_of = found.fill_null(NONE).to_numpy().astype(np.int64)
    several = np.bincount(row_of[row_of != NONE], minlength=1) > 1
    row_of[(row_of != NONE) & several[np.maximum(row_of, 0)]] = NONE
    return row_of
