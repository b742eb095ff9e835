"""Reruns of the Dataset and Evaluation pages after a widget changed, on a real dataset.

    HAR_DATASET=/path/to/DataSet python -m benchmarks.pages [PART ...] [--only KEY ...]

prints the time of every widget: from the message that a browser sends to the last one that the
server answers with, which is what runs again of the page, and Streamlit's own work. Parts are
`analysis`, which the Dataset page needs and which is remembered, `dataset` and `evaluation`, and
with `--results FOLDER --labels TABLE`, of `har score`, `results` and `answers`: the same two pages
on those. `benchmarks.large.pages` measures them all on many made photographs.
"""

import argparse
import itertools
import json
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlencode

from benchmarks.table import Row, at_most, skipped
from benchmarks.visitor import Value, Visitor
from har_core.analysis.whole_set import analyse_photographs
from har_core.model.loading import find_model
from har_core.progress import silent
from har_core.scan.scanning import scan_dataset
from har_core.storage.cache import cache_dir
from tests.dashboard_process import running_dashboard

REPEATS: Final = 6
WANTED_MS: Final = 60
# Section, a widget's key, the values that it takes in turn (None: two of its options).
Change = tuple[str, str, Sequence[Value] | None]


def lasso(rows: range) -> str:
    """Return what a browser says of points that were drawn around on a map."""
    points = [{"customdata": row} for row in rows]
    return json.dumps({"selection": {"points": points, "point_indices": [*rows]}})


@dataclass(frozen=True)
class Part:
    """What to change on a page.

    Parameters
    ----------
    page : str
        Its name in the address.
    section_key : str
        Of the widget that chooses a section.
    changes : tuple
        See `Change`.
    """

    page: str
    section_key: str
    changes: tuple[Change, ...]


_DATASET: Final = Part(
    "dataset",
    "section",
    (
        ("Overview", "balance_measure", None),
        ("Overview", "property", None),
        ("Photographs", "browse_search", ("1", "12")),
        ("Photographs", "browse_order", None),
        ("Photographs", "browse_decided", ("Undecided", "Any")),
        ("Photographs", "page     Name any", (2, 3)),
        ("Review", "review_class", None),
        ("Review", "review_Right", (True,)),
        ("Findings", "finding", None),
        ("Label suspects", "suspect_class", None),
        ("Label suspects", "suspect_source", None),
        ("Map", "map_colouring", None),
        ("Map&map_colouring=Finding", "map_finding", None),
        ("Map", "photo_map_Class", (lasso(range(100)), lasso(range(100, 300)))),
        ("Overview", "section", ("Leakage", "Overview")),
        ("Overview", "section", ("Clean up", "Overview")),
    ),
)
_EVALUATION: Final = Part(
    "evaluation",
    "view",
    (
        ("Confusions", "cells", None),
        ("Confusions", "hide_right", (True, False)),
        ("Confusions", "predicted 0", None),
        ("Classes", "class_intervals", (True, False)),
        ("Curves", "curve", None),
        ("Confidence", "threshold", (0.5, 0.7)),
        ("Errors", "errors_or_hits", None),
        ("Errors", "error_search", ("1", "12")),
    ),
)
_RESULTS: Final = Part(
    "dataset",
    "results_section",
    (
        ("Photographs", "results_search", ("1", "12")),
        ("Photographs", "results_class", None),
        ("Photographs", "results_kind", None),
        ("Photographs", "results_order", ("Least sure", "As scored")),
        ("Map", "results_map_colouring", None),
        ("Map", "results_map_Answer_pca", (lasso(range(100)), lasso(range(100, 300)))),
        ("Overview", "results_section", ("Photographs", "Overview")),
    ),
)
_ANSWERS: Final = Part(
    "evaluation",
    "results_view",
    (
        ("Confusions", "cells", None),
        ("Confusions", "hide_right", (True, False)),
        ("Confusions", "predicted 0", None),
        ("Overview", "results_view", ("Confidence", "Overview")),
        ("Overview", "results_view", ("Answers", "Overview")),
    ),
)
PARTS: Final = {
    "dataset": _DATASET,
    "evaluation": _EVALUATION,
    "results": _RESULTS,
    "answers": _ANSWERS,
}
OF_DATASET: Final = ("dataset", "evaluation")
ANALYSIS: Final = "analysis"


