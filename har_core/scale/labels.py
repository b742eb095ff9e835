"""Labels of very many photographs: a table of them, joined with rows by what tells these apart."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.dataset.columns import choose_columns, has_labels
from har_core.errors import DatasetError
from har_core.scale.sources.containers import (
    ADDRESS_HEADINGS,
    base_folder,
    cell_uri,
    open_table,
    photographs_column,
)
from har_core.scale.sources.items import address_of
from har_core.scale.sources.locations import SourceDamagedError, absolute_path, is_remote
from har_core.storage.checksums import digests_of
from har_core.storage.names import real_path, storable
from har_core.storage.paths import is_folder

SHA256: Final = "sha256"
LABEL: Final = "label"
NONE: Final = -1
_IN_TAR: Final = r"(?i)^.*\.tar#"
_FOLDERS: Final = r"^.*/"
_SCHEME: Final = r"^[A-Za-z][A-Za-z0-9+.-]+://"
# What `address_of` changes: names of folders above, of this one, of a home, doubled separators,
# ``file:/``.
_UNUSUAL: Final = r"^~|^\./|/\./|\.\.|//|^(?i:file:/)"


@dataclass(frozen=True, eq=False)
class _Way:
    """One way to tell photographs apart.

    Parameters
    ----------
    keys : ndarray of uint64, or pyarrow.Array of str
        Each once.
    label : ndarray of int32
        Of each key: index into `LabelTable.names`.
    several : ndarray of bool
        Whether a key was given different labels.
    """

    keys: Any
    label: np.ndarray
    several: np.ndarray


@dataclass(frozen=True, eq=False)
class FoundLabels:
    """The labels of some rows, arrays of length N.

    Parameters
    ----------
    label : ndarray of int32
        Index into `LabelTable.names`; -1 where there is none.
    several : ndarray of bool
        Rows that were given different labels, of which `label` is one.
    ambiguous : ndarray of bool
        Rows that the table might mean, but that share their base name with others: no label.
    unmatched : int
        Photographs of the table of which there is no row.
    """

    label: np.ndarray
    several: np.ndarray
    ambiguous: np.ndarray
    unmatched: int


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels by what tells the photographs apart; a photograph is its sha256 where that is given.

    Parameters
    ----------
    key : str
        Heading of the column that names the photographs.
    names : tuple of str
        The different labels.
    ways : tuple of _Way
        The surest first: of names their addresses, and then their base names.
    """

    key: str
    names: tuple[str, ...]
    ways: tuple[_Way, ...]

    def __len__(self) -> int:
        """Return how many photographs have a label."""
        return len(self.ways[0].keys)

    @property
    def by_sha256(self) -> bool:
        """Whether it names the photographs by their content."""
        return self.key.lower() == SHA256

    @property
    def contradicted(self) -> int:
        """How many photographs were given different labels."""
        return int(self.ways[0].several.sum())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of results that `find_in` looks at."""
        return (SHA256,) if self.by_sha256 else (SHA256, "uri")

    @classmethod
    def of(cls, table: pd.DataFrame) -> "LabelTable":
        """Take the labels from a table with `LABEL`, and ``sha256``, ``uri`` or ``filename``.

        Raises
        ------
        DatasetError
            If it lacks them, or has no label.
        """
        key, label = _choose(list(table.columns), "the table of labels", None)
        return _build(key, _text(table[key]), _text(table[label]), "")

    def find_in(
        self, tables: Iterable[Any], digests: np.ndarray | None = None
    ) -> tuple["FoundLabels", np.ndarray]:
        """Give the rows of Arrow tables with `columns` their labels; also return their digests.

        Where these are known already, as `find` takes them, only ``uri`` is looked at.
        """
        import pyarrow as pa

        uris, found = [], [np.empty(0, np.uint64)]
        for table in tables:
            if digests is None:
                found.append(digests_of(table[SHA256]))
            if not self.by_sha256:
                uris += table["uri"].chunks
        digests = np.concatenate(found) if digests is None else digests
        return self.find(pa.chunked_array(uris, pa.string()), digests), digests

    def find(self, uris: Any, digests: np.ndarray) -> FoundLabels:
        """Give rows their labels.

        By their base name only where one row alone has it: two photographs may share a name.

        Parameters
        ----------
        uris : pyarrow.ChunkedArray of str, length N
            Not looked at if `by_sha256`.
        digests : ndarray of uint64, shape (N,)
            Of the rows' sha256, from `digests_of`.
        """
        if self.by_sha256:
            place = _places(digests, self.ways[0].keys)
            place[digests == 0] = NONE
            ambiguous = np.zeros(len(place), bool)
            return self._found(place, np.full(len(place), NONE), ambiguous)
        place = _places(uris, self.ways[0].keys)
        guessed = np.full(len(place), NONE)
        ambiguous = np.zeros(len(place), bool)
        if (place == NONE).any():
            guessed = _places(_base_names(uris), self.ways[1].keys)
            shared = np.bincount(guessed[guessed != NONE], minlength=1) > 1
            ambiguous = (place == NONE) & (guessed != NONE) & shared[np.maximum(guessed, 0)]
            guessed[ambiguous | (place != NONE)] = NONE
        return self._found(place, guessed, ambiguous)

    def _found(self, sure: np.ndarray, guessed: np.ndarray, ambiguous: np.ndarray) -> FoundLabels:
        label = np.full(len(sure), NONE, np.int32)
        several = np.zeros(len(sure), bool)
        used = 0
        for way, place in zip(self.ways, (sure, guessed), strict=False):
            rows = place != NONE
            label[rows] = way.label[place[rows]]
            several[rows] = way.several[place[rows]]
            used += int(np.bincount(place[rows], minlength=1).astype(bool).sum())
        return FoundLabels(label, several, ambiguous, max(len(self) - used, 0))


def read_label_table(path: str | Path, columns: Mapping[str, str] | None = None) -> LabelTable:
    """Read a CSV or Parquet file with labels.

    Parameters
    ----------
    path : str or Path
        File or URI. Its rows are named by ``sha256`` if it has such a column; else by a path or
        URI, relative to the table's folder or one in it, or a base name. Of a Parquet file that
        holds the photographs themselves, it is those that were scored or scanned from there.
    columns : mapping, optional
        See `har_core.dataset.columns.choose_columns`.

    Raises
    ------
    DatasetError
        If it cannot be read, lacks a column, or has no label.
    """
    uri = str(path) if is_remote(str(path)) else storable(absolute_path(str(path)))
    if not is_remote(uri) and is_folder(real_path(uri)):
        raise DatasetError(
            f"{path} is a folder, not a table of labels. If it is a dataset, "
            f"har scan {quote(str(path))} --csv FILE writes one."
        )
    headings, read = open_table(uri)
    key, label = _choose(headings, str(path), columns)
    if key.lower() != SHA256 and photographs_column(uri, key)[1]:
        own = read_own_labels([uri], {"filename": key, LABEL: label})
        assert own is not None
        return own
    keys, labels = _columns(uri, read, [key, label])
    if not len(keys):
        raise DatasetError(f"{path} has no rows.")
    return _build(key, keys, labels, "" if key.lower() == SHA256 else _base(uri, keys))


def read_own_labels(
    tables: Sequence[str], columns: Mapping[str, str] | None = None
) -> LabelTable | None:
    """Read the labels that tables of photographs give these, as sources of a scan.

    Parameters
    ----------
    tables : sequence of str
        Absolute paths or URIs of CSV or Parquet files that name photographs or hold their bytes.
    columns : mapping, optional
        See `har_core.dataset.columns.choose_columns`.

    Returns
    -------
    LabelTable or None
        By URI; None if no row has a label.

    Raises
    ------
    HarError
        If one that can be opened has no such column or cannot be read to its end; or if the column
        that was named for the labels has none.
    """
    import pyarrow as pa

    chosen = dict(columns or {})
    keys, labels = [], []
    for uri in tables:
        try:
            headings, read = open_table(uri)
        except SourceDamagedError:
            continue  # listing its photographs says so
        if LABEL not in chosen and not has_labels(headings):
            continue
        photographs, inside = photographs_column(uri, chosen.get("filename"))
        _, label = _choose(headings, uri, {**chosen, "filename": photographs})
        if inside:
            (given,) = _columns(uri, read, [label])
            cells = (cell_uri(uri, row) for row in range(len(given)))
            kept, given = _labelled(pa.chunked_array([pa.array(cells, pa.string())]), given)
        else:
            named, given = _columns(uri, read, [photographs, label])
            kept, given = _labelled(named, given)
            kept = _addresses(kept, _base(uri, named))
        keys += kept.chunks
        labels += given.chunks
    if not sum(map(len, keys)):
        if LABEL in chosen:
            raise DatasetError(f"No photograph has a label: the column {chosen[LABEL]!r} is empty.")
        return None
    return _build("uri", pa.chunked_array(keys), pa.chunked_array(labels), "")


def _columns(uri: str, read: Callable[[list[str]], list[Any]], names: list[str]) -> list[Any]:
    """Return columns of a table as text, read by what `open_table` returned."""
    import pyarrow as pa

    try:
        batches = read(names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f"Cannot read the table of labels {uri}: {error}.") from error
    return [
        pa.chunked_array([batch.column(i) for batch in batches], pa.string())
        for i in range(len(names))
    ]


def _base(uri: str, names: Any) -> str:
    """Return what the names in a table are relative to."""
    return base_folder(uri.rpartition("/")[0], (text for name in names if (text := name.as_py())))


def _choose(headings: list[str], name: str, columns: Mapping[str, str] | None) -> tuple[str, str]:
    """Return the headings of the photographs' names and of their labels."""
    columns = dict(columns or {})
    known = {heading.strip().lower(): heading for heading in reversed(headings)}
    usual = next((known[key] for key in (SHA256, *ADDRESS_HEADINGS) if key in known), None)
    if usual is not None:
        columns.setdefault("filename", usual)
    chosen = choose_columns(headings, name, columns)
    if chosen.label is None:
        raise DatasetError(
            f"{name} has no labels, only the columns {', '.join(headings)}; name the one by "
            "--columns label=…."
        )
    return headings[chosen.filename], headings[chosen.label]


