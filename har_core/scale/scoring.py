"""What a worker does, on whatever engine: from a shard of items to parts of results."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.errors import HarError
from har_core.model.fields import ERROR
from har_core.scale.models import load_for_one_core
from har_core.scale.reading import Decoded, Reader, unusable
from har_core.scale.results import Results, results_schema
from har_core.scale.rows import answered_rows
from har_core.scale.sources.items import Item

CRASHED: Final = "crashed"
_PART_SECONDS: Final = 60.0
_PART_ROWS: Final = 4096
_CAREFUL_ROWS: Final = 32


@dataclass(frozen=True)
class Work:
    """What all workers of a job do.

    Parameters
    ----------
    bundle : str
        Folder of the model.
    results : str
        Path or URI of the RESULTS folder.
    part_seconds : float, default 60
        A part is written at the end of a shard, and whenever so much time has passed: more is not
        lost with a worker.
    part_rows : int, default 4096
        And whenever there are so many rows.
    """

    bundle: str
    results: str
    part_seconds: float = _PART_SECONDS
    part_rows: int = _PART_ROWS


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
    """

    name: str
    items: Sequence[Item]
    careful: bool = False
    condemned: Collection[str] = ()


@dataclass(frozen=True)
class Report:
    """How far a worker is with its shard.

    Parameters
    ----------
    done : int
        Items that it has an answer or an error for.
    errors : int
        Items without an answer among them.
    """

    done: int
    errors: int


class Scorer:
    """A worker: a model on one core, and a folder to write to.

    Raises
    ------
    HarError
        If the model cannot be loaded, or the results cannot be reached.
    """

    def __init__(self, work: Work) -> None:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
        self._work = work
        self._model = load_for_one_core(Path(work.bundle))
        self._results = Results(work.results)
        self._reader = Reader(self._model.manifest.input_size)
        n_features = self._results.read_info().n_features
        self._schema = results_schema(self._model.class_names, n_features)
        self._with_features = n_features > 0

    def score(self, shard: Shard) -> Iterator[Report]:
        """Write the parts of a shard; also yield how far that is, after every batch.

        Raises
        ------
        HarError
            If the photographs cannot be reached any more, or the results cannot be written.
        """
        most = _CAREFUL_ROWS if shard.careful else self._work.part_rows
        rows: list[Any] = []
        written = done = errors = 0
        since = time.monotonic()
        for batch in self._read(shard):
            table = self._table(batch)
            rows.append(table)
            done += len(batch)
            errors += len(batch) - table[ERROR].null_count
            late = time.monotonic() - since > self._work.part_seconds
            if late or done - written >= most or done == len(shard.items):
                self._write(shard, written, done, rows)
                rows, written, since = [], done, time.monotonic()
            yield Report(done, errors)

    def _read(self, shard: Shard) -> Iterator[list[Decoded]]:
        if not shard.careful:
            return self._reader.read_ahead(shard.items)
        return self._read_carefully(shard)

    def _read_carefully(self, shard: Shard) -> Iterator[list[Decoded]]:
        for item in shard.items:
            if item.uri in shard.condemned:
                sentence = f"Reading {item.uri} ended the worker twice; look at this file."
                yield [unusable(item, sentence, CRASHED)]
            else:
                yield from self._reader.read_now([item])

    def _write(self, shard: Shard, start: int, stop: int, rows: list[Any]) -> None:
        import pyarrow as pa

        try:
            self._results.write_part(shard.name, start, stop, pa.concat_tables(rows))
        except OSError as error:
            raise HarError(
                f"Cannot write {self._results.location}: {error.strerror or error}. What was "
                "written is kept; make room and start again."
            ) from error

    def _table(self, batch: list[Decoded]) -> Any:
        """Return the rows of a batch."""
        good = [i for i, decoded in enumerate(batch) if decoded.square is not None]
        answers = None
        if good:
            squares = np.stack([batch[i].square for i in good])  # type: ignore[misc]
            answers = self._model.answer_pixels(squares, with_features=self._with_features)
        return answered_rows(self._schema, self._model.manifest, batch, good, answers)
