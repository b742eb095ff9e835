"""``python -m tests.fuzz --inputs 20000``: fuzz `decode_image`, and print what it cost at most."""

import argparse
import sys
import time
from collections import Counter

from tests.fuzz.measuring import Measured, measure_all

MAX_SECONDS = 2.0
MAX_MEGABYTES = 600.0


def main() -> int:
    """Print outcomes and the most expensive inputs; 1 if one broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=2024)
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    failures: list[Measured] = []
    slowest = hungriest = Measured(-1, "none", "none", 0.0, 0.0)
    start = time.perf_counter()
    for measured in measure_all(options.seed, options.inputs):
        outcomes[measured.outcome] += 1
        slowest = max(slowest, measured, key=lambda m: m.seconds)
        hungriest = max(hungriest, measured, key=lambda m: m.megabytes)
        over = measured.seconds > MAX_SECONDS or measured.megabytes > MAX_MEGABYTES
        if over or not measured.is_allowed:
            failures.append(measured)
            print(f"BROKEN  {measured}", flush=True)
        if measured.number % 1000 == 999:
            print(f"{measured.number + 1:,} inputs", file=sys.stderr, flush=True)
    print(f"{options.inputs:,} inputs, seed {options.seed}, {time.perf_counter() - start:.0f} s")
    for outcome, n in outcomes.most_common():
        print(f"{n:8,}  {outcome}")
    print(f"slowest    {slowest.seconds:.2f} s of processor time: {slowest}")
    print(f"hungriest  {hungriest.megabytes:.0f} MB: {hungriest}")
    print(f"{len(failures)} broke a promise")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
