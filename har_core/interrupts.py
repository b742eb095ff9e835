"""Signals that must wait."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back(*numbers: signal.Signals) -> Iterator[None]:
    """Let signals wait for the end of what must not be interrupted.

    Parameters
    ----------
    *numbers : signal.Signals
        Each that came meanwhile is raised once, and heard as it would have been before. Only the
        main thread hears any; in others nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: set[int] = set()
    before = {n: signal.signal(n, lambda number, _: held.add(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: not set by Python
        for came in held:
            signal.raise_signal(came)
