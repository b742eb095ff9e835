"""How many threads the libraries of numbers may use, while several jobs of a process compute."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_users = 0
_limits: Any = None


@contextmanager
def limited_threads(n: int) -> Iterator[None]:
    """Limit BLAS and OpenMP to some threads, in the whole process.

    Of overlapping uses the first one's limit holds until the last one ends: a library's own limits
    would be restored to those of another use, and stay.

    Parameters
    ----------
    n : int
        At least 1.
    """
    global _users, _limits
    with _lock:
        if not _users:
            _limits = threadpool_limits(n)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _limits.restore_original_limits()
