"""Long work in the background: progress that survives a page change, cancelling, one per key."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Literal

from har_core.errors import HarError

JobState = Literal["running", "done", "failed", "cancelled"]
_LOG: Final = logging.getLogger(__name__)


class JobCancelled(Exception):
    """Raised inside a job's work by `Job.report` after somebody cancelled it."""


class Job:
    """One piece of work in its own thread; use `start_job`.

    Every attribute may be read from any thread.

    Parameters
    ----------
    key : str
        What it works on; there is one running job per key.
    title : str
        For people, e.g. ``"Evaluating mobilenet on holiday photographs"``.
    if_cancelled : str
        What then becomes of the work so far, for people.

    Attributes
    ----------
    state : {"running", "done", "failed", "cancelled"}
    done, total : int
        Progress in steps; a total of 0 means that it is not known yet.
    result : object
        What the work returned, once done.
    error : str
        Why it failed, in words for people.
    step : str
        What is being done right now, if the work has several steps.
    """

    def __init__(self, key: str, title: str, if_cancelled: str = "nothing was kept") -> None:
        self.key = key
        self.title = title
        self.if_cancelled = if_cancelled
        self.step = ""
        self.state: JobState = "running"
        self.done = 0
        self.total = 0
        self.result: Any = None
        self.error = ""
        # When the step was first reported, and what was done by then.
        self._begun: tuple[float, int] | None = None
        self._cancelled = threading.Event()
        self._finished = threading.Event()

    def report_step(self, step: str, done: int, total: int) -> None:
        """Set the progress within a step of the work; like `report`.

        The remaining time is that of the step, because the others' pace is not known.
        """
        if step != self.step:
            self.step, self._begun = step, None
        self.report(done, total)

    def report(self, done: int, total: int) -> None:
        """Set the progress; called by the work after every step.

        Raises
        ------
        JobCancelled
            If the job was cancelled; the work lets it pass, and cleans up with ``finally``.
        """
        if self._cancelled.is_set():
            raise JobCancelled(self.title)
        if self._begun is None:
            self._begun = time.monotonic(), done
        self.done, self.total = done, total

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._cancelled.set()

    @property
    def is_cancelling(self) -> bool:
        """Whether `cancel` was called and the work has not stopped yet."""
        return self._cancelled.is_set() and self.state == "running"

    @property
    def fraction(self) -> float:
        """Progress in [0, 1]."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Remaining time at the pace so far; None before there is one.

        What an earlier run has left done took this one no time.
        """
        if self._begun is None or not self.total:
            return None
        since, before = self._begun
        if self.done <= before:
            return None
        pace = (time.monotonic() - since) / (self.done - before)
        return pace * max(self.total - self.done, 0)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the work has ended, at most `timeout` seconds; return whether it has."""
        return self._finished.wait(timeout)

    def _run(self, work: Callable[["Job"], Any]) -> None:
        try:
            self.result = work(self)
            self.state = "done"
        except JobCancelled:
            self.state = "cancelled"
        except HarError as error:
            self.error = str(error)
            self.state = "failed"
        except Exception:
            # The thread's outermost frame: without this the page would show progress forever.
            # Without the key, which may hold a name that a visitor chose.
            _LOG.exception("A background job failed")
            self.error = "It stopped because of an internal error; the server's log has details."
            self.state = "failed"
        finally:
            self._finished.set()


_jobs: dict[str, Job] = {}
_lock = threading.Lock()


def start_job(
    key: str,
    title: str,
    work: Callable[[Job], Any],
    *,
    if_cancelled: str = "nothing was kept",
    shared: bool = True,
) -> Job:
    """Start work in the background, unless a job of that key is running already.

    The registry belongs to the process, not to a visitor: a job outlives page changes, reloads
    and closed tabs, and two visitors do not start the same work twice.

    Parameters
    ----------
    key : str
        E.g. ``"evaluate/mobilenet/holiday"``; replaces an ended job of that key.
    title : str
    work : callable
        Called with the job; it calls ``job.report(done, total)`` after every step and no
        Streamlit function. A `HarError` fails the job with its message.
    if_cancelled : str
        What then becomes of the work so far, for people.
    shared : bool, default True
        Whether a running job of that key does this very work, so that nothing is to be started.

    Returns
    -------
    Job
        The started one, or the one that is running.

    Raises
    ------
    HarError
        If one is running that is not `shared`.
    """
    with _lock:
        current = _jobs.get(key)
        if current is not None and current.state == "running":
            if shared:
                return current
            raise HarError(f"“{current.title}” has not ended yet. Wait for it, then start this.")
        job = Job(key, title, if_cancelled)
        _jobs[key] = job
    threading.Thread(target=job._run, args=(work,), name=f"job {key}", daemon=True).start()
    return job


def is_at_work(prefix: str, *, exact: bool = False) -> bool:
    """Tell whether one of the jobs that `find_jobs` returns is running."""
    return any(job.state == "running" for job in find_jobs(prefix, exact=exact))


def find_jobs(prefix: str, *, exact: bool = False) -> list[Job]:
    """Return the running and ended jobs whose key starts with `prefix`, oldest first.

    Parameters
    ----------
    prefix : str
    exact : bool, default False
        Only the job of exactly that key: ``"scan/data"`` begins ``"scan/data2"``, too.
    """
    with _lock:
        return [
            job
            for key, job in _jobs.items()
            if key == prefix or (not exact and key.startswith(prefix))
        ]


def dismiss_job(job: Job) -> None:
    """Forget an ended job; a running one stays."""
    with _lock:
        if job.state != "running" and _jobs.get(job.key) is job:
            del _jobs[job.key]
