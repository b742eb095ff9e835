"""How far a job is: what ``_job.json`` says, for whoever looks from outside."""

import contextlib
import dataclasses
import json
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Generic, Literal, TypeVar

from har_core.errors import HarError
from har_core.scale.parts import PartsFolder
from har_core.storage.names import printable

JOB_FILE: Final = "_job.json"
State = Literal["listing", "running", "done", "failed", "stopped"]
ACTIVE: Final = ("listing", "running")
# A running job says that it lives at least so often; three times as long in silence, it is dead.
BEAT_S: Final = 5.0
SILENT_S: Final = 3 * BEAT_S
_RATE_OVER_S: Final = 60.0
S = TypeVar("S", bound="Status")


@dataclass(kw_only=True)
class Status:
    """What a process that works on a folder of parts says of itself.

    Parameters
    ----------
    state : {"listing", "running", "done", "failed", "stopped"}
        ``"stopped"``: by Ctrl-C or SIGTERM. One that was killed stays ``"running"``: see `seen`.
    started, updated : str
        ISO 8601 times in UTC.
    elapsed_s : float
        Seconds that it has worked.
    host : str
    pid : int
    message : str
        Why it failed.
    """

    state: State = "running"
    started: str = field(default_factory=lambda: now())
    updated: str = field(default_factory=lambda: now())
    elapsed_s: float = 0.0
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    message: str = ""

    @property
    def seen(self) -> str:
        """The state as far as can be told from here: ``"lost"`` for one that went silent."""
        silent = datetime.now(UTC) - datetime.fromisoformat(self.updated)
        lost = self.state in ACTIVE and silent.total_seconds() >= SILENT_S
        return "lost" if lost else self.state


@dataclass
class JobStatus(Status):
    """The latest job of a folder of parts; of its driver, what `Status` says.

    ``elapsed_s`` counts from when the first worker was ready.

    Parameters
    ----------
    job : str
        Its number, in the names of its parts.
    engine : {"local", "ray"}
    workers : int
        How many were wanted.
    model : str
    sources : list of str
        As on the command line.
    listed : int
        Different inputs found.
    answered : int
        Inputs that had a row already.
    failed_before : int
        How many of these are without an answer.
    total : int
        Inputs to be done by this job.
    done, errors : int
        Inputs done, and how many of these without an answer.
    restarts : int
        Workers that died and were replaced.
    rate : float
        Photographs a second, over the last minute.
    remaining_s : float or None
        Seconds to the end; None if that is not known.
    address : str
        Of the Ray cluster; ``""`` without one.
    cluster : dict or None
        How that was when the driver last asked: `har_core.scale.engines.ray_state.ClusterState`.
    troubles : list of str
        Of sources that could not be read to their end: why; the first ten.
    """

    job: str
    engine: str
    workers: int
    model: str
    sources: list[str]
    state: State = field(default="listing", kw_only=True)
    listed: int = 0
    answered: int = 0
    failed_before: int = 0
    total: int = 0
    done: int = 0
    errors: int = 0
    restarts: int = 0
    rate: float = 0.0
    remaining_s: float | None = None
    address: str = ""
    cluster: dict[str, float] | None = None
    troubles: list[str] = field(default_factory=list)


def read_status(folder: PartsFolder) -> JobStatus | None:
    """Return how far the latest job of a folder is; None if there never was one.

    Raises
    ------
    HarError
        If the file cannot be read.
    """
    return read_status_file(folder, JOB_FILE, JobStatus)


def is_at_work(folder: PartsFolder) -> bool:
    """Tell whether a folder says that a job is at work; one whose file cannot be read is not."""
    try:
        status = read_status(folder)
    except HarError:
        return False
    return status is not None and status.seen in ACTIVE


def read_status_file(folder: PartsFolder, name: str, kind: type[S]) -> S | None:
    """Return what a file from `StatusFile` says; raises as `read_status`."""
    text = folder.read_text(name)
    if text is None:
        return None
    try:
        return kind(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise HarError(f"Cannot read {folder.location}/{name}: {error}.") from error


class StatusFile(Generic[S]):
    """Keeps a status in its file, but does not write it more often than it is worth.

    Parameters
    ----------
    folder : PartsFolder
    name : str
    status : Status
    """

    def __init__(self, folder: PartsFolder, name: str, status: S) -> None:
        self.status = status
        self._folder = folder
        self._name = name
        self._writing = threading.Lock()
        self._written = 0.0

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Say that the process lives, and how it ended."""
        try:
            self.write()
            with self._beating():
                yield
        except KeyboardInterrupt:
            self.write("stopped", "Interrupted.")
            raise
        except Exception as error:
            self.write("failed", str(error) or type(error).__name__)
            raise
        self.write("done")

    @contextlib.contextmanager
    def _beating(self) -> Iterator[None]:
        """Say meanwhile that the process lives: it may list, or compute, for minutes."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT_S):
                if time.monotonic() - self._written >= BEAT_S:
                    self.write()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def write_now_and_then(self) -> None:
        """Write the file if that was long ago."""
        if time.monotonic() - self._written > (1.0 if self._folder.is_local else BEAT_S):
            self.write()

    def write(self, state: State | None = None, message: str = "") -> None:
        """Write the file; where that fails, the job goes on without."""
        with self._writing:
            self._written = time.monotonic()
            self.status.state = state or self.status.state
            self.status.message = message
            self.status.updated = now()
            text = json.dumps(dataclasses.asdict(self.status), indent=2, ensure_ascii=False)
            with contextlib.suppress(OSError, HarError):
                self._folder.write(self._name, f"{printable(text)}\n".encode())


class StatusWriter(StatusFile[JobStatus]):
    """Keeps ``_job.json`` up to date.

    Parameters
    ----------
    folder : PartsFolder
    status : JobStatus
    """

    def __init__(self, folder: PartsFolder, status: JobStatus) -> None:
        super().__init__(folder, JOB_FILE, status)
        self._first: float | None = None
        self._seen: deque[tuple[float, int]] = deque()

    def advance(self, done: int, errors: int) -> None:
        """Say how much is done in all."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
        status = self.status
        status.done, status.errors, status.elapsed_s = done, errors, round(now - self._first, 3)
        self._seen.append((now, done))
        while now - self._seen[0][0] > _RATE_OVER_S:
            self._seen.popleft()
        since, before = self._seen[0]
        if now > since:
            # What a worker that died had done does not count any more.
            rate = max(done - before, 0) / (now - since)
            status.rate = round(rate, 2)
            status.remaining_s = round((status.total - done) / rate, 1) if rate else None
        self.write_now_and_then()

    def write(self, state: State | None = None, message: str = "") -> None:
        """See `StatusFile.write`."""
        if state in ("done", "failed", "stopped"):
            self.status.remaining_s = None
        super().write(state, message)


def now() -> str:
    """Return the time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
