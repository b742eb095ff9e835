"""A minute's look at the claims that a change spoils first; each is a ratio within one run.

Every part takes turns with bare ONNX Runtime. On a busy machine the command line makes it longer.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import har_core
from benchmarks.bench_predict import small_jpeg
from benchmarks.folder import rates
from benchmarks.peers.running import BareSession, BareThroughput
from benchmarks.service import CLIENTS, dashboard
from benchmarks.single import seconds
from benchmarks.table import Row, at_least, at_most
from benchmarks.wanted import COMMAND, ONE_JPEG, PREDICT_BATCH, REST
from har_core.model.loading import find_model
from har_core.model.manifest import ONNX_FILE

PART_S: Final = 10
STEP: Final = 48
# The command line's start is a second: with more photographs it would count for less.
FOLDER: Final = 500
BARE_PROCESS: Final = (
    "import sys, numpy, onnxruntime; s = onnxruntime.InferenceSession(sys.argv[1]);"
    "i = s.get_inputs()[0]; s.run(None, {i.name: numpy.zeros((1, *i.shape[1:]), 'float32')})"
)


def measure() -> list[Row]:
    """Measure one photograph, many at once, the command line and the server."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = [Path(temporary) / f"{number}.jpg" for number in range(FOLDER)]
        for path in paths:
            path.write_bytes(small_jpeg())
        return [one_photograph(), many(paths), one_process(paths[0]), command_line(paths), served()]


def one_photograph() -> Row:
    """Compare the medians of one call."""
    model, bare, data = har_core.load_model(), BareSession(), small_jpeg()
    runs: list[Callable[[], object]] = [bare.run, lambda: model.predict(data)]
    times: list[list[float]] = [[], []]
    for run in runs:
        seconds(run, 10)
    end = time.perf_counter() + PART_S
    while time.perf_counter() < end:
        for taken, run in zip(times, runs, strict=True):
            taken += seconds(run, STEP // 2)
    theirs, ours = (1000 * median(taken) for taken in times)
    detail = f"{ours:.1f} : {theirs:.1f} ms"
    return at_most("one JPEG of 275×183 → Prediction", ours / theirs, ONE_JPEG, "× P1", detail)


def many(paths: list[Path]) -> Row:
    """Compare photographs per second of one process."""
    model, bare = har_core.load_model(), BareThroughput()
    model.predict_batch(paths[:STEP])
    n, elapsed, end = 0, 0.0, time.perf_counter() + PART_S
    while time.perf_counter() < end:
        bare.measure(STEP // 2)
        begin = time.perf_counter()
        model.predict_batch(paths[:STEP])
        elapsed += time.perf_counter() - begin
        n += STEP
    ours, theirs = n / elapsed, bare.per_second
    return at_least("predict_batch", ours / theirs, PREDICT_BATCH, "× P1", rates(ours, theirs))


def one_process(path: Path) -> Row:
    """Compare a command for one photograph with a process that runs the bare network once."""
    ours = [sys.executable, "-m", "har_core", "predict", str(path)]
    theirs = [sys.executable, "-c", BARE_PROCESS, str(find_model() / ONNX_FILE)]
    times: list[list[float]] = [[], []]
    for _ in range(3):
        for taken, command in zip(times, (ours, theirs), strict=True):
            taken += seconds(lambda: subprocess.run(command, check=True, capture_output=True), 1)  # noqa: B023
    command_s, bare_s = map(median, times)
    return at_most(
        "har predict, one photograph",
        command_s / bare_s,
        2.5,
        "× a process with P1",
        f"{command_s:.2f} : {bare_s:.2f} s",
    )


def command_line(paths: list[Path]) -> Row:
    """Compare photographs per second of a command, its start included."""
    bare = BareThroughput()
    bare.measure(len(paths) // 4)
    command = [sys.executable, "-m", "har_core", "predict", "--csv", os.devnull]
    (elapsed,) = seconds(
        lambda: subprocess.run([*command, *map(str, paths)], check=True, capture_output=True), 1
    )
    bare.measure(len(paths) // 4)
    ours, theirs = len(paths) / elapsed, bare.per_second
    what = f"har predict, {len(paths)} photographs, with its start"
    return at_least(what, ours / theirs, COMMAND, "× P1", rates(ours, theirs))


def served() -> Row:
    """Compare answers per second of the server."""
    bare = BareThroughput()
    with dashboard() as server:
        server.load(STEP)
        server.answered, server.elapsed = 0, 0.0
        end = time.perf_counter() + PART_S
        # In long turns: at the begin and at the end of each some clients wait for nothing.
        while time.perf_counter() < end:
            server.load(4 * STEP)
            bare.measure(2 * STEP)
    ours, theirs = server.per_second, bare.per_second
    return at_least(
        f"REST, {CLIENTS} clients", ours / theirs, REST, "× P1", f"{ours:.0f} : {theirs:.0f} per s"
    )
