"""Programs side by side of which one runs at a time, so that a slower minute slows all alike."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator

Pids = Callable[[], Collection[int]]


class Turns:
    """Stops and continues the processes of programs in turns, from when all of them have joined.

    Parameters
    ----------
    n_programs : int
    seconds : float, default 5
        How long a turn is.
    """

    def __init__(self, n_programs: int, seconds: float = 5.0) -> None:
        self._n_programs = n_programs
        self._seconds = seconds
        self._running: dict[str, Pids] = {}
        self._joined = 0
        self._stops: dict[str, list[tuple[float, float]]] = {}
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, name: str, pids: Pids) -> Iterator[None]:
        """Let a program take part until it has ended.

        Parameters
        ----------
        name : str
        pids : callable
            Returns the program's processes, as far as they are known.
        """
        with self._changed:
            self._running[name] = pids
            self._stops[name] = []
            self._joined += 1
            if self._joined == self._n_programs:
                threading.Thread(target=self._give, daemon=True).start()
        try:
            yield
        finally:
            with self._changed:
                del self._running[name]
                self._changed.notify()

    def stopped(self, name: str, start: float, end: float) -> float:
        """Return for how many seconds a program stood still between two times since 1970."""
        with self._changed:
            return sum(max(0.0, min(b, end) - max(a, start)) for a, b in self._stops[name])

    def _give(self) -> None:
        with self._changed:
            while self._running:
                for name in list(self._running):
                    if name in self._running:
                        self._let_run(name)

    def _let_run(self, name: str) -> None:
        waiting = {other: pids for other, pids in self._running.items() if other != name}
        for pids in waiting.values():
            _send(signal.SIGSTOP, pids())
        start = time.time()
        self._changed.wait(self._seconds)
        for other, pids in waiting.items():
            self._stops[other].append((start, time.time()))
            _send(signal.SIGCONT, pids())


def _send(number: signal.Signals, pids: Collection[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, number)
