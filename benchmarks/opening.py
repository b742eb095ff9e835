"""Opening the Dataset page while the server scans, analyses and trains, on a real dataset.

    HAR_DATASET=/path/to/DataSet python -m benchmarks.opening

prints how long the page took to open, alone and during each kind of work.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import median
from typing import Final
from unittest import mock

from streamlit.testing.v1 import AppTest

from benchmarks.table import Row, at_most, skipped
from dashboard.dataset.actions import start_analysis, start_scan
from dashboard.dataset.view import dataset_view
from dashboard.jobs.registry import find_jobs
from dashboard.training.runs import start_run, stop_run
from har_core.dataset.decisions import labels_csv
from har_core.dataset.table import load_dataset, open_dataset
from har_core.model.loading import find_model
from har_core.scan.scanning import scan_dataset
from tests.dashboard_process import ROOT

MOST_S: Final = 2.0
OPENINGS: Final = 8  # during each kind of work, one a second
WHAT: Final = "Dataset page opens"


def measure() -> list[Row]:
    """Return one row for each kind of work: its slowest opening."""
    folder = os.environ.get("HAR_DATASET", "").strip()
    if not folder:
        return [skipped(f"{WHAT} during work", "HAR_DATASET is not set")]
    scan_dataset(folder)
    open_page(folder)  # reads the dataset, once for all visitors
    alone = median(_openings(folder, 3))
    kinds: dict[str, Callable[[str], AbstractContextManager[None]]] = {
        "a scan": _scanning,
        "an analysis": _analysing,
        "a quick training": _training,
    }
    rows = []
    for name, work in kinds.items():
        with work(folder):
            taken = _openings(folder, OPENINGS)
        detail = (
            f"slowest of {len(taken)}; median {median(taken):.2f} s; alone {alone:.2f} s; "
            f"load {os.getloadavg()[0]:.1f}"
        )
        rows.append(at_most(f"{WHAT} during {name}", max(taken), MOST_S, "s", detail))
    return rows


def open_page(folder: str) -> None:
    """Open the Dataset page, in this process, as a visitor who comes from another page."""
    page = AppTest.from_file(str(ROOT / "dashboard" / "navigation.py"), default_timeout=600)
    page.session_state["dataset"] = folder
    page.run()
    page.switch_page("../pages/dataset.py")
    page.run()
    if page.exception:
        raise RuntimeError(page.exception[0].message)


def _openings(folder: str, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        open_page(folder)
        taken.append(time.perf_counter() - start)
        time.sleep(1)
    return taken


@contextmanager
def _scanning(folder: str) -> Iterator[None]:
    """Scan as for the first time."""
    with (
        tempfile.TemporaryDirectory() as cache,
        mock.patch.dict(os.environ, {"HAR_CACHE_DIR": cache}),
    ):
        open_page(folder)  # whose first visitor hashes the files
        start_scan(open_dataset(folder))
        with _at_work("scan/", "Measuring photographs"):
            yield


@contextmanager
def _analysing(folder: str) -> Iterator[None]:
    """Analyse up to the map, whose computation takes longest."""
    start_analysis(dataset_view(folder, find_model()), find_model())
    with _at_work("analysis/", "Arranging the map"):
        yield


@contextmanager
def _at_work(key: str, step: str) -> Iterator[None]:
    (job,) = find_jobs(key)
    while job.state == "running" and job.step != step:
        time.sleep(0.1)
    yield
    if job.state != "running":
        raise RuntimeError(f"{job.title}: {job.error or 'ended before all was measured'}.")
    job.cancel()
    job.wait()


@contextmanager
def _training(folder: str) -> Iterator[None]:
    with (
        tempfile.TemporaryDirectory() as data,
        mock.patch.dict(os.environ, {"HAR_DATA_DIR": data}),
    ):
        table = load_dataset(folder)
        csv = labels_csv(table[["filename", "label"]])
        run = start_run("opening", "quick", find_model(), folder, csv, n_photographs=len(table))
        yield
        stop_run(run)


if __name__ == "__main__":
    for row in measure():
        print("  ".join(row.cells()))
