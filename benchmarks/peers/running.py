"""What the project is compared with: bare ONNX Runtime, Keras, and a minimal Flask app."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime

from har_core.model.loading import find_model
from har_core.model.manifest import KERAS_FILE, ONNX_FILE
from tests.dashboard_process import ROOT

CORES = os.cpu_count() or 1


class BareSession:
    """P1: ``session.run`` on the bundle's graph, on pixels that are ready.

    Parameters
    ----------
    threads : int, default 0
        Of one run; 0 is ONNX Runtime's own choice, all cores.
    batch_size : int, default 1
        Photographs per run.
    graph : str, optional
        File of the bundle.
    """

    def __init__(self, threads: int = 0, batch_size: int = 1, graph: str = ONNX_FILE) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        path = find_model() / graph
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        source = self._session.get_inputs()[0]
        shape = (batch_size, *source.shape[1:])
        pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        as_it_is = source.type == "tensor(uint8)"
        self._feed = {source.name: pixels if as_it_is else pixels / np.float32(127.5) - 1}
        self.batch_size = batch_size

    def run(self) -> None:
        """Run the network once."""
        self._session.run(None, self._feed)


class BareThroughput:
    """P1's photographs per second: the best of all cores in every run, and a core for each run."""

    def __init__(self) -> None:
        self._all_cores = BareSession()
        self._one_core = BareSession(threads=1)
        self._seconds = [0.0, 0.0]
        self._photographs = 0

    def measure(self, n: int) -> None:
        """Run `n` photographs in each of the two ways."""
        start = time.perf_counter()
        for _ in range(n):
            self._all_cores.run()
        middle = time.perf_counter()
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(lambda _: self._one_core.run(), range(n)))
        self._seconds[0] += middle - start
        self._seconds[1] += time.perf_counter() - middle
        self._photographs += n

    @property
    def per_second(self) -> float:
        """Photographs per second so far."""
        return self._photographs / min(self._seconds)


class KerasPredict:
    """P2: ``keras.Model.predict`` on the bundle's Keras file, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.keras_predict", find_model() / KERAS_FILE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )

    def seconds(self, n: int) -> list[float]:
        """Return the times of `n` predictions."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{n}\n")
        self._process.stdin.flush()
        return [float(word) for word in self._process.stdout.readline().split()]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextmanager
def flask_app(port: int) -> Iterator[subprocess.Popen]:
    """P3: serve the minimal Flask app until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.flask_app", find_model(), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024
