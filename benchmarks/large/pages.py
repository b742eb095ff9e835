"""The Dataset and Evaluation pages on many made photographs, and on results of as many.

    python -m benchmarks.large.pages [--steps STEP ...] [--rows N] [--made FOLDER]

prints the time of every widget, see `benchmarks.pages`. The steps before, each of which takes
minutes for 100,000, are `make`, `scan`, `analyse`; with `--made` they can be run one after another.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from benchmarks.pages import OF_DATASET, print_reruns
from benchmarks.scale.growth import write_photographs
from har_core.analysis.whole_set import analyse_photographs
from har_core.scan.scanning import scan_dataset
from tests.drawing import write_tiny_bundle
from tests.made_results import write_results

MEASURED: Final = ("dataset", "results", "answers")
STEPS: Final = ("make", "scan", "analyse", *MEASURED)


def make(folder: Path, rows: int) -> None:
    """Write photographs, a model, results and their labels."""
    write_photographs(folder / "photographs", rows)
    write_tiny_bundle(folder / "models")
    labels = write_results(folder / "results", rows)
    labels = labels[~labels.index.duplicated()]
    labels.rename("label").rename_axis("sha256").reset_index().to_parquet(folder / "labels.parquet")


def main() -> None:
    """Make what is to be shown, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="default: all")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--made", type=Path, help="where made photographs are, or are left")
    parser.add_argument("--only", nargs="+", metavar="KEY", help="keys of widgets")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.made or Path(temporary)).resolve()
        photographs = folder / "photographs"
        os.environ["HAR_CACHE_DIR"] = str(folder / "cache")
        os.environ["HAR_DATA_DIR"] = str(folder / "data")
        os.environ["HAR_MODELS_DIR"] = str(folder / "models")
        os.environ["HAR_RESULTS"] = str(folder / "results")
        query = urlencode(
            {"results": folder / "results", "labels": folder / "labels.parquet"}, safe="/"
        )
        for step in arguments.steps:
            if step == "make":
                make(folder, arguments.rows)
            elif step == "scan":
                scan_dataset(photographs)
            elif step == "analyse":
                analyse_photographs(folder / "models" / "tiny", scan_dataset(photographs))
            else:
                of_results = "" if step in OF_DATASET else query
                print_reruns(step, str(photographs), arguments.only, of_results)


if __name__ == "__main__":
    main()
