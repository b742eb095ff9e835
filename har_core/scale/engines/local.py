"""The engine that needs nothing else: a process for each core of this machine."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from har_core.scale.engines.pool import Event
from har_core.scale.locks import hold_shared
from har_core.scale.working import Problem, Report, Shard, Work, Worker, problem_of
from har_core.threads import cores
from har_core.workers import ctrl_c_held_back, worker_context

_READY = "ready"
_FINISHED = "finished"
# For a batch and a part; what hangs longer is killed.
_LAST_WORDS_S: Final = 10.0


class LocalPool:
    """Processes on this machine; see `har_core.scale.engines.pool.Pool`.

    Parameters
    ----------
    work : Work
    size : int, optional
        Default: one for each core.
    """

    address = ""

    def __init__(self, work: Work, size: int | None = None) -> None:
        self.size = size or cores()
        self._work = work
        self._context = worker_context("har_core.scale.engines.local")
        with ctrl_c_held_back():
            self._workers = [self._start() for _ in range(self.size)]

    def _start(self) -> tuple[Any, Connection]:
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._work), daemon=True)
        process.start()
        theirs.close()
        return process, mine

    def pids(self) -> list[int]:
        """Return the processes' numbers."""
        return [process.pid for process, _ in self._workers]

    def submit(self, worker: int, shard: Shard) -> None:
        """See `Pool.submit`."""
        with contextlib.suppress(OSError):  # it died just now, which `wait` notices
            self._workers[worker][1].send(shard)

    def wait(self, seconds: float) -> Sequence[Event]:
        """See `Pool.wait`."""
        number = {connection: i for i, (_, connection) in enumerate(self._workers)}
        events = []
        for connection in wait(list(number), seconds):
            worker = number[connection]  # type: ignore[index]
            try:
                event = _as_event(worker, self._workers[worker][1].recv())
            except (EOFError, OSError):  # the pipe's other end went with the process
                event = Event(worker, "died")
            if event.kind in ("died", "ended"):
                process, pipe = self._workers[worker]
                process.kill()
                process.join()
                pipe.close()
                self._workers[worker] = self._start()
            events.append(event)
        return events

    def state(self) -> None:
        """See `Pool.state`."""

    def close(self) -> None:
        """See `Pool.close`."""
        for _, pipe in self._workers:
            pipe.close()  # whereupon a worker writes what it has made, and ends
        end = time.monotonic() + _LAST_WORDS_S
        for process, _ in self._workers:
            process.join(max(0.0, end - time.monotonic()))
            process.kill()
            process.join()


def _as_event(worker: int, message: Any) -> Event:
    if isinstance(message, Report):
        return Event(worker, "report", message)
    if message in (_READY, _FINISHED):
        return Event(worker, message)
    return Event(worker, "ended" if message.again else "failed", message=message.message)


def _work(connection: Connection, work: Work) -> None:
    """Do shards until there are no more; the main function of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the driver ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    idle = True

    def end(signum: int, frame: Any) -> None:
        worker.stop()
        if idle:
            sys.exit(1)

    try:
        with hold_shared(work.to):
            worker = Worker(work)
            signal.signal(signal.SIGTERM, end)  # not before what was made is written
            connection.send(_READY)
            while True:
                shard = connection.recv()
                idle = False
                with contextlib.closing(worker.do(shard)) as reports:
                    for report in reports:
                        connection.send(report)
                if worker.stopped:  # the driver sees what is left to do
                    connection.send(Problem("", again=True))
                    return
                idle = True
                connection.send(_FINISHED)
    except (EOFError, ConnectionError):
        return  # the driver has ended, so that nobody waits for anything
    except Exception as error:
        with contextlib.suppress(OSError):  # the driver may have ended
            connection.send(problem_of(error))


def _end_with_parent() -> None:
    """End this process with the driver, even one that was killed: nobody waits for its rows."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
