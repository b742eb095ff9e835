"""Reruns of the Dataset and Evaluation pages after a widget changed, on a real dataset.

    HAR_DATASET=/path/to/DataSet python -m benchmarks.pages [PART ...] [--only KEY ...]

prints the time of every widget: from the message that a browser sends to the last one that the
server answers with, which is what runs again of the page, and Streamlit's own work. Parts are
`analysis`, which the Dataset page needs and which is remembered, `dataset` and `evaluation`.
"""

import argparse
import itertools
import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.table import Row, at_most, skipped
from benchmarks.visitor import Value, Visitor
from har_core.analysis.whole_set import analyse_photographs
from har_core.model.loading import find_model
from har_core.scan.scanning import scan_dataset
from har_core.storage.cache import cache_dir
from tests.dashboard_process import running_dashboard

REPEATS: Final = 6
WANTED_MS: Final = 60
# Section or tab, a widget's key, the values that it takes in turn (None: two of its options).
Change = tuple[str, str, Sequence[Value] | None]


def lasso(rows: range) -> str:
    """Return what a browser says of points that were drawn around on a map."""
    points = [{"customdata": row} for row in rows]
    return json.dumps({"selection": {"points": points, "point_indices": [*rows]}})


CHANGES: Final[dict[str, tuple[Change, ...]]] = {
    "dataset": (
        ("Overview", "balance_measure", None),
        ("Overview", "property", None),
        ("Photographs", "browse_search", ("1", "12")),
        ("Photographs", "browse_order", None),
        ("Findings", "finding", None),
        ("Label suspects", "suspect_class", None),
        ("Label suspects", "suspect_source", None),
        ("Map", "map_colouring", None),
        ("Map&map_colouring=Finding", "map_finding", None),
        ("Map", "photo_map_Class", (lasso(range(100)), lasso(range(100, 300)))),
        ("Overview", "section", ("Leakage", "Overview")),
    ),
    "evaluation": (
        ("Confusions", "cells", None),
        ("Confusions", "hide_right", (True, False)),
        ("Confusions", "predicted 0", None),
        ("Classes", "class_intervals", (True, False)),
        ("Curves", "curve", None),
        ("Confidence", "threshold", (0.5, 0.7)),
        ("Errors", "errors_or_hits", None),
        ("Errors", "error_search", ("1", "12")),
    ),
}
ANALYSIS: Final = "analysis"
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
                WANTED_MS,
                "ms",
                f"the slowest of {len(times)}: {slowest}; median {typical:.0f} ms",
            )
        )
    return rows


def reruns(name: str, folder: str, keys: Collection[str] | None = None) -> dict[str, float]:
    """Return the median time in ms of a page's rerun per widget, without the first two of each.

    `keys` are those of the widgets to change; default: all.
    """
    os.environ.setdefault("HAR_CACHE_DIR", str(cache_dir()))  # where the server finds the scan
    times = {}
    with (
        TemporaryDirectory() as temporary,
        running_dashboard(Path(temporary) / "log.txt", find_model().parent, Path(folder)) as server,
    ):
        for section, key, values in CHANGES[name]:
            if keys is not None and key not in keys:
                continue
            with Visitor(server.url, name, f"{SECTION_KEYS[name]}={section}") as visitor:
                choices = itertools.cycle(values or visitor.options(key)[:2])
                taken = [visitor.change(key, next(choices)) for _ in range(2 + REPEATS)]
            times[f"{section}, {key}"] = 1000 * median(taken[2:])
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[ANALYSIS, *CHANGES], metavar="PART")
    parser.add_argument("--only", nargs="+", metavar="KEY", help="keys of widgets")
    arguments = parser.parse_args()
    dataset = os.environ["HAR_DATASET"]
    for part in arguments.parts or [ANALYSIS, *CHANGES]:
        if part == ANALYSIS:
            analyse_photographs(find_model(), scan_dataset(dataset))
            continue
        for what, ms in reruns(part, dataset, arguments.only).items():
            print(f"{part:<12}{what:<42}{ms:7.0f} ms", flush=True)


if __name__ == "__main__":
    main()
