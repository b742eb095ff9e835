"""One job at a time in a folder of results, also after one was killed and its workers linger."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from har_core.errors import HarError
from har_core.scale.sources.locations import is_remote, local_path

try:
    import fcntl
except ImportError:  # Windows; there nobody is kept from starting two jobs
    fcntl = None  # type: ignore[assignment]

_JOB: Final = ".job.lock"
_WORKERS: Final = ".workers.lock"
_LINGER_S: Final = 60.0


@contextlib.contextmanager
def hold_job(results: str) -> Iterator[None]:
    """Keep other jobs away from a folder of results on this machine, which is made for that.

    Raises
    ------
    HarError
        If another job is running, workers of one that was killed do not end, or the folder cannot
        be written.
    """
    if fcntl is None or is_remote(results):
        yield
        return
    folder = Path(local_path(results))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _JOB).open("a+")
    except OSError as error:
        raise HarError(f"Cannot write {results}: {error.strerror or error}.") from error
    with lock as job:
        if not _locked(job, fcntl.LOCK_EX | fcntl.LOCK_NB):
            raise HarError(
                f"Another job is writing to {results}; wait for its end, or name another folder."
            )
        with (folder / _WORKERS).open("a+") as workers:
            end = time.monotonic() + _LINGER_S
            while not _locked(workers, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if time.monotonic() > end:
                    raise HarError(
                        f"Workers of a job that was killed still write to {results}; end them "
                        "first."
                    )
                time.sleep(0.05)
        yield


@contextlib.contextmanager
def hold_shared(results: str) -> Iterator[None]:
    """Let the next job wait until this worker has ended; locks go with the process."""
    if fcntl is None or is_remote(results):
        yield
        return
    with (Path(local_path(results)) / _WORKERS).open("a+") as file:
        _locked(file, fcntl.LOCK_SH)
        yield


def _locked(file: IO[str], how: int) -> bool:
    """Lock a file, and tell whether nobody else has; where a file system knows no locks, nobody."""
    try:
        fcntl.flock(file, how)
    except OSError as error:  # another one is of disks that are mounted from elsewhere
        return not isinstance(error, BlockingIOError)
    return True
