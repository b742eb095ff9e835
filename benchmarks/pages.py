"""Reruns of the Dataset and Evaluation pages after a widget changed, on a real dataset.

    HAR_DATASET=/path/to/DataSet python -m benchmarks.pages

prints the time of every widget.
"""

import itertools
import os
import time
from collections.abc import Collection
from statistics import median
from typing import Any, Final

import numpy as np
from streamlit.testing.v1 import AppTest

from benchmarks.table import Row, at_most, skipped
from har_core.analysis.whole_set import analyse_photographs
from har_core.model.loading import find_model
from har_core.scan.scanning import scan_dataset
from tests.dashboard_process import ROOT

REPEATS: Final = 6
# Section or tab, kind of widget, its key, the values it takes in turn (None: its options).
Change = tuple[str, str, str, tuple[Any, ...] | None]
CHANGES: Final[dict[str, tuple[Change, ...]]] = {
    "dataset": (
        ("Overview", "segmented_control", "balance_measure", None),
        ("Overview", "selectbox", "property", None),
        ("Photographs", "text_input", "browse_search", ("1", "12")),
        ("Photographs", "selectbox", "browse_order", None),
        ("Findings", "pills", "finding", None),
        ("Label suspects", "selectbox", "suspect_class", None),
        ("Map", "segmented_control", "map_colouring", None),
        ("Overview", "segmented_control", "section", ("Leakage", "Overview")),
    ),
    "evaluation": (
        ("Confusions", "segmented_control", "cells", None),
        ("Confusions", "toggle", "hide_right", (True, False)),
        ("Confusions", "selectbox", "predicted", None),
        ("Classes", "toggle", "class_intervals", (True, False)),
        ("Curves", "segmented_control", "curve", None),
        ("Confidence", "slider", "threshold", (0.5, 0.7)),
        ("Errors", "segmented_control", "errors_or_hits", (True, False)),
        ("Errors", "text_input", "error_search", ("1", "12")),
    ),
}
SECTION_KEYS: Final = {"dataset": "section", "evaluation": "view"}


def measure() -> list[Row]:
    """Return one row per page: its slowest widget."""
    folder = os.environ.get("HAR_DATASET", "").strip()
    if not folder:
        return [skipped(f"{name} page, rerun", "HAR_DATASET is not set") for name in CHANGES]
    scan = scan_dataset(folder)
    analyse_photographs(find_model(), scan)
    rows = []
    for name in CHANGES:
        times = reruns(name, folder)
        slowest = max(times, key=times.__getitem__)
        typical = median(times.values())
        rows.append(
            at_most(
                f"{name} page, rerun after a widget change, {len(scan):,} photographs",
                times[slowest],
                500,
                "ms",
                f"the slowest of {len(times)}: {slowest}; median {typical:.0f} ms",
            )
        )
    return rows


def reruns(name: str, folder: str, keys: Collection[str] | None = None) -> dict[str, float]:
    """Return the median time in ms of a page's rerun per widget, without the first of each.

    `keys` are those of the widgets to change; default: all.
    """
    times = {}
    for section, kind, key, values in CHANGES[name]:
        if keys is not None and key not in keys:
            continue
        page = open_page(name, folder, section)
        widget = getattr(page, kind)
        choices = itertools.cycle(values or widget(key=key).options[:2])
        taken = []
        for choice in itertools.islice(choices, 2 + REPEATS):
            widget(key=key).set_value(choice)
            start = time.perf_counter()
            page.run()
            taken.append(time.perf_counter() - start)
            if page.exception:
                raise RuntimeError(f"{section}, {key}: {page.exception[0].message}")
        times[f"{section}, {key}"] = 1000 * float(np.median(taken[2:]))
    return times


def open_page(name: str, folder: str, section: str) -> AppTest:
    """Open a page with one of its sections."""
    page = AppTest.from_file(str(ROOT / "dashboard" / "navigation.py"), default_timeout=600)
    page.session_state["dataset"] = folder
    page.run()
    page.switch_page(f"../pages/{name}.py")
    page.query_params[SECTION_KEYS[name]] = section
    page.run()
    if page.exception:
        raise RuntimeError(f"{section}: {page.exception[0].message}")
    return page


if __name__ == "__main__":
    dataset = os.environ["HAR_DATASET"]
    analyse_photographs(find_model(), scan_dataset(dataset))
    for page_name in CHANGES:
        for what, ms in reruns(page_name, dataset).items():
            print(f"{page_name:<12}{what:<42}{ms:7.0f} ms", flush=True)
