"""The server against the Flask app: start, requests per second, memory."""

import http.client
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.bench_predict import small_jpeg
from benchmarks.peers.running import BareThroughput, flask_app, memory_mb
from benchmarks.table import Row, at_least, at_most
from benchmarks.wanted import REST
from har_core.model.loading import find_model
from tests.dashboard_process import free_port, running_dashboard

STARTS: Final = 3
CLIENTS: Final = 8
ROUNDS: Final = 5
COUNTED: Final = 1000
MANY: Final = 20_000
BODY: Final = (
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n" + small_jpeg() + b"\r\n--B--\r\n"
)
REQUEST: Final = (
    b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n"
    b"Content-Type: multipart/form-data; boundary=B\r\n\r\n%b" % (len(BODY), BODY)
)


class Client:
    """A connection that costs the cores, which it shares with the server, next to nothing.

    `http.client` takes 0.3 ms of a request, most of it for the headers.
    """

    def __init__(self, address: str) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._connection: socket.socket | None = None

    def send(self) -> None:
        """Send the photograph and wait for its answer.

        Raises
        ------
        RuntimeError
            If it is not answered with 200.
        """
        connection = self._connection or socket.create_connection((self._host, self._port), 60)
        self._connection = connection
        connection.sendall(REQUEST)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._received(connection)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if b" 200 " not in head.partition(b"\r\n")[0] or length is None:
            raise RuntimeError(f"{self._host}:{self._port} answered {head.decode()}.")
        left = int(length[1]) - len(body)
        while left > 0:
            left -= len(self._received(connection))
        if re.search(rb"(?i)\r\nconnection: close", head):  # as Flask's server does
            self.close()

    def _received(self, connection: socket.socket) -> bytes:
        if not (data := connection.recv(2**16)):
            raise RuntimeError(f"{self._host}:{self._port} hung up.")
        return data

    def close(self) -> None:
        """Close the connection; the next photograph opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


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
            client = Client(self.address)
            try:
                for _ in range(share):
                    client.send()
            except Exception as error:
                failures.append(error)
            finally:
                client.close()

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
            rest, rate / bare.per_second, REST, "× P1", f"{rate:.0f} : {bare.per_second:.0f} per s"
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
        with closing(connection), suppress(OSError):  # nobody listens yet
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return time.perf_counter() - start
        time.sleep(0.02)
    raise RuntimeError("The server ended at once.")