def _build(key: str, keys: Any, labels: Any, folder: str) -> LabelTable:
    keys, labels = _labelled(keys, labels)
    if not len(keys):
        raise DatasetError("The table of labels has no row with a label.")
    coded = labels.combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy()
    every: list[Any]
    if key.lower() == SHA256:
        every = [digests_of(keys)]
    else:
        addresses = _addresses(keys, folder)
        every = [addresses, _base_names(addresses)]
    ways = tuple(_once(one, codes) for one in every)
    return LabelTable(key, tuple(coded.dictionary.to_pylist()), ways)


def _labelled(keys: Any, labels: Any) -> tuple[Any, Any]:
    """Return the rows that have both."""
    import pyarrow.compute as pc

    labels = pc.utf8_trim_whitespace(pc.fill_null(labels, ""))
    keys = pc.fill_null(keys, "")
    kept = pc.and_(pc.not_equal(labels, ""), pc.not_equal(keys, ""))
    if pc.all(kept).as_py():
        return keys, labels
    return keys.filter(kept), labels.filter(kept)


def _once(keys: Any, codes: np.ndarray) -> _Way:
    """Return each key once, with the lowest of its codes."""
    if isinstance(keys, np.ndarray):
        number, distinct = pd.factorize(keys)
    else:
        coded = keys.combine_chunks().dictionary_encode()
        number, distinct = coded.indices.to_numpy(), coded.dictionary
    if len(distinct) == len(keys):
        return _Way(distinct, codes, np.zeros(len(codes), bool))
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    lowest = np.minimum.reduceat(codes[order], starts)
    several = lowest != np.maximum.reduceat(codes[order], starts)
    return _Way(distinct, lowest, several)


