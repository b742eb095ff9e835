"""What a training run says while it runs: one JSON object a line, for whoever looks in later."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

from har_core.errors import HarError, LabelsError
from har_core.progress import Epoch
from har_core.storage.files import is_stream

_SECONDS_BETWEEN_PROGRESS: Final = 0.5
_LOCK: Final = ".lock"
_LOOKS: Final = 100  # others may just be looking whether the run is at work
_LOOKING_S: Final = 0.01


class EventLog:
    """Appends events to a file; a line is whole or, after a kill, the last one is ignored.

    Parameters
    ----------
    path : str or Path
        Made, and its folder too; a resumed run goes on in the same file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._last = ("", 0.0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            if not is_stream(self.path) and self.path.read_bytes()[-1:] not in (b"", b"\n"):
                self._append("\n")  # behind what a kill has cut short
        except OSError as error:
            raise HarError(f"Cannot write {self.path}: {error.strerror or error}.") from error

    def write(self, event: str, **fields: Any) -> None:
        """Append an event with the present time (Unix seconds)."""
        line = json.dumps({"event": event, "time": time.time(), **fields}, ensure_ascii=False)
        self._append(f"{line}\n")

    def _append(self, text: str) -> None:
        # One write for each line, so that a reader never sees half of one but the last.
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise HarError(f"Cannot write {self.path}: {error.strerror or error}.") from error

    def progress(self, what: str, done: int, total: int) -> None:
        """Append how far the work is, at most twice a second; of an epoch with its fields."""
        last, then = self._last
        now = time.monotonic()
        if what != last or done == total or now - then >= _SECONDS_BETWEEN_PROGRESS:
            self._last = (what, now)
            fields = what.fields if isinstance(what, Epoch) else {}
            self.write("progress", what=what, done=done, total=total, **fields)


@contextmanager
def recorded_run(log: EventLog, runs_dir: str | Path, name: str) -> Iterator[EventLog]:
    """Record how a run begins and ends; runs of one folder wait for each other.

    Parameters
    ----------
    log : EventLog
        Gets ``waiting`` while another run is at work, ``started`` (with the process's ``pid``),
        and ``finished`` (``model``), ``stopped`` or ``failed`` (``error``, in words, and
        ``for_good``, whether going on would fail again).
    runs_dir : str or Path
        Made if it is not there. The lock in it goes with the process, however that ends.
    name : str
        Of the model that the run makes.

    Raises
    ------
    HarError
        If another process is at work on this very run; nothing is recorded then.
    """
    folder = Path(runs_dir)
    with ExitStack() as locks:
        _lock_own(locks.enter_context(log.path.open("a")))  # which `is_running` looks at
        # An end is written while the locks are held: nobody sees a run that is gone without one.
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _wait_for(locks.enter_context((folder / _LOCK).open("w")), log)
            log.write("started", pid=os.getpid(), name=name)
            yield log
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                log.write("stopped")
            else:
                for_good = isinstance(error, LabelsError)
                log.write("failed", error=_in_words(error), for_good=for_good)
            raise
        log.write("finished", model=name)


def _in_words(error: BaseException) -> str:
    if isinstance(error, HarError):
        return str(error)
    if isinstance(error, MemoryError):
        return "There was not enough memory. Close other programs, or choose less effort."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}." if error.filename else f"{error.strerror}."
    return "It stopped because of an internal error; its log has details."


def is_running(path: str | Path) -> bool:
    """Tell whether the process that writes a file of events is alive, waiting for others or not.

    The system takes its lock away however the process ends, and no other process has it. Those who
    look share one, so that they do not take each other for it.
    """
    import fcntl

    try:
        with Path(path).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock_own(file: IO[str]) -> None:
    import fcntl

    for _ in range(_LOOKS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_LOOKING_S)
    raise HarError(f"Another process is at work on {file.name}; wait for its end.")


def _wait_for(lock: IO[str], log: EventLog) -> None:
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.write("waiting", pid=os.getpid())
        fcntl.flock(lock, fcntl.LOCK_EX)


def read_events(path: str | Path) -> list[dict[str, Any]]:
    """Return the events of a run so far; none if there is no file yet.

    A line that a kill has cut short is left out.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    events = []
    for line in text.split("\n"):  # a name in an event may hold what `splitlines` ends lines at
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.append(event)
    return events
