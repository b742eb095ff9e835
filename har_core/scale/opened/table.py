"""A RESULTS folder for looking at: what is counted is held, the rest is read when it is shown."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from har_core.errors import DatasetError
from har_core.model.fields import ACTION, CONFIDENCE, IN_SCOPE, NOVELTY, REASON, VERDICT, WARNING
from har_core.progress import Progress, silent
from har_core.scale.labels import NONE
from har_core.scale.parts import Part
from har_core.scale.results import Results, ResultsInfo
from har_core.scale.sources.locations import is_remote, local_path
from har_core.storage.checksums import digests_of
from har_core.storage.paths import expanded

Found = TypeVar("Found")
VERDICTS: Final = ("answered", "unsure", "foreign")
_HELD: Final = (ACTION, CONFIDENCE, VERDICT, IN_SCOPE, NOVELTY, REASON, WARNING)
_READERS: Final = 4


class _Chunk(NamedTuple):
    """What is held of a part; arrays of length N."""

    action: np.ndarray
    confidence: np.ndarray
    verdict: np.ndarray
    in_scope: np.ndarray
    novelty: np.ndarray
    reason: np.ndarray
    warned: np.ndarray


@dataclass(frozen=True)
class _HeldPart:
    part: Part
    written_ns: int
    chunk: _Chunk
    reasons: tuple[str, ...]


class ResultsTable:
    """The rows of a RESULTS folder, by number, in about 15 bytes each; use `open_results`.

    Rows keep their numbers while a job adds others: parts count in the order they were written.

    Parameters
    ----------
    results : Results
    info : ResultsInfo
    held : sequence of _HeldPart
        In any order.

    Attributes
    ----------
    class_names : tuple of str
    parts : tuple of Part
        In the order of the rows.
    reasons : tuple of str
        Why there are rows without an answer, sorted.
    action : ndarray of int16, shape (N,)
        Index of the class; -1 where there is no answer.
    confidence, novelty : ndarray of float32, shape (N,)
        NaN where there is none.
    verdict : ndarray of int8, shape (N,)
        Index into `VERDICTS`; -1 where there is no answer.
    in_scope : ndarray of int8, shape (N,)
        1, 0, or -1 where the model cannot tell.
    reason : ndarray of int16, shape (N,)
        Index into `reasons`; -1 where there is an answer.
    warned : ndarray of bool, shape (N,)
        Whether the file was used in spite of a fault.
    """

    def __init__(self, results: Results, info: ResultsInfo, held: Sequence[_HeldPart]) -> None:
        self.results = results
        self.info = info
        self.class_names = info.class_names
        self._held = tuple(sorted(held, key=lambda item: (item.written_ns, item.part.name)))
        self.parts = tuple(item.part for item in self._held)
        sizes = [len(item.chunk.action) for item in self._held]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.n = int(self._starts[-1])
        self.reasons = tuple(sorted({name for item in self._held for name in item.reasons}))
        self.action = self._column("action", np.int16)
        self.confidence = self._column("confidence", np.float32)
        self.verdict = self._column("verdict", np.int8)
        self.in_scope = self._column("in_scope", np.int8)
        self.novelty = self._column("novelty", np.float32)
        self.warned = self._column("warned", bool)
        self.reason = np.concatenate(
            [np.empty(0, np.int16), *(self._renumbered(item) for item in self._held)]
        )

    def _column(self, name: str, kind: Any) -> np.ndarray:
        chunks = [getattr(item.chunk, name) for item in self._held]
        return np.concatenate(chunks) if chunks else np.empty(0, kind)

    def _renumbered(self, item: _HeldPart) -> np.ndarray:
        numbers = [self.reasons.index(name) for name in item.reasons]
        return np.array([*numbers, NONE], np.int16)[item.chunk.reason]

    @cached_property
    def identity(self) -> tuple[str, int, int]:
        """The same for equal rows of the same folder, and only for those."""
        return (self.results.location, self.n, hash(self.parts))

    @property
    def answered(self) -> np.ndarray:
        """Whether each row has an answer; bool, shape (N,)."""
        return self.action != NONE

    @property
    def part_numbers(self) -> np.ndarray:
        """Which part each row is of, counted from 0; int64, shape (N,)."""
        return np.repeat(np.arange(len(self._held)), np.diff(self._starts))

    @cached_property
    def parts_written(self) -> pd.DataFrame:
        """When which number of rows was written: ``time`` (UTC) and ``rows``, oldest first."""
        times = pd.to_datetime([item.written_ns for item in self._held], utc=True)
        return pd.DataFrame({"time": times, "rows": np.diff(self._starts)})

    def read(self, rows: Sequence[int] | np.ndarray, columns: Sequence[str]) -> pd.DataFrame:
        """Read columns of some rows from the parts that these lie in.

        Parameters
        ----------
        rows : sequence of int
            In any order, which is kept.
        columns : sequence of str
            Of `har_core.scale.results.results_schema`.

        Raises
        ------
        DatasetError
            If a part cannot be read, or a job has replaced it since.
        """
        rows = np.asarray(rows, dtype=np.int64)
        place = np.searchsorted(self._starts, rows, side="right") - 1
        numbers = np.unique(place)

        def load(number: int) -> pd.DataFrame:
            wanted = np.flatnonzero(place == number)
            table = self.results.read_part(self.parts[number], columns)
            found = table.take(rows[wanted] - self._starts[number]).to_pandas()
            return found.set_axis(wanted)

        if not len(rows):
            return pd.DataFrame({name: [] for name in columns})
        with ThreadPoolExecutor(_READERS) as pool:
            found = list(pool.map(load, numbers.tolist()))
        return pd.concat(found).sort_index()

    def map_parts(
        self, columns: Sequence[str], do: Callable[[slice, Any], Found]
    ) -> Iterator[Found]:
        """Yield what a function makes of one part after another; several are read at a time.

        Parameters
        ----------
        columns : sequence of str
        do : callable
            Called with the numbers of a part's rows and their Arrow table, in a thread.

        Raises
        ------
        DatasetError
            If a part cannot be read.
        """

        def work(part: Part, start: int) -> Found:
            table = self.results.read_part(part, columns)
            return do(slice(start, start + len(table)), table)

        with ThreadPoolExecutor(_READERS) as pool:
            yield from pool.map(work, self.parts, self._starts.tolist())

    @cached_property
    def digest(self) -> np.ndarray:
        """Which photograph each row is of, uint64, shape (N,); see `digests_of`."""
        found = self.map_parts(("sha256",), lambda _, part: digests_of(part["sha256"]))
        return np.concatenate([np.empty(0, np.uint64), *found])

    def containing(self, text: str) -> np.ndarray:
        """Tell in which rows the URI has a text, in either case; bool, shape (N,)."""
        import pyarrow.compute as pc

        def look(_: slice, table: Any) -> np.ndarray:
            return pc.match_substring(table["uri"], text, ignore_case=True).to_numpy()

        return np.concatenate([np.empty(0, bool), *self.map_parts(("uri",), look)])


def results_at(location: str) -> Results:
    """Return the results at a location that somebody typed.

    Raises
    ------
    HarError
        If it is on a web server, which lists no files, or there is no such kind of location.
    """
    if location.lower().startswith(("http://", "https://")):
        raise DatasetError(f"{location} is on a web server; name a folder or a bucket.")
    return Results(location if is_remote(location) else str(expanded(local_path(location))))


def open_results(
    location: str, before: ResultsTable | None = None, progress: Progress = silent
) -> ResultsTable:
    """Read what is counted of a RESULTS folder.

    Parameters
    ----------
    location : str
        Path or URI.
    before : ResultsTable, optional
        As it was opened earlier; parts that are still the same are not read again, and where all
        are, it is returned.
    progress : callable, optional
        Called with (what is being done, done, total) parts.

    Raises
    ------
    HarError
        If it is no folder of results, or cannot be read.
    """
    results = results_at(location)
    info = results.read_info()
    known: dict[Part, _HeldPart] = {}
    if before is not None and before.info == info and before.results.location == results.location:
        known = {item.part: item for item in before._held}
    try:
        parts = results.parts()
    except OSError as error:
        raise DatasetError(f"Cannot list {results.location}: {error}.") from error
    if before is not None and known and known.keys() == set(parts):
        return before

    def load(part: Part) -> _HeldPart:
        return known.get(part) or _hold(results, info, part)

    held = []
    with ThreadPoolExecutor(_READERS) as pool:
        for done, found in enumerate(pool.map(load, parts), 1):
            held.append(found)
            progress("Reading the results", done, len(parts))
    return ResultsTable(results, info, held)


def _hold(results: Results, info: ResultsInfo, part: Part) -> _HeldPart:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = results.read_part(part, _HELD)
    reasons = tuple(sorted(name for name in pc.unique(table[REASON]).to_pylist() if name))

    def codes(column: str, names: Sequence[str], kind: Any) -> np.ndarray:
        found = pc.index_in(table[column], value_set=pa.array(names, pa.string()))
        return found.fill_null(NONE).to_numpy().astype(kind)

    chunk = _Chunk(
        action=codes(ACTION, info.class_names, np.int16),
        confidence=table[CONFIDENCE].to_numpy().astype(np.float32),
        verdict=codes(VERDICT, VERDICTS, np.int8),
        in_scope=table[IN_SCOPE].cast(pa.int8()).fill_null(NONE).to_numpy().astype(np.int8),
        novelty=table[NOVELTY].to_numpy().astype(np.float32),
        reason=codes(REASON, reasons, np.int16),
        warned=table[WARNING].is_valid().to_numpy().astype(bool),
    )
    return _HeldPart(part, results.written_ns(table), chunk, reasons)
