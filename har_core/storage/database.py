"""SQLite files that hold what can be computed again: a damaged one is replaced."""

import errno
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Self

from har_core.errors import DatasetError

_BESIDE: Final = ("-wal", "-shm", "-journal")  # SQLite's own files, of no use without theirs


class CacheDatabase:
    """A database of results; use as a context manager.

    Parameters
    ----------
    path : Path
        Of the file; its folder is made.
    schema : sequence of str
        Statements that make the tables unless they are there.
    may_forget : bool
        Where the file cannot be written, go on in memory, with what it holds already.

    Raises
    ------
    DatasetError
        If the file can be neither opened nor created; at the end of its context also if it could
        not be read or written within. If it was damaged, it is gone then.
    """

    def __init__(self, path: Path, schema: Sequence[str], *, may_forget: bool = False) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # SQLite would say so only when something is to be written.
            if may_forget and path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            try:
                self._db = _connect(path, schema)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                _remove(path)
                self._db = _connect(path, schema)
        except (OSError, sqlite3.Error) as error:
            if may_forget:
                self._db = _connect_memory(path, schema)
                return
            reason = error.strerror or error if isinstance(error, OSError) else error
            raise DatasetError(
                f"Cannot use the cache {path}: {reason}. Make room on its disk, or set "
                "HAR_CACHE_DIR to a folder that can be written."
            ) from error

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        if _is_damage(error) and _is_removed(self.path):
            raise DatasetError(
                f"The cache {self.path} was damaged ({error}) and has been removed. Start again: "
                "what it held is computed anew."
            ) from error
        if isinstance(error, sqlite3.Error):
            raise DatasetError(
                f"Cannot go on with the cache {self.path}: {error}. Make room on its disk, or "
                "delete it: everything in it can be computed again."
            ) from error

    def rows_of(self, hashes: Iterable[str], table: str, columns: Sequence[str]) -> list[tuple]:
        """Return columns of a table's rows whose ``sha256`` is one of these, in any order."""
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (sha256 TEXT PRIMARY KEY)")
        self._db.execute("DELETE FROM wanted")
        self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", [(h,) for h in hashes])
        rows = self._db.execute(
            f"SELECT {', '.join(columns)} FROM {table} JOIN wanted USING (sha256)"
        ).fetchall()
        self._db.commit()
        return rows


def _connect(path: Path, schema: Sequence[str]) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30)
    try:
        # One writer at a time, readers never wait; a power cut may lose the last chunk only.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        for statement in schema:
            db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def _connect_memory(path: Path, schema: Sequence[str]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    waiting = path.with_name(f"{path.name}-wal")
    address = f"{path.absolute().as_uri()}?immutable=1"
    with suppress(OSError, sqlite3.Error):  # there is no file, or it cannot be read
        # Without what its last writer left beside it, a file may not be whole.
        if not (waiting.exists() and waiting.stat().st_size):
            with closing(sqlite3.connect(address, uri=True)) as kept:
                kept.execute("SELECT name FROM sqlite_master").fetchall()
                kept.backup(db)
    for statement in schema:
        db.execute(statement)
    return db


def _is_damage(error: BaseException | None) -> bool:
    # Of its subclasses none tells damage: a full disk, a lock, a mistake of the program.
    return type(error) is sqlite3.DatabaseError


def _is_removed(path: Path) -> bool:
    try:
        _remove(path)
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    for suffix in ("", *_BESIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
