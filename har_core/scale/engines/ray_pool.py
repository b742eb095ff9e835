"""The engine on many machines: an actor of a Ray cluster for each core."""

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from har_core.errors import HarError
from har_core.extras import require_scale_extra
from har_core.scale.engines.pool import Event
from har_core.scale.engines.ray_state import ClusterState, state_of
from har_core.scale.locks import hold_shared
from har_core.scale.working import Problem, Report, Shard, Work, Worker, problem_of

# For a batch and a part; what hangs longer is killed.
_LAST_WORDS_S: Final = 10.0


class RayPool:
    """Actors of a Ray cluster; see `har_core.scale.engines.pool.Pool`.

    What the work needs travels with the job; the program itself has to be installed on every
    machine.

    Parameters
    ----------
    work : Work
    address : str, optional
        See `har_core.scale.jobs.Where`.
    size : int, optional
        Default: one for each core of the cluster.

    Raises
    ------
    HarError
        If Ray is not installed, or there is no such cluster.
    """

    def __init__(self, work: Work, address: str | None = None, size: int | None = None) -> None:
        require_scale_extra("--engine ray", ("ray",))
        import ray

        self._ray = ray
        on_termination = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address or "local", log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise HarError(f"Cannot reach the Ray cluster {address}: {error}.") from error
        if threading.current_thread() is threading.main_thread():  # Ray has put its own in place
            signal.signal(signal.SIGTERM, on_termination or signal.SIG_DFL)
        with contextlib.ExitStack() as unless_begun:
            unless_begun.callback(ray.shutdown)
            self._begin(work, address, size)
            unless_begun.pop_all()

    def _begin(self, work: Work, address: str | None, size: int | None) -> None:
        ray = self._ray
        inside = ray.get_runtime_context().gcs_address
        self.address = address if address and "://" in address else inside
        self.size = size or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._files = ray.put(work.files())
        self._work = work
        # `max_restarts` is 0: a dead one is replaced here, since its shard is done again. The
        # second thread is there to be asked to stop.
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_concurrency=2)(_Actor)
        self._actors = [self._actor.remote(self._files, work) for _ in range(self.size)]
        self.pids: dict[int, int] = {}  # of the actors' processes, on their machines
        # What is awaited of each worker: whether it can begin, or its next report.
        self._awaited: dict[Any, int] = {}
        for worker in range(self.size):
            self._await_ready(worker)

    def _await_ready(self, worker: int) -> None:
        self._awaited[self._actors[worker].ready.remote()] = worker

    def submit(self, worker: int, shard: Shard) -> None:
        """See `Pool.submit`."""
        method = self._actors[worker].do.options(num_returns="streaming")
        self._awaited[method.remote(shard)] = worker

    def wait(self, seconds: float) -> Sequence[Event]:
        """See `Pool.wait`."""
        if not self._awaited:
            return []
        waiting = list(self._awaited)
        happened, _ = self._ray.wait(
            waiting, num_returns=len(waiting), timeout=0, fetch_local=False
        )
        if not happened:
            happened, _ = self._ray.wait(waiting, timeout=seconds, fetch_local=False)
        return [event for awaited in happened if (event := self._event(awaited)) is not None]

    def _event(self, awaited: Any) -> Event | None:
        worker = self._awaited[awaited]
        try:
            if isinstance(awaited, self._ray.ObjectRef):
                self.pids[worker], message = self._ray.get(awaited)
                del self._awaited[awaited]
            else:
                message = self._ray.get(next(awaited))
        except StopIteration:
            del self._awaited[awaited]
            return Event(worker, "finished")
        except self._ray.exceptions.RayError as error:
            self._replace(worker, awaited)
            return Event(worker, "ended" if _no_accident(error) else "died")
        if isinstance(message, Report):
            return Event(worker, "report", message)
        if message is None:
            return Event(worker, "ready")
        if message.again:
            self._replace(worker, awaited)
        return Event(worker, "ended" if message.again else "failed", message=message.message)

    def _replace(self, worker: int, awaited: Any) -> None:
        self._awaited.pop(awaited, None)  # whether it can begin is no longer awaited once it said
        self._ray.kill(self._actors[worker])
        self._actors[worker] = self._actor.remote(self._files, self._work)
        self._await_ready(worker)

    def state(self) -> ClusterState:
        """See `Pool.state`."""
        return state_of(self._ray)

    def close(self) -> None:
        """See `Pool.close`."""
        at_work = {w for it, w in self._awaited.items() if not isinstance(it, self._ray.ObjectRef)}
        try:
            stopped = [self._actors[worker].stop.remote() for worker in at_work]
            if stopped:
                self._ray.wait(stopped, num_returns=len(stopped), timeout=_LAST_WORDS_S)
        finally:
            for actor in self._actors:
                self._ray.kill(actor)
            self._ray.shutdown()


def _no_accident(error: Exception) -> bool:
    """Tell whether an actor is gone since somebody ended it, or its machine."""
    told = str(error)
    return getattr(error, "preempted", False) or "SIGTERM" in told or "its node has died" in told


class _Actor:
    """One worker; why it cannot go on is returned as a message."""

    def __init__(self, files: dict[str, bytes], work: Work) -> None:
        # On this machine the next job waits for actors of a killed one.
        self._lock = contextlib.ExitStack()
        with contextlib.suppress(OSError):
            self._lock.enter_context(hold_shared(work.to))
        self._busy = threading.Lock()
        self._worker: Worker | None = None
        self._problem: Problem | None = None
        self._on_termination()
        # Removed once it is read: an actor is killed, and clears nothing away.
        with tempfile.TemporaryDirectory(prefix="har-work-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            try:
                self._worker = Worker(work.beside(folder))
            except Exception as error:
                self._problem = problem_of(error)

    def _on_termination(self) -> None:
        """Let SIGTERM end this after the batch at hand; Ray alone would let it do its shard."""
        before = signal.getsignal(signal.SIGTERM)

        def end(signum: int, frame: Any) -> None:
            if self._worker is not None:
                self._worker.stop()
            if callable(before):
                before(signum, frame)

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, end)

    def ready(self) -> tuple[int, Problem | None]:
        return os.getpid(), self._problem

    def do(self, shard: Shard) -> Iterator[Report | Problem]:
        assert self._worker is not None
        with self._busy:
            try:
                yield from self._worker.do(shard)
            except Exception as error:
                yield problem_of(error)
            else:
                if self._worker.stopped:
                    yield Problem("", again=True)

    def stop(self) -> None:
        """Write what has been made; returns when that is done."""
        if self._worker is not None:
            self._worker.stop()
            with self._busy:
                return  # `do` has ended
