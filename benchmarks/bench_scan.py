"""Compare a dataset scan with cleanvision alone, and with a second scan.

    python benchmarks/bench_scan.py /path/to/DataSet [--workers N]

Both read the same files with the same number of workers, one after the other. A scan does more:
checksums, wrong extensions, near duplicates also when mirrored, labels against duplicates.
"""

import argparse
import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from har_core.dataset import list_photographs
from har_core.scan import scan_dataset


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


def main() -> None:
    """Run both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    paths = sorted(list_photographs(arguments.dataset).values())
    for path in paths:  # so that neither pays for the disk
        Path(path).read_bytes()
    import cleanvision  # noqa: F401  (so that neither pays for its import)

    with tempfile.TemporaryDirectory() as folder:

        def scan() -> None:
            scan_dataset(
                arguments.dataset, workers=arguments.workers, cache=Path(folder, "scan.sqlite")
            )

        alone = seconds_of(lambda: run_cleanvision(paths, arguments.workers))
        first = seconds_of(scan)
        second = min(seconds_of(scan) for _ in range(3))
    print(f"{len(paths)} photographs, {arguments.workers} workers")
    print(f"cleanvision alone  {alone:8.2f} s")
    print(f"first scan         {first:8.2f} s   {alone / first:.2f} times as fast as cleanvision")
    print(f"second scan        {second:8.3f} s   {first / second:.0f} times as fast as the first")


if __name__ == "__main__":
    main()
