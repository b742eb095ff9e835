"""What a program and all that it starts cost: time, processor time, memory of its first process."""

import contextlib
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.scale.turns import Turns

_MARK = "HAR_BENCHMARK_MARK"
_EVERY_S = 0.5
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Cost:
    """What was measured.

    Parameters
    ----------
    seconds : float
        By the clock, start included.
    cpu_seconds : float
        Of all processes.
    peak_bytes : int
        Of all processes together.
    driver : list of (float, int)
        Seconds since the start, and resident bytes of the first process.
    done : list of (float, int, float)
        Seconds since the work began, photographs done until then, and seconds of a processor
        until then, start included.
    output : str
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    driver: list[tuple[float, int]] = field(default_factory=list)
    done: list[tuple[float, int, float]] = field(default_factory=list)
    output: str = ""


def measure(
    command: Sequence[str | Path],
    environment: dict[str, str] | None = None,
    done: Callable[[], tuple[float, int] | None] = lambda: None,
    turns: Turns | None = None,
    name: str = "",
) -> Cost:
    """Run a program to its end and watch it; processes that it leaves behind are counted, too.

    Parameters
    ----------
    command : sequence of str or Path
    environment : dict, optional
        To add to this process's.
    done : callable, optional
        Returns how many seconds it has worked, and how many photographs it has done; None: not yet.
    turns : Turns, optional
        To be taken with other programs.
    name : str, optional
        Of the program, there.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    mark = uuid.uuid4().hex
    cost = Cost()
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        env=os.environ | (environment or {}) | {_MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    cpu: dict[int, float] = {}
    alive = {process.pid}
    needle = f"{_MARK}={mark}".encode()

    def watch() -> None:
        nonlocal alive
        marked: dict[str, bool] = {}
        while process.poll() is None:
            total, seen = 0, {process.pid}
            for pid in (path.name for path in Path("/proc").glob("[0-9]*")):
                if not marked.setdefault(pid, _is_marked(pid, needle)):
                    continue
                seen.add(int(pid))
                seconds, resident = _usage(pid)
                cpu[int(pid)] = max(seconds, cpu.get(int(pid), 0.0))
                total += resident
                if int(pid) == process.pid and resident:  # not one that has just ended
                    cost.driver.append((time.monotonic() - start, resident))
            alive = seen
            cost.peak_bytes = max(cost.peak_bytes, total)
            if (far := done()) is not None and far not in [known[:2] for known in cost.done[-1:]]:
                cost.done.append((*far, sum(cpu.values())))
            time.sleep(_EVERY_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with turns.taken(name, lambda: alive) if turns else contextlib.nullcontext():
        cost.output = process.communicate()[0]
    cost.seconds = time.monotonic() - start
    watcher.join()
    cost.cpu_seconds = sum(cpu.values())
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{cost.output[-3000:]}")
    return cost


def _is_marked(pid: str, needle: bytes) -> bool:
    try:
        return needle in Path("/proc", pid, "environ").read_bytes()
    except OSError:
        return False


def _usage(pid: str) -> tuple[float, int]:
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    return (int(fields[11]) + int(fields[12])) / _TICK, int(fields[21]) * _PAGE
