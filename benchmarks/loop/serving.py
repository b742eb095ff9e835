"""How long REST answers take while a model is trained from the page, against an idle server.

    python -m benchmarks.loop.serving [--seconds 60]

One client sends a photograph after another, with a short pause; then a standard training of drawn
pictures is started as the Training page does it, and the client goes on. Fails if the 95th
percentile while it trains is more than three times the idle one. Run it on an idle machine.
"""

import argparse
import http.client
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from benchmarks.bench_load import BODY, HEADERS
from dashboard.training.runs import ACTIVE, Run, find_run, start_run, stop_run
from har_core.model.bundle import list_bundles, models_dir
from har_core.settings import CACHE_DIR, DATA_DIR
from tests.dashboard_process import running_dashboard
from tests.drawing import write_dataset

MOST_TIMES: Final = 3.0
_PAUSE_S: Final = 0.05
_PER_CLASS: Final = 400


def answers(address: str, seconds: float) -> list[float]:
    """Send photographs one after another for some time; return how long each answer took."""
    connection = http.client.HTTPConnection(address, timeout=60)
    took = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        connection.request("POST", "/predict", BODY, HEADERS)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        took.append(time.perf_counter() - start)
        time.sleep(_PAUSE_S)
    connection.close()
    return took


def wait_until_it_learns(run: Run) -> None:
    """Wait until the network itself is trained: everything before that is reading."""
    while True:
        found = find_run(run.id)
        assert found is not None
        if found.epochs:
            return
        if found.state not in ACTIVE:
            raise SystemExit(f"The training ended early: {found.error or found.state}")
        time.sleep(0.5)


def wait_until_it_ends(run: Run) -> None:
    """Wait for a training that was asked to stop."""
    while (found := find_run(run.id)) is not None and found.state in ACTIVE:
        time.sleep(0.5)


def main() -> int:
    """Measure and print; 1 if answers are too slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ |= {CACHE_DIR.name: str(folder / "cache"), DATA_DIR.name: str(folder / "data")}
        dataset = write_dataset(folder / "pictures", per_class=_PER_CLASS)
        table = (dataset / "train.csv").read_text()
        with running_dashboard(folder / "log.txt", models_dir()) as server:
            address = server.url.removeprefix("http://")
            answers(address, 3)  # loads the model
            idle = answers(address, arguments.seconds)
            base = next(entry.path for entry in list_bundles() if entry.manifest is not None)
            run = start_run(
                "load", "standard", base, str(dataset), table, n_photographs=3 * _PER_CLASS
            )
            wait_until_it_learns(run)
            busy = answers(address, arguments.seconds)
            still = find_run(run.id)
            assert still is not None
            if still.state not in ACTIVE:
                raise SystemExit("The training ended while it was measured; ask for fewer seconds.")
            stop_run(still)
            wait_until_it_ends(run)  # it still writes into the folder
    ratio = _p95(busy) / _p95(idle)
    for title, took in (("idle", idle), ("training", busy)):
        print(
            f"{title:9} {len(took):,} answers, median {1000 * median(took):.0f} ms, "
            f"95 % {1000 * _p95(took):.0f} ms"
        )
    print(f"95th percentile while training: {ratio:.1f} times the idle one (at most {MOST_TIMES})")
    return int(ratio > MOST_TIMES)


def _p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1]


if __name__ == "__main__":
    sys.exit(main())
