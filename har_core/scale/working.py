"""What a worker does, on whatever engine and whatever for: from a shard of items to parts."""

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from har_core.errors import HarError
from har_core.model.fields import ERROR, REASON
from har_core.scale.parts import PartsFolder
from har_core.scale.reading import FAILED, Look, Reader, WithItem, unforeseen
from har_core.scale.sources.items import Item

T = TypeVar("T", bound=WithItem)
CRASHED: Final = "crashed"
_PART_SECONDS: Final = 60.0
_PART_ROWS: Final = 4096
_CAREFUL_ROWS: Final = 32
# If so many photographs fail unforeseen and none does not, it is not they that are bad.
_NO_ACCIDENT: Final = 8


class Maker(Look[T]):
    """What makes rows of photographs: a model, say. It lives in one worker, on one core."""

    @abstractmethod
    def rows(self, batch: list[T]) -> Any:
        """Return an Arrow table, a row for each photograph; `ERROR` is null where all is well."""


@dataclass(frozen=True, kw_only=True)
class Work(ABC):
    """What all workers of a job do.

    Parameters
    ----------
    to : str
        Path or URI of the folder to write to.
    part_seconds : float, default 60
        A part is written at the end of a shard, and whenever so much time has passed: more is not
        lost with a worker.
    part_rows : int, default 4096
        And whenever there are so many rows.
    """

    to: str
    part_seconds: float = _PART_SECONDS
    part_rows: int = _PART_ROWS

    @abstractmethod
    def begin(self) -> Maker[Any]:
        """Return what makes the rows, in the worker that is to make them."""

    def files(self) -> dict[str, bytes]:
        """Return what has to be on the worker's machine, by name."""
        return {}

    def beside(self, folder: str) -> "Work":
        """Return the same work for a machine on which a folder holds `files` until `begin` ends."""
        return self


@dataclass(frozen=True)
class Shard:
    """Items that one worker does.

    Parameters
    ----------
    name : str
        Unique, also among jobs.
    items : sequence of Item
    careful : bool, default False
        Say of each photograph that it is next, since one of them may end the worker.
    condemned : collection of str
        URIs that have ended workers and are not tried again.
    after_ns : int, default 0
        Its rows are newer than those from then, in nanoseconds since 1970, whatever the worker's
        clock says.
    """

    name: str
    items: Sequence[Item]
    careful: bool = False
    condemned: Collection[str] = ()
    after_ns: int = 0


@dataclass(frozen=True)
class Report:
    """How far a worker is with its shard.

    Parameters
    ----------
    done : int
        Items that it has a row for.
    errors : int
        Rows with an error among them.
    """

    done: int
    errors: int


@dataclass(frozen=True)
class Problem:
    """Why a worker cannot go on.

    Parameters
    ----------
    message : str
        ``""``: it was told to end.
    again : bool
        Whether another worker may try what is left.
    """

    message: str
    again: bool


def problem_of(error: Exception) -> Problem:
    """Return what an exception means for a job."""
    if isinstance(error, HarError):
        return Problem(str(error), again=False)
    return Problem(f"A worker met something unforeseen ({unforeseen(error)}).", again=True)


class Worker:
    """One core, and a folder to write to.

    Raises
    ------
    HarError
        If what makes the rows cannot be loaded, or the folder cannot be reached.
    """

    def __init__(self, work: Work) -> None:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
        self._work = work
        self._maker = work.begin()
        self._reader = Reader(self._maker)
        self._folder = PartsFolder(work.to)
        self.stopped = False

    def stop(self) -> None:
        """Let `do` end after the batch at hand; for another thread, or a signal."""
        # No threading.Event, whose lock a second signal would wait for inside the first.
        self.stopped = True

    def do(self, shard: Shard) -> Generator[Report, None, None]:
        """Write the parts of a shard; also yield how far that is, after every batch.

        Closed or stopped before its end, it writes what it has made until then.

        Raises
        ------
        HarError
            If the photographs cannot be reached any more, or the parts cannot be written.
        """
        most = _CAREFUL_ROWS if shard.careful else self._work.part_rows
        rows: list[Any] = []
        written = done = errors = 0
        since = time.monotonic()
        try:
            for batch in self._read(shard):
                table = self._rows(batch)
                rows.append(table)
                done += len(batch)
                errors += len(batch) - table[ERROR].null_count
                late = time.monotonic() - since > self._work.part_seconds
                if late or done - written >= most or done == len(shard.items):
                    made, rows = rows, []
                    self._write(shard, written, done, made)
                    written, since = done, time.monotonic()
                yield Report(done, errors)
                if self.stopped:
                    return
        finally:
            if rows:
                self._write(shard, written, done, rows)

    def _rows(self, batch: list[Any]) -> Any:
        """Return the rows of a batch; where that fails, of one photograph after another."""
        import pyarrow as pa

        try:
            return self._maker.rows(batch)
        except HarError:
            raise
        except Exception as error:  # of a library, which should cost as little as can be
            if len(batch) == 1:
                sentence = f"What it shows cannot be computed ({unforeseen(error)})."
                bad = self._maker.without(batch[0].item, sentence, FAILED, gone=False)
                return self._maker.rows([bad])
            table = pa.concat_tables([self._rows([one]) for one in batch])
            failed = table[REASON].to_pylist().count(FAILED)
            if failed >= _NO_ACCIDENT and not table[REASON].null_count:
                raise HarError(
                    f"All of {failed} photographs failed ({unforeseen(error)}). What was done is "
                    "kept."
                ) from error
            return table

    def _read(self, shard: Shard) -> Iterator[list[Any]]:
        if not shard.careful:
            return self._reader.read_ahead(shard.items)
        return self._read_carefully(shard)

    def _read_carefully(self, shard: Shard) -> Iterator[list[Any]]:
        for item in shard.items:
            if item.uri in shard.condemned:
                sentence = f"Reading {item.uri} ended the worker twice; look at this file."
                yield [self._maker.without(item, sentence, CRASHED, gone=False)]
            else:
                yield [self._reader.read_now(item)]

    def _write(self, shard: Shard, start: int, stop: int, rows: list[Any]) -> None:
        import pyarrow as pa

        try:
            table = pa.concat_tables(rows)
            self._folder.write_part(shard.name, start, stop, table, after_ns=shard.after_ns)
        except OSError as error:
            raise HarError(
                f"Cannot write {self._folder.location}: {error.strerror or error}. What was "
                "written is kept; make room and start again."
            ) from error
