"""Every claim about speed and memory in one table; each figure is a ratio within one run.

    python -m benchmarks [--only NAME ...] [--markdown FILE] [--idle] [--report]

With HAR_DATASET the folder and the pages are measured on real photographs; without it the folder
holds copies of the drawn example, and the pages are left out. `--only guard` is the minute's choice
that `.ci/run` prints; it is not part of a whole run, which measures the same at length.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks import folder, guard, limit, opening, pages, service, single
from benchmarks.in_browser import cell, upload
from benchmarks.table import as_markdown, as_text

PARTS = {
    "single": single.measure,
    "limit": limit.measure,
    "folder": folder.measure,
    "service": service.measure,
    "browser": upload.measure,
    "pages": pages.measure,
    "cell": cell.measure,
    "opening": opening.measure,
    "guard": guard.measure,
}
WHOLE = [name for name in PARTS if name != "guard"]
IDLE_LOAD = 0.5


def main() -> None:
    """Measure, print, and fail if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=WHOLE, metavar="NAME")
    parser.add_argument("--markdown", type=Path, help="write the table to this file as well")
    parser.add_argument(
        "--idle", action="store_true", help=f"refuse to measure above a load of {IDLE_LOAD}"
    )
    parser.add_argument(
        "--report", action="store_true", help="succeed even if a claim does not hold"
    )
    arguments = parser.parse_args()
    load, *_ = os.getloadavg()
    print(f"load before: {load:.2f} (mean of a minute)", file=sys.stderr, flush=True)
    if arguments.idle and load > IDLE_LOAD:
        parser.error(
            f"the load is {load:.2f}; wait until it is {IDLE_LOAD}, or measure without --idle"
        )
    rows = []
    for name in arguments.only:
        start = time.perf_counter()
        rows += PARTS[name]()
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    print(as_text(rows))
    if arguments.markdown:
        arguments.markdown.write_text(as_markdown(rows))
    sys.exit(not arguments.report and any(row.holds is False for row in rows))


if __name__ == "__main__":
    main()
