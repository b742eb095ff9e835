"""The server against the Flask app: start, requests per second, memory."""

import http.client
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.bench_predict import small_jpeg
from benchmarks.peers.running import BareThroughput, flask_app, memory_mb
from benchmarks.table import Row, at_least, at_most
from har_core.model.loading import find_model
from tests.dashboard_process import free_port, running_dashboard

STARTS: Final = 3
CLIENTS: Final = 8
ROUNDS: Final = 5
COUNTED: Final = 1000
MANY: Final = 20_000
HEADERS: Final = {"Content-Type": "multipart/form-data; boundary=B"}
BODY: Final = (
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n" + small_jpeg() + b"\r\n--B--\r\n"
)


class Served:
    """A server that is ready, with what it took to get there."""

    def __init__(self, address: str, pid: int, start_seconds: float) -> None:
        self.address = address
        self.pid = pid
        self.start_seconds = start_seconds
        self.answered = 0
        self.elapsed = 0.0

    def load(self, n: int) -> None:
        """Let all clients together send `n` photographs, each waiting for its answers."""
        failures: list[Exception] = []

        def send(share: int) -> None:
            connection = http.client.HTTPConnection(self.address, timeout=60)
            try:
                for _ in range(share):
                    connection.request("POST", "/predict", BODY, HEADERS)
                    response = connection.getresponse()
                    response.read()
                    if response.status != 200:
                        raise RuntimeError(f"{self.address} answered {response.status}.")
            except Exception as error:
                failures.append(error)
            finally:
                connection.close()

        clients = [threading.Thread(target=send, args=(n // CLIENTS,)) for _ in range(CLIENTS)]
        start = time.perf_counter()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        self.elapsed += time.perf_counter() - start
        self.answered += n // CLIENTS * CLIENTS
        if failures:
            raise failures[0]

    @property
    def per_second(self) -> float:
        """Answers per second under load so far."""
        return self.answered / self.elapsed


def measure() -> list[Row]:
    """Start both in turn, then load both and P1 in turn."""
    starts: dict[Callable[[], AbstractContextManager[Served]], list[float]] = {
        dashboard: [],
        flask: [],
    }
    for _ in range(STARTS):
        for begin, taken in starts.items():
            with begin() as server:
                taken.append(server.start_seconds)
    ours_s, flask_s = (median(taken) for taken in starts.values())
    bare = BareThroughput()
    with ExitStack() as stack:
        ours, theirs = stack.enter_context(dashboard()), stack.enter_context(flask())
        for _ in range(ROUNDS):
            ours.load(COUNTED // ROUNDS)
            theirs.load(COUNTED // ROUNDS)
            bare.measure(COUNTED // ROUNDS // 2)
        rate = ours.per_second
        first, flask_mb = memory_mb(ours.pid), memory_mb(theirs.pid)
        ours.load(MANY - COUNTED)
        last = memory_mb(ours.pid)
    rest = f"REST, {CLIENTS} clients"
    return [
        at_least(
            rest, rate / bare.per_second, 0.7, "× P1", f"{rate:.0f} : {bare.per_second:.0f} per s"
        ),
        at_least(
            rest, rate / theirs.per_second, 8, "× P3", f"{rate:.0f} : {theirs.per_second:.1f} per s"
        ),
        at_most(
            "process start → /health ready",
            ours_s / flask_s,
            0.33,
            "× P3",
            f"{ours_s:.1f} : {flask_s:.1f} s",
        ),
        at_most(
            f"memory after {COUNTED:,} predictions",
            first / flask_mb,
            0.45,
            "× P3",
            f"{first:.0f} : {flask_mb:.0f} MB",
        ),
        at_most(
            f"memory growth from {COUNTED:,} to {MANY:,} predictions",
            100 * (last / first - 1),
            3,
            "%",
            f"{first:.0f} → {last:.0f} MB",
        ),
    ]


@contextmanager
def dashboard() -> Iterator[Served]:
    """Serve the dashboard."""
    with TemporaryDirectory() as temporary:
        start = time.perf_counter()
        with running_dashboard(Path(temporary) / "log.txt", find_model().parent) as server:
            address = server.url.removeprefix("http://")
            yield Served(address, server.process.pid, ready_after(start, address, server.process))


@contextmanager
def flask() -> Iterator[Served]:
    """Serve the Flask app."""
    port = free_port()
    start = time.perf_counter()
    with flask_app(port) as process:
        address = f"127.0.0.1:{port}"
        yield Served(address, process.pid, ready_after(start, address, process))


def ready_after(start: float, address: str, process: subprocess.Popen) -> float:
    """Wait until ``/health`` answers 200, and return the seconds since `start`."""
    while process.poll() is None:
        connection = http.client.HTTPConnection(address, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return time.perf_counter() - start
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    raise RuntimeError("The server ended at once.")
