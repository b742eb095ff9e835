"""One process at a time where a file is read, changed and written again."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows; there only the threads of one process wait for each other
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def folder_to_oneself(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Wait until no other process of this machine is in here with this folder.

    The lock is on the folder itself, which may be read-only, and goes with the process.

    Parameters
    ----------
    folder : Path
        Where there is none, or its file system knows no locks, nobody waits.
    wait : bool, default True
        Without, one that another process is in here with is an error.

    Raises
    ------
    BlockingIOError
        Without `wait`.
    """
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            try:
                opened = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, opened)
                fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except (OSError, ValueError) as error:
                if isinstance(error, BlockingIOError):
                    raise
        yield
