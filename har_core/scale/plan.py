"""What a job has to do: the inputs less those that the results answer already."""

import tempfile
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from har_core.progress import Progress
from har_core.scale.answered import Answered
from har_core.scale.sources.items import Item, items_schema, items_table, table_items, uri_keys

_CHUNK: Final = 1024
_LARGEST_SHARD: Final = 4096
_SMALLEST_SHARD: Final = 32


class Plan:
    """A job's inputs, listed once and kept on the disk: they may be more than fit in memory.

    Use it in a ``with`` statement.

    Parameters
    ----------
    items : iterator of Item
        From `har_core.scale.sources.listing.list_sources`.
    answered : Answered
        What the results hold.
    report : Progress

    Attributes
    ----------
    listed : int
        Different inputs.
    keys : ndarray of S16
        Of these, sorted.
    repeated : int
        Inputs that were named again.
    pending : int
        Inputs that are to be done.
    replacing : int
        Those of them that have a row already: of another state of the file, or of a failure that
        may be over.
    failed : int
        Inputs that are not to be done though their rows are without an answer.
    after_ns : int
        When the newest of the rows that are there was written.
    """

    def __init__(self, items: Iterator[Item], answered: Answered, report: Progress) -> None:
        # Without a name, so that a kill leaves nothing behind.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.listed = self.repeated = self.pending = self.replacing = self.failed = 0
        self.after_ns = answered.newest_ns
        try:
            self._skip = self._spool(items, answered, report)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Plan":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the list."""
        self._file.close()

    def _spool(self, items: Iterator[Item], answered: Answered, report: Progress) -> np.ndarray:
        """Write the inputs that are not answered; return which of them are named again."""
        import pyarrow as pa

        keys: list[np.ndarray] = []
        states: list[np.ndarray] = []
        with pa.ipc.new_stream(self._file, items_schema()) as out:
            for chunk in _chunks(items):
                chunk_keys = uri_keys(item.uri for item in chunk)
                state = answered.look_up(chunk_keys, chunk)
                wanted = np.flatnonzero(state < Answered.DONE)
                if len(wanted):
                    out.write_table(items_table([chunk[i] for i in wanted]))
                keys.append(chunk_keys)
                states.append(state)
                self.listed += len(chunk)
                report("Listing photographs", self.listed, self.listed)
        every = np.concatenate(keys) if keys else np.empty(0, "S16")
        again = np.ones(len(every), bool)
        self.keys, first = np.unique(every, return_index=True)
        again[first] = False
        self.repeated = int(again.sum())
        self.listed -= self.repeated
        every_state = np.concatenate(states) if states else np.empty(0, int)
        self.replacing, self.failed = (
            int((every_state[~again] == state).sum()) for state in (Answered.STALE, Answered.FAILED)
        )
        skip = again[every_state < Answered.DONE]
        self.pending = int((~skip).sum())
        return skip

    def shards(self, workers: int) -> Iterator[list[Item]]:
        """Yield the inputs that are to be done, in shards that become smaller towards the end.

        So that all workers end at about the same time (guided self-scheduling, Polychronopoulos
        and Kuck 1987, IEEE Transactions on Computers 36).

        Parameters
        ----------
        workers : int
        """
        left = self.pending
        shard: list[Item] = []
        for item in self._read():
            shard.append(item)
            size = max(left // (2 * workers), _SMALLEST_SHARD)
            if len(shard) >= min(size, _LARGEST_SHARD):
                yield shard
                left -= len(shard)
                shard = []
        if shard:
            yield shard

    def _read(self) -> Iterator[Item]:
        import pyarrow as pa

        position = 0
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as batches:
            for batch in batches:
                skip = self._skip[position : position + batch.num_rows]
                position += batch.num_rows
                items: list[Any] = table_items(batch)
                yield from (item for item, again in zip(items, skip, strict=True) if not again)


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
