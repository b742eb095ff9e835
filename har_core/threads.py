"""How many cores there are, and how many threads the libraries of numbers may use of them."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_users = 0
_limits: Any = None


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def limited_threads(n: int) -> Iterator[None]:
    """Limit BLAS and OpenMP to some threads, in the whole process; for several jobs in it.

    Of overlapping uses the first one's limit holds until the last one ends: a library's own limits
    would be restored to those of another use, and stay.

    Parameters
    ----------
    n : int
        At least 1.
    """
    global _users, _limits
    from threadpoolctl import threadpool_limits

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
