"""The scan's memory: what was measured, by content, and which content each file had."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from har_core.errors import DatasetError
from har_core.scan.measurement import MEASUREMENT_VERSION, Measurement
from har_core.storage.cache import cache_dir
from har_core.storage.database import CacheDatabase

_COLUMNS: Final = tuple(field.name for field in dataclasses.fields(Measurement))
_TYPES: Final = {"thumbnail": "BLOB"}
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS files"
    " (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS measurements (sha256 TEXT PRIMARY KEY, "
    + ", ".join(f"{column} {_TYPES.get(column, '')}" for column in _COLUMNS if column != "sha256")
    + ")",
    "CREATE TABLE IF NOT EXISTS duplicates"
    " (photographs TEXT PRIMARY KEY, pairs BLOB, correlations BLOB)",
)


def scan_cache_path() -> Path:
    """Return where measurements are kept: ``scan-vN.sqlite`` in the cache folder."""
    return cache_dir() / f"scan-v{MEASUREMENT_VERSION}.sqlite"


def why_nothing_is_remembered() -> str:
    """Return what is wrong with the cache folder and what to do; ``""`` if it can be written."""
    try:
        with ScanCache():
            return ""
    except DatasetError as error:
        return str(error)


@dataclasses.dataclass(frozen=True)
class FileStamp:
    """What tells an unchanged file without reading it: size and time of its last change."""

    size: int
    mtime_ns: int


class ScanCache(CacheDatabase):
    """Measurements on disk, shared by all datasets; see `CacheDatabase`.

    Every `store` is one transaction, so that a killed scan keeps all finished chunks.

    Parameters
    ----------
    path : Path, optional
        SQLite file; default `scan_cache_path`.
    may_forget : bool
        See `CacheDatabase`.
    """

    def __init__(self, path: Path | None = None, *, may_forget: bool = False) -> None:
        super().__init__(path or scan_cache_path(), _SCHEMA, may_forget=may_forget)

    def known_files(self, stamps: Mapping[str, FileStamp]) -> dict[str, str]:
        """Return path to sha256 of the files that still have the recorded stamp."""
        known = {}
        for folder in {path.rpartition(os.sep)[0] for path in stamps}:
            rows = self._db.execute(
                # A range scan of the primary key: all paths that start with the folder.
                "SELECT f.path, f.size, f.mtime_ns, f.sha256 FROM files f"
                " JOIN measurements m USING (sha256) WHERE f.path > ? AND f.path < ?",
                (folder + os.sep, folder + chr(ord(os.sep) + 1)),
            )
            for path, size, mtime_ns, sha256 in rows:
                if stamps.get(path) == FileStamp(size, mtime_ns):
                    known[path] = sha256
        return known

    def store(
        self,
        files: Mapping[str, tuple[FileStamp, str]],
        measurements: Iterable[Measurement],
    ) -> None:
        """Record measurements, and for each path its stamp and sha256."""
        values = [
            tuple(getattr(measurement, column) for column in _COLUMNS)
            for measurement in measurements
        ]
        with self._db:
            self._db.executemany(
                f"INSERT OR REPLACE INTO measurements ({', '.join(_COLUMNS)}) "
                f"VALUES ({', '.join('?' * len(_COLUMNS))})",
                values,
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                [(path, s.size, s.mtime_ns, sha256) for path, (s, sha256) in files.items()],
            )

    def load(self, hashes: Iterable[str]) -> pd.DataFrame:
        """Return the measurements of these contents, indexed by ``sha256``, without thumbnails."""
        columns = [column for column in _COLUMNS if column != "thumbnail"]
        rows = self.rows_of(hashes, "measurements", columns)
        return pd.DataFrame.from_records(rows, columns=columns).set_index("sha256")

    def load_thumbnails(self, hashes: Iterable[str]) -> dict[str, np.ndarray]:
        """Return sha256 to the thumbnail, uint8 of shape (1024,), of usable photographs."""
        return {
            sha256: np.frombuffer(blob, np.uint8)
            for sha256, blob in self.rows_of(hashes, "measurements", ["sha256", "thumbnail"])
            if blob is not None
        }

    def load_pairs(self, photographs: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the near-duplicate pairs stored for this set of photographs, if any."""
        row = self._db.execute(
            "SELECT pairs, correlations FROM duplicates WHERE photographs = ?", (photographs,)
        ).fetchone()
        if row is None:
            return None
        return np.frombuffer(row[0], np.int64).reshape(-1, 2), np.frombuffer(row[1], np.float32)

    def store_pairs(self, photographs: str, pairs: np.ndarray, correlations: np.ndarray) -> None:
        """Record the near-duplicate pairs of a set of photographs, named by a digest."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO duplicates VALUES (?, ?, ?)",
                (
                    photographs,
                    pairs.astype(np.int64).tobytes(),
                    correlations.astype(np.float32).tobytes(),
                ),
            )
