"""From sources to a folder of rows: the driver, the same for every engine and purpose."""

import contextlib
import dataclasses
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

import numpy as np

from har_core.errors import HarError
from har_core.images.formats import is_photograph_name
from har_core.model.fields import REASON
from har_core.progress import Progress, silent
from har_core.scale.answered import Answered, settle
from har_core.scale.engines.local import LocalPool
from har_core.scale.engines.pool import Event, Pool
from har_core.scale.parts import PartsFolder
from har_core.scale.plan import Plan
from har_core.scale.sources.items import Item
from har_core.scale.sources.listing import Whole
from har_core.scale.sources.locations import absolute_path, is_remote, local_path
from har_core.scale.status import BEAT_S, JobStatus, StatusWriter
from har_core.scale.working import Shard, Work
from har_core.storage.paths import is_folder
from har_core.threads import cores

Engine = Literal["local", "ray"]
_WAIT_S: Final = 1.0
# A photograph that ends its worker when it is tried alone, so often, is not tried again.
_CRASHES: Final = 2
_CAREFUL_FROM: Final = 2
_STILLBORN: Final = 5
_TROUBLES: Final = 10


@dataclass(frozen=True)
class Where:
    """Which machines do a job.

    Parameters
    ----------
    engine : {"local", "ray"}
        Processes on this machine, or a Ray cluster.
    address : str, optional
        Of the cluster: ``auto`` or ``ray://HOST:10001``; default: one on this machine.
    workers : int, optional
        How many; default: one for each core.
    """

    engine: Engine = "local"
    address: str | None = None
    workers: int | None = None


def reachable(to: str) -> str:
    """Return a place as workers know it, who have another current folder.

    Raises
    ------
    HarError
        If it is below the home of a user whom nobody knows, or a URI without a path.
    """
    if is_remote(to):
        return to
    path = os.path.expanduser(local_path(to))  # noqa: PTH111
    if path.startswith("~"):
        user = path.partition("/")[0]
        raise HarError(f"{user} has no home here; a folder called so is ./{path}.")
    if path.lower().startswith("file:/"):
        raise HarError(f"{to} names no folder; one at /PATH is file:///PATH.")
    return os.path.abspath(path)  # noqa: PTH100


def place_for_rows(to: str, sources: Sequence[str]) -> str:
    """Return a place as `reachable` does, unless rows would lie among photographs there.

    The next command would take these rows for tables of that folder.

    Raises
    ------
    HarError
        If it is one of the sources, or holds photographs; or see `reachable`.
    """
    to = reachable(to)
    known = (source if is_remote(source) else absolute_path(source) for source in sources)
    if to.rstrip("/") in (source.rstrip("/") for source in known) or _holds_photographs(to):
        raise HarError(f"{to} is a folder of photographs; name one of its own for what is written.")
    return to


def _holds_photographs(folder: str) -> bool:
    if is_remote(folder) or not is_folder(folder):
        return False
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return any(is_photograph_name(entry.name) for entry in entries)
    return False  # which is said when it cannot be written


def run_job(
    list_items: Callable[[Whole], Iterator[Item]],
    folder: PartsFolder,
    work: Work,
    where: Where,
    status: JobStatus,
    what: str,
    progress: Progress = silent,
) -> np.ndarray:
    """Make a row for each input that has none; go on where a job was cut off.

    Afterwards there is exactly one row for each input. Rows of inputs that are no longer named
    stay.

    Parameters
    ----------
    list_items : callable
        `har_core.scale.sources.listing.list_sources`, of its parameter `whole`.
    folder : PartsFolder
        Which is held, see `har_core.scale.locks.hold_job`, and has been claimed.
    work : Work
    where : Where
    status : JobStatus
        Kept up to date here, and in the folder.
    what : str
        What is being done, for people.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    ndarray of S16
        Keys of all inputs, sorted; see `har_core.scale.sources.items.uri_keys`.

    Raises
    ------
    HarError
        If nothing could be done, or the job had to stop; what was written is kept.
    """

    def listing(what: str, done: int, total: int) -> None:
        status.listed = done
        progress(what, done, total)

    status.workers = where.workers or cores()
    writer = StatusWriter(folder, status)
    with writer.recorded():
        folder.remove_leftovers()
        settle(folder)
        answered, over = Answered(folder), list[str]()

        def whole(uri: str) -> None:
            if uri in answered.not_listed:
                over.append(uri)

        def items() -> Iterator[Item]:
            for item in list_items(whole):
                told = not item.trouble or item.trouble in status.troubles
                if not told and len(status.troubles) < _TROUBLES:
                    status.troubles.append(item.trouble)
                yield item

        with Plan(items(), answered, listing) as plan:
            status.listed, status.total = plan.listed, plan.pending
            status.answered = plan.listed - plan.pending
            status.failed_before = plan.failed
            writer.write("running")
            if plan.pending:
                with contextlib.closing(_pool(work, where)) as pool:
                    status.workers, status.address = pool.size, pool.address
                    _Supervisor(pool, plan, folder, writer, partial(progress, what)).run()
            if status.restarts:
                folder.remove_leftovers()
            # Of a cluster, actors of a killed job may have written until a moment ago.
            if over or plan.replacing or status.restarts or (plan.pending and status.address):
                settle(folder, over)
            return plan.keys


