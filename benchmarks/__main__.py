"""Every claim about speed and memory in one table; each figure is a ratio within one run.

    python -m benchmarks [--only NAME ...] [--markdown FILE]

With HAR_DATASET the folder and the pages are measured on real photographs; without it the folder
holds copies of the drawn example, and the pages are left out.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks import browser, folder, limit, opening, pages, service, single
from benchmarks.table import as_markdown, as_text

PARTS = {
    "single": single.measure,
    "limit": limit.measure,
    "folder": folder.measure,
    "service": service.measure,
    "browser": browser.measure,
    "pages": pages.measure,
    "opening": opening.measure,
}


def main() -> None:
    """Measure, print, and fail if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME")
    parser.add_argument("--markdown", type=Path, help="write the table to this file as well")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.only:
        start = time.perf_counter()
        rows += PARTS[name]()
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    print(as_text(rows))
    if arguments.markdown:
        arguments.markdown.write_text(as_markdown(rows))
    sys.exit(any(row.holds is False for row in rows))


if __name__ == "__main__":
    main()
