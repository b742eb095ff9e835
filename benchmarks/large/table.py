"""Open the Dataset page on a table of a million rows, without photographs.

    python -m benchmarks.large.table [--rows N]

Prints the time until the page shows the class balance, and the process's peak memory.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]


def write_table(folder: Path, rows: int) -> None:
    """Write a train.csv of 15 classes."""
    labels = np.random.default_rng(0).integers(0, 15, rows)
    names = [f"class_{label:02d}" for label in labels]
    filenames = [f"Image_{number}.jpg" for number in range(rows)]
    table = pd.DataFrame({"filename": filenames, "label": names})
    table.to_csv(folder / "train.csv", index=False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["HAR_MODELS_DIR"] = str(folder / "no models")
        os.environ["HAR_CACHE_DIR"] = str(folder / "cache")
        if os.fork() == 0:  # so that making the table does not count
            write_table(folder, arguments.rows)
            os._exit(0)
        os.wait()
        from streamlit.testing.v1 import AppTest

        page = AppTest.from_file(str(ROOT / "dashboard" / "navigation.py"), default_timeout=120)
        page.session_state["dataset"] = ""
        page.run()
        page.switch_page("../pages/dataset.py").run()
        page.text_input(key="dataset").set_value(str(folder))
        start = time.perf_counter()
        page.run()
        seconds = time.perf_counter() - start
        if page.exception or "Class balance" not in [h.value for h in page.header]:
            raise SystemExit("The page shows no class balance.")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{arguments.rows:,} rows: class balance after {seconds:.1f} s, peak memory {peak:.2f} GB"
    )


if __name__ == "__main__":
    main()
