"""Compare a dataset scan with cleanvision alone, and with a second scan.

    python benchmarks/bench_scan.py /path/to/DataSet [--workers N] [--rounds N] [--sample N]

Both read the same files with the same number of workers, in turn. A scan does more:
checksums, wrong extensions, near duplicates also when mirrored, labels against duplicates.
"""

import argparse
import contextlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from har_core.dataset.table import load_dataset
from har_core.scan.scanning import list_rows, scan_dataset


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run_cleanvision(paths: list[str], workers: int) -> None:
    """Look for all issues that cleanvision looks for by default."""
    from cleanvision import Imagelab

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        Imagelab(filepaths=paths, verbose=False).find_issues(n_jobs=workers, verbose=False)


def copy_sample(dataset: Path, n: int, target: Path) -> Path:
    """Copy the first `n` photographs of a dataset into a folder of the same layout."""
    (target / "train").mkdir(parents=True)
    table = load_dataset(dataset).dropna(subset=["path"]).head(n)
    for path in table["path"]:
        shutil.copyfile(path, target / "train" / Path(path).name)
    table[["filename", "label"]].to_csv(target / "train.csv", index=False)
    return target


def main() -> None:
    """Run both in turn and print the ratios of the best times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3, help="the best time of each counts")
    parser.add_argument("--sample", type=int, help="use only so many photographs")
    arguments = parser.parse_args()
    import cleanvision  # noqa: F401  (so that neither pays for its import)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dataset = arguments.dataset
        if arguments.sample:
            dataset = copy_sample(dataset, arguments.sample, folder / "sample")
        paths = sorted(list_rows(dataset)["path"].dropna())
        for path in paths:  # so that neither pays for the disk
            Path(path).read_bytes()
        alone, first, second = [], [], []
        for number in range(arguments.rounds):
            cache = folder / f"{number}.sqlite"

            def scan(cache: Path = cache) -> None:
                scan_dataset(dataset, workers=arguments.workers, cache=cache)

            alone.append(seconds_of(lambda: run_cleanvision(paths, arguments.workers)))
            first.append(seconds_of(scan))
            second.append(seconds_of(scan))
    a, b, c = min(alone), min(first), min(second)
    print(f"{len(paths)} photographs, {arguments.workers} workers, best of {arguments.rounds}")
    print(f"cleanvision alone  {a:8.2f} s")
    print(f"first scan         {b:8.2f} s   {a / b:.2f} times as fast as cleanvision")
    print(f"second scan        {c:8.3f} s   {b / c:.0f} times as fast as the first")


if __name__ == "__main__":
    main()