def _pool(work: Work, where: Where) -> Pool:
    if where.engine == "local":
        return LocalPool(work, where.workers)
    from har_core.scale.engines.ray_pool import RayPool

    return RayPool(work, where.address, where.workers)


@dataclass
class _Task:
    """A shard with a worker."""

    shard: Shard
    tries: int = 1
    done: int = 0
    errors: int = 0


class _Supervisor:
    """Gives shards to workers until all are done, whatever becomes of these."""

    def __init__(
        self,
        pool: Pool,
        plan: Plan,
        folder: PartsFolder,
        writer: StatusWriter,
        report: Callable[[int, int], object],
    ) -> None:
        self._pool = pool
        self._folder = folder
        self._writer = writer
        self._report = report
        self._new = enumerate(plan.shards(pool.size))
        self._after_ns = plan.after_ns
        self._again: deque[_Task] = deque()
        self._running: dict[int, _Task] = {}
        self._idle: list[int] = []
        self._done = self._errors = self._stillborn = 0
        self._crashes: Counter[str] = Counter()
        self._asked = 0.0
        self._exhausted = False

    def run(self) -> None:
        """Return when every shard is done."""
        self._fill()
        while self._running or self._again or not self._exhausted:
            for event in self._pool.wait(_WAIT_S):
                self._handle(event)
            self._fill()
            self._tell()

    def _fill(self) -> None:
        """Give idle workers something to do."""
        while self._idle and (task := self._next()) is not None:
            worker = self._idle.pop()
            self._running[worker] = task
            self._pool.submit(worker, task.shard)

    def _next(self) -> _Task | None:
        if self._again:
            return self._again.popleft()
        number, items = next(self._new, (0, None))
        if items is None:
            self._exhausted = True
            return None
        name = f"{self._writer.status.job}{number:06d}"
        return _Task(Shard(name, items, after_ns=self._after_ns))

    def _handle(self, event: Event) -> None:
        task = self._running.get(event.worker)
        if event.kind == "ready":
            self._stillborn = 0
            self._idle.append(event.worker)
        elif event.kind == "report" and task is not None and event.report is not None:
            task.done, task.errors = event.report.done, event.report.errors
        elif event.kind == "finished" and task is not None:
            del self._running[event.worker]
            self._done += task.done
            self._errors += task.errors
            self._idle.append(event.worker)
        elif event.kind == "failed":
            raise HarError(event.message)
        elif event.kind in ("died", "ended"):
            self._replace(event)

    def _replace(self, event: Event) -> None:
        self._writer.status.restarts += 1
        if event.worker in self._idle:
            self._idle.remove(event.worker)
        task = self._running.pop(event.worker, None)
        if task is None:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN * self._pool.size:
                raise HarError(
                    event.message
                    or "The workers end before they can begin; is there too little memory? "
                    "Use fewer --workers."
                )
        elif event.message and task.tries > _CAREFUL_FROM:
            raise HarError(f"{event.message} What was done is kept; start again.")
        elif (left := self._left(task, event)) is not None:
            self._again.append(left)

    def _left(self, task: _Task, event: Event) -> _Task | None:
        """Return what a worker that is gone has left to do; None if nothing."""
        shard = task.shard
        parts = self._folder.parts(shard.name)
        stop = max((part.stop for part in parts), default=0)
        self._done += stop
        for part in parts:
            reasons = self._folder.read_part(part, (REASON,))[REASON]
            self._errors += len(reasons) - reasons.null_count
        if shard.careful and event.kind == "died" and task.done < len(shard.items):
            self._crashes[shard.items[task.done].uri] += 1
        items: Sequence[Item] = shard.items[stop:]
        if not items:
            return None
        told = event.kind == "ended" and not event.message
        tries = 1 if stop else task.tries + (0 if told else 1)
        again = replace(
            shard,
            name=f"{shard.name}r{self._writer.status.restarts}",
            items=items,
            careful=shard.careful or tries > _CAREFUL_FROM,
            condemned={uri for uri, n in self._crashes.items() if n >= _CRASHES},
        )
        return _Task(again, tries)

    def _tell(self) -> None:
        if time.monotonic() - self._asked > BEAT_S:
            state = self._pool.state()
            self._writer.status.cluster = dataclasses.asdict(state) if state else None
            self._asked = time.monotonic()
        running = self._running.values()
        done = self._done + sum(task.done for task in running)
        errors = self._errors + sum(task.errors for task in running)
        if running or done:
            self._writer.advance(done, errors)
            self._report(done, self._writer.status.total)
