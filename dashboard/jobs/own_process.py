"""Work in a process of its own: pages never wait for its hold on the interpreter."""

import contextlib
import multiprocessing
import os
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final

from har_core.errors import HarError

_NICE: Final = 10  # the pages and REST come first
_ASK_EVERY_S: Final = 0.2


def run_apart(work: Callable[..., Any], *arguments: Any, progress: Callable[..., None]) -> Any:
    """Run work in another process and return what it returns.

    Parameters
    ----------
    work : callable
        A function of a module that takes ``progress``; arguments and result can be pickled.
    *arguments : object
        For `work`.
    progress : callable
        Called with whatever the work reports, and again with the same while it reports nothing.
        An exception from it ends the process at once, whatever that is doing.

    Raises
    ------
    HarError
        That the work raised, or if its process ended by itself, e.g. for want of memory.
    """
    # Not "forkserver": its processes have the environment of the first one.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, work, arguments), daemon=True)
    process.start()
    sender.close()
    last: tuple[Any, ...] | None = None
    try:
        while True:
            if receiver.poll(_ASK_EVERY_S):
                kind, value = receiver.recv()
                if kind == "done":
                    return value
                if kind == "refused":
                    raise HarError(value)
                if kind == "failed":
                    raise RuntimeError(f"In another process:\n{value}")
                last = value
            if last is not None:
                progress(*last)
    except EOFError:
        process.join()
        raise HarError(
            f"Its process ended by itself (exit code {process.exitcode}): was there too little "
            "memory? Start it again."
        ) from None
    finally:
        process.terminate()
        process.join()
        receiver.close()


def _run(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with contextlib.suppress(AttributeError, OSError):  # where the system has no such thing
        os.nice(_NICE)
    try:
        result = work(*arguments, progress=lambda *step: sender.send(("progress", step)))
    except HarError as error:
        sender.send(("refused", str(error)))
    except BrokenPipeError:
        return  # the server is gone
    except Exception:
        sender.send(("failed", traceback.format_exc()))
    else:
        sender.send(("done", result))