def measure() -> list[Row]:
    """Return one row per page: its slowest widget."""
    folder = os.environ.get("HAR_DATASET", "").strip()
    if not folder:
        return [skipped(f"{name} page, rerun", "HAR_DATASET is not set") for name in OF_DATASET]
    scan = scan_dataset(folder)
    analyse_photographs(find_model(), scan)
    rows = []
    for name in OF_DATASET:
        times = reruns(PARTS[name], folder)
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


def reruns(
    part: Part,
    folder: str,
    keys: Collection[str] | None = None,
    *,
    query: str = "",
    report: Callable[[str, float], None] = silent,
) -> dict[str, float]:
    """Return the median time in ms of a page's rerun per widget, without the first two of each.

    Parameters
    ----------
    part : Part
    folder : str
        Of the dataset.
    keys : collection of str, optional
        Of the widgets to change; default: all.
    query : str, optional
        What else the page's address holds.
    report : callable, optional
        Called with the name and the ms of each as it is measured, and before with those of opening
        a section as the first visitor of the server.
    """
    os.environ.setdefault("HAR_CACHE_DIR", str(cache_dir()))  # where the server finds the scan
    times = {}
    with (
        TemporaryDirectory() as temporary,
        running_dashboard(Path(temporary) / "log.txt", find_model().parent, Path(folder)) as server,
    ):
        opened = set()
        for section, key, values in part.changes:
            if keys is not None and key not in keys:
                continue
            address = f"{part.section_key}={section}&{query}"
            with Visitor(server.url, part.page, address) as visitor:
                if section not in opened:
                    opened.add(section)
                    report(f"{section}, opened first", 1000 * visitor.seconds)
                choices = itertools.cycle(values or visitor.options(key)[:2])
                taken = [visitor.change(key, next(choices)) for _ in range(2 + REPEATS)]
            what = key if key != part.section_key else f"to {(values or [''])[0]} and back"
            times[f"{section}, {what}"] = 1000 * median(taken[2:])
            report(f"{section}, {what}", times[f"{section}, {what}"])
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # Of no part argparse would say that [] is no choice.
    choices = [ANALYSIS, *PARTS]
    parser.add_argument("parts", nargs="*", choices=[*choices, "all"], default="all")
    parser.add_argument("--only", nargs="+", metavar="KEY", help="keys of widgets")
    parser.add_argument("--results", type=Path, help="what `har score` left")
    parser.add_argument("--labels", type=Path, help="of those photographs")
    arguments = parser.parse_args()
    dataset = os.environ.get("HAR_DATASET", "")
    results = {"results": arguments.results, "labels": arguments.labels or ""}
    for name in choices if arguments.parts == "all" else arguments.parts:
        if name in (ANALYSIS, *OF_DATASET) and not dataset:
            print(f"{name:<12}HAR_DATASET is not set")
        elif name == ANALYSIS:
            analyse_photographs(find_model(), scan_dataset(dataset))
        elif name in OF_DATASET:
            print_reruns(name, dataset, arguments.only)
        elif arguments.results:
            print_reruns(name, dataset, arguments.only, urlencode(results, safe="/"))


def print_reruns(name: str, dataset: str, keys: Collection[str] | None, query: str = "") -> None:
    """Measure a part, and print what was measured as it comes."""

    def report(what: str, ms: float) -> None:
        print(f"{name:<12}{what:<42}{ms:7.0f} ms", flush=True)

    reruns(PARTS[name], dataset, keys, query=query, report=report)


if __name__ == "__main__":
    main()
