"""How many cores there are, and how many threads the libraries of numbers may use of them."""

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_CONTROL_GROUP: Final = Path("/sys/fs/cgroup")
_lock = threading.Lock()
_wanted: list[int] = []
_before: Any = None


def cores() -> int:
    """Return how many cores this process may use, at least 1.

    What a container may have of them (``docker run --cpus``, a limit of Kubernetes) counts too:
    `os.process_cpu_count` knows nothing of it. A part of a core is a core.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    n = len(allowed) or os.cpu_count() or 1
    quota = _quota()
    return n if quota is None else min(n, math.ceil(quota))


def _quota() -> float | None:
    """Return the cores' worth of time that the container's control group has, None without limit.

    Version 2 has one file, ``max 100000`` or ``150000 100000`` (time, and in which time);
    version 1 two, where a time of -1 is no limit.
    """
    version_1 = [_CONTROL_GROUP / "cpu" / f"cpu.cfs_{what}_us" for what in ("quota", "period")]
    for files in ([_CONTROL_GROUP / "cpu.max"], version_1):
        try:
            time, period = " ".join(path.read_text() for path in files).split()
            quota = int(time) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue  # no such file, "max", or something else
        return quota if quota > 0 else None
    return None


@contextmanager
def limited_threads(n: int) -> Iterator[None]:
    """Limit BLAS and OpenMP to some threads, in the whole process; for several jobs in it.

    Of overlapping uses the smallest limit holds, and none is left when the last one ends: a
    library's own limits would be restored to those of another use, and stay.

    Parameters
    ----------
    n : int
        At least 1.
    """
    global _before
    from threadpoolctl import threadpool_limits

    with _lock:
        limits = threadpool_limits(min([n, *_wanted]))
        if not _wanted:
            _before = limits
        _wanted.append(n)
    try:
        yield
    finally:
        with _lock:
            _wanted.remove(n)
            if _wanted:
                threadpool_limits(min(_wanted))
            else:
                _before.restore_original_limits()
