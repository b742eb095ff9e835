"""Starts the dashboard as its users do, as a process of its own, for tests that need a real one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 60


@dataclass
class DashboardProcess:
    """A running ``streamlit run dashboard/app.py``."""

    url: str
    process: subprocess.Popen
    log: Path

    def stop(self) -> int:
        """Ask the server to end, as Ctrl-C does, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=PATIENCE_S)


@contextmanager
def running_dashboard(
    log: Path, models: Path, dataset: Path | None = None, options: Sequence[str] = ()
) -> Iterator[DashboardProcess]:
    """Serve on a free port until the block ends; ready when ``/_stcore/health`` answers.

    `options` are further ones of ``streamlit run``.
    """
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HAR_MODELS_DIR": str(models)}
    environment.pop("HAR_MODEL", None)
    environment["HAR_DATASET"] = str(dataset) if dataset else ""
    environment.setdefault("HAR_CACHE_DIR", str(log.parent / "cache"))
    environment.setdefault("HAR_DATA_DIR", str(log.parent / "data"))
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--server.port", str(port), "--server.address", "127.0.0.1", *options],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = DashboardProcess(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_until_served(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_served(server: DashboardProcess) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"The dashboard ended at once:\n{server.log.read_text()}")
        try:
            if httpx2.get(f"{server.url}/_stcore/health", timeout=1).is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"No dashboard after {START_TIMEOUT_S} s:\n{server.log.read_text()}")
