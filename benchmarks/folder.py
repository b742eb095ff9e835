"""A folder of 2,000 photographs, through Python and through the command line."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import har_core
from benchmarks.bench_predict import small_jpeg
from benchmarks.peers.running import BareThroughput
from benchmarks.table import Row, at_least
from benchmarks.wanted import COMMAND, PREDICT_BATCH
from har_core.scan.scanning import list_rows

N: Final = 2000
ROUNDS: Final = 8


def measure() -> list[Row]:
    """Take turns with P1."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = photographs(Path(temporary))
        model, bare = har_core.load_model(), BareThroughput()
        model.predict_batch(paths[:100])
        elapsed = 0.0
        step = len(paths) // ROUNDS
        for start in range(0, len(paths), step):
            bare.measure(step // 4)
            begin = time.perf_counter()
            model.predict_batch(paths[start : start + step])
            elapsed += time.perf_counter() - begin
        batch = len(paths) / elapsed
        first = bare.per_second

        bare = BareThroughput()
        bare.measure(N // 8)
        begin = time.perf_counter()
        command = [sys.executable, "-m", "har_core", "predict", "--csv", os.devnull]
        subprocess.run([*command, *map(str, paths)], check=True, capture_output=True)
        command_line = len(paths) / (time.perf_counter() - begin)
        bare.measure(N // 8)
    what = f"folder of {len(paths):,} photographs, "
    return [
        at_least(f"{what}predict_batch", batch / first, PREDICT_BATCH, "× P1", rates(batch, first)),
        at_least(
            f"{what}command line with its start",
            command_line / bare.per_second,
            COMMAND,
            "× P1",
            rates(command_line, bare.per_second),
        ),
    ]


def rates(ours: float, theirs: float) -> str:
    """Say two rates."""
    return f"{ours:.0f} : {theirs:.0f} photographs/s"


def photographs(folder: Path) -> list[Path]:
    """Return the dataset's first photographs, or write as many copies of the example."""
    dataset = os.environ.get("HAR_DATASET", "").strip()
    if dataset:
        return [Path(path) for path in sorted(list_rows(dataset)["path"].dropna())[:N]]
    paths = [folder / f"{number}.jpg" for number in range(N)]
    for path in paths:
        path.write_bytes(small_jpeg())
    return paths
