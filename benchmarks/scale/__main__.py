"""`har score` beside its peers, in one run: throughput, memory, and whether time grows as the work.

    python -m benchmarks.scale --photographs 50000 [--only bare local …] [--folder /tmp/photographs]
                               [--results FILE.json] [--prepare]

``bare`` runs beside each of ours, in turns of five seconds: how fast a core is changes within
minutes, and then it changes for both. Names that end in ``-int8`` compute with 8 bits; they, too,
are compared with ``bare`` in float32. With ``--results`` a measurement may
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale.material import write_photographs
from benchmarks.scale.measuring import Cost, measure
from benchmarks.scale.turns import Turns
from har_core.scale.engines.local import cores
from har_core.scale.results import Results
from har_core.scale.status import JobStatus, read_status

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
    beside: "Found | None" = None
    """`bare`, in turns with it."""

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
    beside = of["beside"] and _found(of["beside"])
    return Found(**{**of, "cost": Cost(**of["cost"]), "beside": beside})


def memory_growth(cost: Cost) -> float:
    """Return by how much the first process grew from a fifth of its time to its end."""
    times = np.array([t for t, _ in cost.driver])
    resident = np.array([size for _, size in cost.driver], float)
    early = resident[times <= max(times[-1] / 5, times[0])].max()
    return float(resident[times > times[-1] / 5].max() / early - 1)


def run_own(name: str, folder: Path, n: int, workers: int, turns: Turns | None = None) -> Found:
    """Score the folder anew."""
    to = tempfile.mkdtemp(prefix="har-results-")
    engine = name.removesuffix(INT8)
    command = [sys.executable, "-m", "har_core", "score", str(folder), "--to", to]
    command += ["--engine", engine, "--workers", str(workers)]
    command += ["--precision", "float32" if name == engine else "int8"]

    def worked(status: JobStatus) -> float:
        end = datetime.fromisoformat(status.updated).timestamp()
        stopped = turns.stopped(name, end - status.elapsed_s, end) if turns else 0.0
        return status.elapsed_s - stopped

    def done() -> tuple[float, int] | None:
        status = read_status(Results(to))
        return None if status is None or not status.done else (worked(status), status.done)

    try:
        cost = measure(command, done=done, turns=turns, name=name)
        status = read_status(Results(to))
        assert status is not None and status.done == n, cost.output
        return Found(n, worked(status), cost)
    finally:
        shutil.rmtree(to)


def linearity(cost: Cost, of: int = 0) -> float:
    """Return R² of photographs done against seconds of the clock (0) or a processor (2)."""
    if len(cost.done) < 3:
        return float("nan")
    done = np.array(cost.done)
    return float(np.corrcoef(done[:, of], done[:, 1])[0, 1] ** 2)


def run_peer(name: str, folder: Path, n: int, workers: int, turns: Turns | None = None) -> Found:
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
        turns=turns,
        name=name,
    )
    found = re.search(r"from ([\d.]+) to ([\d.]+)", cost.output)
    assert found, cost.output
    start, end = map(float, found.groups())
    stopped = turns.stopped(name, start, end) if turns else 0.0
    return Found(n, end - start - stopped, cost)


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

    def take(name: str, turns: Turns | None = None) -> Found:
        run, load = run_own if name in OWN else run_peer, os.getloadavg()[0]
        of = run(name, folder, n, workers, turns)
        of.start_cpu_seconds, of.load = starts[name], load
        return of

    def show(name: str, of: Found) -> None:
        print(of.line(name), flush=True)
        if len(of.cost.done) > 2:
            print(of.by_minute(), flush=True)

    bares = (BARE,) if BARE in arguments.only else ()
    for name in (name for name in arguments.only if name != BARE):
        for starting in {name, *bares} - starts.keys():
            run = run_own if starting in OWN else run_peer
            starts[starting] = run(starting, few, _START, workers).cost.cpu_seconds
        together = (name, *bares) if name in OWN else (name,)
        turns = Turns(len(together)) if len(together) > 1 else None
        with ThreadPoolExecutor(len(together)) as pool:
            found[name], *bare = pool.map(take, together, [turns] * len(together))
        show(name, found[name])
        if bare:
            found[name].beside = bare[0]
            show(BARE, bare[0])
        if arguments.results:
            kept = {name: dataclasses.asdict(of) for name, of in found.items()}
            arguments.results.write_text(json.dumps(kept))
    for own in (own for own in OWN if own in found):
        if beside := found[own].beside:
            print(f"{own} / {BARE} in turns with it: {ratio(found[own], beside)}")
        float32 = {own.removesuffix(INT8)} - {own}
        for other in (name for name in found if name not in OWN or name in float32):
            print(f"{own} / {other}: {ratio(found[own], found[other])}")


def ratio(own: Found, other: Found) -> str:
    """Return how many times the throughput, by the clock and by processor time."""
    clock = own.per_second / other.per_second
    cpu = own.per_cpu_second / other.per_cpu_second
    return f"{clock:.2f} by the clock, {cpu:.2f} by processor time"


if __name__ == "__main__":
    main()