def _places(values: Any, keys: Any) -> np.ndarray:
    """Return where each value is among keys, -1 where it is not; int64."""
    import pyarrow.compute as pc

    if isinstance(keys, np.ndarray):
        return pd.Index(keys).get_indexer(values)
    found = pc.index_in(values, value_set=keys)
    return pc.fill_null(found, NONE).to_numpy().astype(np.int64)


def _addresses(names: Any, folder: str) -> Any:
    """Return the URIs of names, see `address_of`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    absolute = pc.match_substring_regex(names, f"^/|{_SCHEME}")
    there = pc.if_else(absolute, names, pc.binary_join_element_wise(f"{folder}/", names, ""))
    remote = pc.and_not(
        pc.match_substring_regex(names, _SCHEME), pc.match_substring_regex(names, "(?i)^file:")
    )
    unusual = pc.and_not(pc.match_substring_regex(names, _UNUSUAL), remote)
    if not folder or not pc.any(unusual).as_py():
        return there
    every = (address_of(name, folder) for name in names.to_pylist())
    return pa.chunked_array([pa.array(every, pa.string())])


def _base_names(uris: Any) -> Any:
    """Return what is behind the last slash, of a member of a tar file within that."""
    import pyarrow.compute as pc

    within = pc.replace_substring_regex(uris, _IN_TAR, "")
    return pc.replace_substring_regex(within, _FOLDERS, "")


def _text(values: pd.Series) -> Any:
    import pyarrow as pa

    return pa.chunked_array([pa.array(values, pa.string(), from_pandas=True)])
