"""Which inputs a folder of parts has rows of; and keeping that at one row for each."""

import zlib
from collections.abc import Sequence
from typing import ClassVar, Final, NamedTuple

import numpy as np

from har_core.model.fields import REASON
from har_core.scale.parts import Part, PartsFolder
from har_core.scale.reading import FAILED, NOT_LISTED
from har_core.scale.sources.items import UNKNOWN, Item, uri_keys

MISSING: Final = "missing"
# What may be over at the next try: a file that was locked, a server that refused, a fault of ours.
PASSING: Final = ("unreadable", MISSING, FAILED)
_STATE: Final = ("uri", "size", "mtime_ns", "etag", REASON)


class Answered:
    """What the rows of a folder of parts are of, in about 40 bytes a row.

    Parameters
    ----------
    folder : PartsFolder

    Attributes
    ----------
    newest_ns : int
        When the newest of them was written, in nanoseconds since 1970; 0 without any.
    not_listed : frozenset of str
        Sources that were not read to their end; see `har_core.scale.sources.items.Item.trouble`.
    """

    NEW: ClassVar[int] = 0
    """There is no row."""
    STALE: ClassVar[int] = 1
    """There is one, but of another state of the file, or of a failure that may be over."""
    DONE: ClassVar[int] = 2
    FAILED: ClassVar[int] = 3
    """As `DONE`, but the row says why there is no answer."""

    def __init__(self, folder: PartsFolder) -> None:
        found = [_read_state(folder, part) for part in folder.parts()]
        keys = np.concatenate([state.keys for state in found]) if found else np.empty(0, "S16")
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._sizes, self._mtimes, self._etags, self._failed, self._passing = (
            np.concatenate([state[column] for state in found])[order] if found else np.empty(0)
            for column in range(1, 6)
        )
        self.n = len(keys)
        self.newest_ns = max((state.written_ns for state in found), default=0)
        self.not_listed = frozenset(uri for state in found for uri in state.not_listed)

    def look_up(self, keys: np.ndarray, items: Sequence[Item]) -> np.ndarray:
        """Return `NEW`, `STALE`, `DONE` or `FAILED` for each item.

        Parameters
        ----------
        keys : ndarray of S16
            From `uri_keys`.
        items : sequence of Item
            What is not known of them is taken for unchanged.
        """
        state = np.full(len(items), self.NEW)
        if not self.n:
            return state
        place = np.minimum(np.searchsorted(self._keys, keys), self.n - 1)
        there = self._keys[place] == keys
        same = ~self._passing[place].astype(bool)
        given = (
            (self._sizes, [item.size for item in items]),
            (self._mtimes, [item.mtime_ns for item in items]),
            (self._etags, [_etag_key(item.etag) for item in items]),
        )
        for stored, values in given:
            new = np.asarray(values)
            same &= (new == UNKNOWN) | (new == stored[place])
        done = np.where(self._failed[place], self.FAILED, self.DONE)
        state[there] = np.where(same, done, self.STALE)[there]
        return state


class _State(NamedTuple):
    keys: np.ndarray
    sizes: np.ndarray
    mtimes: np.ndarray
    etags: np.ndarray
    failed: np.ndarray
    passing: np.ndarray
    written_ns: int
    not_listed: list[str]


def _read_state(folder: PartsFolder, part: Part) -> _State:
    rows = folder.read_part(part, _STATE)
    sizes, mtimes = (rows[name].fill_null(UNKNOWN).to_numpy() for name in ("size", "mtime_ns"))
    etags = [_etag_key(etag) for etag in rows["etag"].to_pylist()]
    uris, reasons = rows["uri"].to_pylist(), rows[REASON].to_pylist()
    passing = np.array([reason in PASSING for reason in reasons], bool)
    return _State(
        uri_keys(uris),
        sizes,
        mtimes,
        np.array(etags, np.int64),
        rows[REASON].is_valid().to_numpy(),
        passing,
        folder.written_ns(rows),
        [uri for uri, reason in zip(uris, reasons, strict=True) if reason == NOT_LISTED],
    )


def _etag_key(etag: str | None) -> int:
    return zlib.crc32(etag.encode()) if etag else UNKNOWN


def settle(folder: PartsFolder, over: Sequence[str] = ()) -> None:
    """Remove rows of which there is a newer one, and those of some URIs.

    Rows are written before older ones of the same input are removed, so that a kill loses none;
    what it leaves twice is settled here.
    """
    parts = folder.parts()
    keys: list[np.ndarray] = []
    written: list[int] = []
    for part in parts:
        rows = folder.read_part(part, ("uri",))
        keys.append(uri_keys(rows["uri"].to_pylist()))
        written.append(folder.written_ns(rows))
    if not parts:
        return
    newest_first = np.argsort(-np.array(written), kind="stable")
    every = np.concatenate([keys[i] for i in newest_first])
    kept = np.zeros(len(every), bool)
    kept[np.unique(every, return_index=True)[1]] = True
    kept &= ~np.isin(every, uri_keys(over))
    start = 0
    for i in newest_first:
        keep = kept[start : start + len(keys[i])]
        start += len(keys[i])
        if not keep.all():
            import pyarrow as pa

            rows = folder.read_part(parts[i])
            folder.replace_part(parts[i], rows.filter(pa.array(keep)))
