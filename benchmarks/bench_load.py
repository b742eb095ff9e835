"""64 clients for a minute: what is answered, how long it takes, whether the pages stay usable.

    python -m benchmarks.bench_load [--clients 64] [--seconds 60]

Fails if a request gets anything but its prediction or the documented 503, or a page takes long.
"""

import argparse
import http.client
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from benchmarks.bench_predict import small_jpeg
from har_core.model.bundle import models_dir
from tests.dashboard_process import DashboardProcess, running_dashboard

HEADERS = {"Content-Type": "multipart/form-data; boundary=B"}
BODY = (
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    + small_jpeg()
    + b"\r\n--B--\r\n"
)
BUSY = "503 with Retry-After"
PAGE_LIMIT_S = 2.0


class Load:
    """Clients that each send a photograph, wait for the answer, and send the next."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.outcomes: Counter[str] = Counter()
        self.seconds: list[float] = []
        self._end = 0.0

    def run(self, clients: int, seconds: float) -> None:
        """Keep all clients busy for some time."""
        self._end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._send) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        while time.monotonic() < self._end:
            start = time.perf_counter()
            try:
                connection.request("POST", "/predict", BODY, HEADERS)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[type(error).__name__] += 1
                connection.close()
                continue
            patience = answer.headers["Retry-After"]
            if answer.status == 503 and patience is not None:
                self.outcomes[BUSY] += 1
                time.sleep(float(patience))
            else:
                self.outcomes[str(answer.status)] += 1
                self.seconds.append(time.perf_counter() - start)


def visit_pages(address: str, until: threading.Event, seconds: list[float]) -> None:
    """Fetch the page and its health once a second, as a visitor's browser does."""
    while not until.wait(1.0):
        for path in ("/", "/_stcore/health"):
            start = time.perf_counter()
            connection = http.client.HTTPConnection(address, timeout=60)
            try:
                connection.request("GET", path)
                usable = connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                usable = False
            connection.close()
            seconds.append(time.perf_counter() - start if usable else float("inf"))


def resident_mb(server: DashboardProcess) -> float:
    """Return the server's memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def main() -> int:
    """Load a server, print what happened; 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    with (
        TemporaryDirectory() as folder,
        running_dashboard(Path(folder) / "log.txt", models_dir()) as server,
    ):
        address = server.url.removeprefix("http://")
        Load(address).run(clients=2, seconds=3)  # loads the model, allocates what stays
        before = resident_mb(server)
        load, ended = Load(address), threading.Event()
        pages: list[float] = []
        visitor = threading.Thread(target=visit_pages, args=(address, ended, pages))
        visitor.start()
        load.run(arguments.clients, arguments.seconds)
        ended.set()
        visitor.join()
        growth = resident_mb(server) - before
    answered = load.outcomes["200"]
    failed = {k: n for k, n in load.outcomes.items() if k not in ("200", BUSY)}
    print(f"{arguments.clients} clients, {arguments.seconds:.0f} s")
    print(f"answered        {answered:,} ({answered / arguments.seconds:.0f} a second)")
    print(f"503, try again  {load.outcomes[BUSY]:,}")
    print(f"failed          {sum(failed.values())} {failed or ''}")
    print(f"waiting         median {median(load.seconds):.2f} s, 99 % {_p99(load.seconds):.2f} s")
    print(f"a page          median {median(pages):.3f} s, slowest {max(pages):.2f} s")
    print(f"memory          {growth:+.0f} MB")
    return 1 if failed or max(pages) > PAGE_LIMIT_S else 0


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[-1]


if __name__ == "__main__":
    sys.exit(main())
