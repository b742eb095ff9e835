"""Worker processes, which are forked from a clean server where the system has that.

A fork of a process with threads (a dashboard, ONNX Runtime) can hang.
"""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from har_core.interrupts import held_back


def worker_context(preload: str) -> Any:
    """Return what starts worker processes; Ctrl-C, which all of a terminal get, is not for them.

    Parameters
    ----------
    preload : str
        Module that the server imports, so that its forks need not.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preload])
    resource_tracker.ensure_running()  # which lets the signal through afterwards
    with ctrl_c_held_back():
        forkserver.ensure_running()
    return context


@contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """Hold Ctrl-C back while worker processes begin, which would end with a traceback each.

    Where the system cannot, nothing is held back. Processes that begin within never get it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    with held_back(signal.SIGINT):  # another thread may get it, and interrupt this one all the same
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_at_ctrl_c() -> None:
    """Let Ctrl-C end this worker, without a word, from now on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
