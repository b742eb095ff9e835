"""`har score` beside its peers, in one run: throughput, memory, and whether time grows as the work.

    python -m benchmarks.scale --photographs 50000 [--only bare local …] [--folder /tmp/photographs]
                               [--results FILE.json] [--prepare]

With ``--results`` a measurement may come in pieces: what earlier ones found is in the file, and
counts in the ratios. ``--prepare`` only writes the photographs. Needs the extra ``scale``.

Throughput is counted from when the workers could begin. Where others use
the machine as well, compare photographs per second of a processor, not per second of the clock.
"""

import argparse
import dataclasses
import json
import os
import re
import shutil
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.scale.material import write_photographs
from benchmarks.scale.measuring import Cost, measure
from har_core.scale.engines.local import cores
from har_core.scale.results import Results
from har_core.scale.status import read_status

OWN = ("local", "ray")
# Keras takes so long that a part of the photographs has to do.
SHARE = {"keras": 20}
CONTESTANTS = ("bare", "plain", *OWN, "ray_data", "keras")
_FEWEST = 500
_EVERY_S = 1.0
_START = 64  # photographs of a run that tells what starting costs


@dataclass
class Found:
    """What a contestant did."""

    n: int
    seconds: float
    cost: Cost
    r_squared: float = float("nan")
    start_cpu_seconds: float = 0.0
    load: float = 0.0

    @property
    def per_cpu_second(self) -> float:
        """Photographs per second of a processor, start not counted."""
        return (self.n - _START) / (self.cost.cpu_seconds - self.start_cpu_seconds)

    def line(self, name: str) -> str:
        """Return a row of the table."""
        grown = memory_growth(self.cost)
        return (
            f"{name:<9}{self.n:>8,}{self.n / self.seconds:>12.1f}"
            f"{self.per_cpu_second:>12.1f}{self.cost.peak_bytes / 2**20:>10,.0f}"
            f"{self.cost.driver[-1][1] / 2**20:>10,.0f}{grown:>9.1%}{self.r_squared:>10.5f}"
            f"{self.load:>6.1f}"
        )


def read_found(path: Path | None) -> dict[str, Found]:
    """Return what earlier runs found, by contestant."""
    if path is None or not path.exists():
        return {}
    kept = json.loads(path.read_text())
    return {name: Found(**{**of, "cost": Cost(**of["cost"])}) for name, of in kept.items()}


def memory_growth(cost: Cost) -> float:
    """Return by how much the first process grew from a fifth of its time to its end."""
    times = np.array([t for t, _ in cost.driver])
    resident = np.array([size for _, size in cost.driver], float)
    early = resident[times <= max(times[-1] / 5, times[0])].max()
    return float(resident[times > times[-1] / 5].max() / early - 1)


def run_own(engine: str, folder: Path, n: int, workers: int) -> Found:
    """Score the folder anew."""
    to = tempfile.mkdtemp(prefix="har-results-")
    command = [sys.executable, "-m", "har_core", "score", str(folder), "--to", to]
    seen: list[tuple[float, int]] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY_S):
            status = read_status(Results(to))
            if status is not None and status.done:
                seen.append((status.elapsed_s, status.done))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        cost = measure([*command, "--engine", engine, "--workers", str(workers)])
        status = read_status(Results(to))
        assert status is not None and status.done == n, cost.output
        return Found(n, status.elapsed_s, cost, _linearity(seen))
    finally:
        ended.set()
        watcher.join()
        shutil.rmtree(to)


def _linearity(seen: list[tuple[float, int]]) -> float:
    """Return R² of photographs done against the seconds that they took."""
    if len(seen) < 3:
        return float("nan")
    return float(np.corrcoef(np.array(seen).T)[0, 1] ** 2)


def run_peer(name: str, folder: Path, n: int, workers: int) -> Found:
    """Run a peer on the folder, or on the first photographs of it."""
    here = folder
    if name in SHARE:
        here = folder.with_name(f"{folder.name}-part")
        if n > _START:
            n = max(n // SHARE[name], _FEWEST)
        write_photographs_of(here, folder, n)
    cost = measure(
        [sys.executable, "-m", "benchmarks.scale.peers", name, str(here), str(workers)],
        {"TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    found = re.search(r"seconds: ([\d.]+)", cost.output)
    assert found, cost.output
    return Found(n, float(found[1]), cost)


def write_photographs_of(target: Path, source: Path, n: int) -> None:
    """Link the first photographs of a folder into another."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in sorted(source.rglob("*.jpg"))[:n]:
        os.link(path, target / path.name)


def main() -> None:
    """Measure one contestant after another, and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=int, default=2_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "har-photos"))
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--results", type=Path, help="JSON of earlier runs to add to, and to keep")
    parser.add_argument("--prepare", action="store_true", help="only write the photographs")
    arguments = parser.parse_args()
    workers, n = cores(), arguments.photographs
    folder = write_photographs(arguments.folder / str(n), n)
    few = write_photographs(arguments.folder / str(_START), _START)
    if arguments.prepare:
        return
    found = read_found(arguments.results)
    print(f"{workers} cores, load {os.getloadavg()[0]:.1f}")
    print("               n  per second  per cpu s  peak MB  driver MB   growth        R²  load")
    for name in found.keys() - set(arguments.only):
        print(found[name].line(name), " before")
    for name in arguments.only:
        run = run_own if name in OWN else run_peer
        load = os.getloadavg()[0]
        start = run(name, few, _START, workers)
        found[name] = run(name, folder, n, workers)
        found[name].start_cpu_seconds = start.cost.cpu_seconds
        found[name].load = load
        print(found[name].line(name), flush=True)
        if arguments.results:
            kept = {name: dataclasses.asdict(of) for name, of in found.items()}
            arguments.results.write_text(json.dumps(kept))
    for own in OWN:
        for other in found:
            if own in found and other not in OWN:
                print(f"{own} / {other}: {ratio(found[own], found[other])}")


def ratio(own: Found, other: Found) -> str:
    """Return how many times the throughput, by the clock and by processor time."""
    clock = (own.n / own.seconds) / (other.n / other.seconds)
    cpu = own.per_cpu_second / other.per_cpu_second
    return f"{clock:.2f} by the clock, {cpu:.2f} by processor time"


if __name__ == "__main__":
    main()
