"""`har score` beside its peers, in one run: throughput, memory, and whether time grows as the work.

    python -m benchmarks.scale --photographs 50000 [--only bare local …] [--folder /tmp/photographs]
                               [--results FILE.json] [--prepare]

``bare`` runs before and after each of ours, a part of the photographs every time: how fast a core
is changes within minutes, and these are what a ratio is of. Names that end in ``-int8`` compute
with 8 bits; they, too, are compared with ``bare`` in float32. With ``--results`` a measurement may
come in pieces: what earlier ones found is in the file. ``--prepare`` only writes the photographs.
Needs the extra ``scale``.

Throughput is counted from when the workers could begin. Where others use the machine as well,
compare photographs per second of a processor, not per second of the clock.
"""

import argparse
import dataclasses
import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale.material import write_photographs
from benchmarks.scale.measuring import Cost, measure
from har_core.scale.engines.local import cores
from har_core.scale.results import Results
from har_core.scale.status import read_status

BARE = "bare"
INT8 = "-int8"
OWN = ("local", "ray", f"local{INT8}", f"ray{INT8}")
# Keras takes so long that a part of the photographs has to do.
SHARE = {"keras": 20}
CONTESTANTS = (BARE, f"{BARE}{INT8}", "plain", *OWN, "ray_data", "keras")
_FEWEST = 500
_MINUTE = 60.0
_START = 64  # photographs of a run that tells what starting costs


@dataclass
class Found:
    """What a contestant did."""

    n: int
    seconds: float
    cost: Cost
    start_cpu_seconds: float = 0.0
    load: float = 0.0
    beside: list["Found"] = field(default_factory=list)
    """`bare` before and after it."""

    @property
    def per_second(self) -> float:
        """Photographs per second of the clock."""
        return self.n / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Photographs per second of a processor, start not counted."""
        return (self.n - _START) / (self.cost.cpu_seconds - self.start_cpu_seconds)

    def line(self, name: str) -> str:
        """Return a row of the table."""
        grown = memory_growth(self.cost)
        return (
            f"{name:<10}{self.n:>8,}{self.per_second:>12.1f}"
            f"{self.per_cpu_second:>12.1f}{self.cost.peak_bytes / 2**20:>10,.0f}"
            f"{self.cost.driver[-1][1] / 2**20:>10,.0f}{grown:>9.1%}{linearity(self.cost):>10.5f}"
            f"{linearity(self.cost, of=2):>10.5f}{self.load:>6.1f}"
        )

    def by_minute(self) -> str:
        """Return photographs per second, and per second of a processor, of each minute."""
        done = np.array(self.cost.done)
        starts = np.searchsorted(done[:, 0], np.arange(0, done[-1, 0], _MINUTE))
        places = np.unique([*starts, len(done) - 1])
        seconds, photographs, cpu = np.diff(done[places], axis=0).T
        clock, processor = photographs / seconds, photographs / np.maximum(cpu, 1e-9)
        each = ", ".join(f"{a:.0f} ({b:.0f})" for a, b in zip(clock, processor, strict=True))
        return f"  each minute, by the clock (by processor time): {each}"


def read_found(path: Path | None) -> dict[str, Found]:
    """Return what earlier runs found, by contestant."""
    if path is None or not path.exists():
        return {}
    kept = json.loads(path.read_text())
    return {name: _found(of) for name, of in kept.items()}


def _found(of: dict[str, Any]) -> Found:
    beside = [_found(bare) for bare in of["beside"]]
    return Found(**{**of, "cost": Cost(**of["cost"]), "beside": beside})


def memory_growth(cost: Cost) -> float:
    """Return by how much the first process grew from a fifth of its time to its end."""
    times = np.array([t for t, _ in cost.driver])
    resident = np.array([size for _, size in cost.driver], float)
    early = resident[times <= max(times[-1] / 5, times[0])].max()
    return float(resident[times > times[-1] / 5].max() / early - 1)


def run_own(name: str, folder: Path, n: int, workers: int) -> Found:
    """Score the folder anew."""
    to = tempfile.mkdtemp(prefix="har-results-")
    engine = name.removesuffix(INT8)
    command = [sys.executable, "-m", "har_core", "score", str(folder), "--to", to]
    command += ["--engine", engine, "--workers", str(workers)]
    command += ["--precision", "float32" if name == engine else "int8"]

    def done() -> tuple[float, int] | None:
        status = read_status(Results(to))
        return None if status is None or not status.done else (status.elapsed_s, status.done)

    try:
        cost = measure(command, done=done)
        status = read_status(Results(to))
        assert status is not None and status.done == n, cost.output
        return Found(n, status.elapsed_s, cost)
    finally:
        shutil.rmtree(to)


def linearity(cost: Cost, of: int = 0) -> float:
    """Return R² of photographs done against seconds of the clock (0) or a processor (2)."""
    if len(cost.done) < 3:
        return float("nan")
    done = np.array(cost.done)
    return float(np.corrcoef(done[:, of], done[:, 1])[0, 1] ** 2)


def run_peer(name: str, folder: Path, n: int, workers: int) -> Found:
    """Run a peer on the folder, or on the first photographs of it."""
    here = folder
    if name in SHARE:
        here = folder.with_name(f"{folder.name}-part")
        if n > _START:
            n = max(n // SHARE[name], _FEWEST)
        write_photographs_of(here, folder, n)
    what = str(n) if name.removesuffix(INT8) == BARE else str(here)
    cost = measure(
        [sys.executable, "-m", "benchmarks.scale.peers", name, what, str(workers)],
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
    heading = "                n  per second  per cpu s  peak MB  driver MB   growth"
    print(f"{heading}        R²    R² cpu  load")
    for name in found.keys() - set(arguments.only):
        print(found[name].line(name), " before")
    starts: dict[str, float] = {}

    def take(name: str, folder: Path, n: int) -> Found:
        run, load = run_own if name in OWN else run_peer, os.getloadavg()[0]
        if name not in starts:
            starts[name] = run(name, few, _START, workers).cost.cpu_seconds
        of = run(name, folder, n, workers)
        of.start_cpu_seconds, of.load = starts[name], load
        print(of.line(name), flush=True)
        if len(of.cost.done) > 2:
            print(of.by_minute(), flush=True)
        return of

    ours = [name for name in arguments.only if name in OWN]
    part = max(n // (len(ours) + 1) // _START, 2) * _START
    before = take(BARE, folder, part) if BARE in arguments.only else None
    for name in (name for name in arguments.only if name != BARE):
        found[name] = take(name, folder, n)
        if before is not None and name in OWN:
            found[name].beside = [before, before := take(BARE, folder, part)]
        if arguments.results:
            kept = {name: dataclasses.asdict(of) for name, of in found.items()}
            arguments.results.write_text(json.dumps(kept))
    for own in (own for own in OWN if own in found):
        if beside := found[own].beside:
            print(f"{own} / {BARE} before and after: {ratio(found[own], *beside)}")
        float32 = {own.removesuffix(INT8)} - {own}
        for other in (name for name in found if name not in OWN or name in float32):
            print(f"{own} / {other}: {ratio(found[own], found[other])}")


def ratio(own: Found, *others: Found) -> str:
    """Return how many times the throughput, by the clock and by processor time."""
    clock = own.per_second / np.mean([other.per_second for other in others])
    cpu = own.per_cpu_second / np.mean([other.per_cpu_second for other in others])
    return f"{clock:.2f} by the clock, {cpu:.2f} by processor time"


if __name__ == "__main__":
    main()
