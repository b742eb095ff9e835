"""How time grows with the number of photographs: a table of slopes, and a log-log plot.

    python -m benchmarks.scale.growth [--only NAME ...] [--sizes N ...] [--plot FILE.svg]
                                      [--results FILE.json] [--made FOLDER]

The photographs are small made ones, and predicted by a network of one layer: the shipped one takes
the same time for each. A slope is that of the logarithms over all sizes: 1 is twice the time for
twice the photographs. Plotting needs Matplotlib, which comes with cleanvision.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import simplejpeg

import har_core
from benchmarks.bench_scan import seconds_of
from benchmarks.pages import PARTS, reruns
from har_core.dataset.duplicates import hashed_pairs, near_duplicate_pairs, pairs_of_thumbnails
from har_core.scan.scanning import scan_dataset
from tests.drawing import CLASS_NAMES, write_tiny_bundle

SIDE: Final = 64
SPLITS: Final = 8 * ("train",) + ("validation", "test")
# What needs no analysis.
RERUNS: Final = ("balance_measure", "browse_search", "browse_order", "finding")
# As alike as the thumbnails of photographs are: with white noise no bound would leave a candidate.
FREQUENCIES: Final = 8
EVERY, COPY, DARK, WRONG = 100, 50, 51, 52


def write_photographs(folder: Path, n: int) -> Path:
    """Write a dataset of pictures of coarse random patches, one of three colours brighter.

    Of a hundred one is a copy, in another split, one is dark and one has another's label.
    """
    photographs = folder / "train"
    if (folder / "train.csv").exists():
        return folder
    photographs.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    lines = ["filename,label,split"]
    for number in range(n):
        patches = rng.integers(0, 256, (FREQUENCIES, FREQUENCIES, 3), np.uint8)
        patches[..., number % 3] //= 2
        patches[..., number % 3] += 128
        if number % EVERY == DARK:
            patches //= 16
        pixels = np.kron(patches, np.ones((SIDE // FREQUENCIES, SIDE // FREQUENCIES, 1), np.uint8))
        if number % EVERY != COPY:  # else the one before again
            content = simplejpeg.encode_jpeg(pixels, quality=80)
        (photographs / f"{number}.jpg").write_bytes(content)
        of = number - (number % EVERY in (COPY, WRONG))
        lines.append(f"{number}.jpg,{CLASS_NAMES[of % 3]},{SPLITS[number % len(SPLITS)]}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    return folder


def predictions(folder: Path, n: int) -> float:
    """Predict all."""
    paths = [folder / "train" / f"{number}.jpg" for number in range(n)]
    write_tiny_bundle(folder / "models")
    model = har_core.load_model(folder / "models" / "tiny")
    model.predict_batch(paths[:50])
    return seconds_of(lambda: model.predict_batch(paths))


def scan(folder: Path, n: int) -> float:
    """Scan what was never scanned, duplicates included."""
    return seconds_of(lambda: scan_dataset(folder))


def second_scan(folder: Path, n: int) -> float:
    """Scan again."""
    scan_dataset(folder)
    return seconds_of(lambda: scan_dataset(folder))


def thumbnails(n: int) -> np.ndarray:
    """Return made thumbnails, uint8 (N, 1024), with the energy of photographs: low frequencies."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, FREQUENCIES, FREQUENCIES), np.uint8)
    side = 32 // FREQUENCIES
    return coarse.repeat(side, axis=1).repeat(side, axis=2).reshape(n, -1)


def duplicates(folder: Path, n: int) -> float:
    """Look for near duplicates as a scan does."""
    made = thumbnails(n)
    return seconds_of(lambda: pairs_of_thumbnails(made))


def duplicates_exactly(folder: Path, n: int) -> float:
    """Compare every thumbnail with every other, as up to `MOST_COMPARED` are."""
    made = thumbnails(n)
    return seconds_of(lambda: near_duplicate_pairs(made))


def duplicates_by_hashing(folder: Path, n: int) -> float:
    """Compare those that share a key, as more are."""
    made = thumbnails(n)
    return seconds_of(lambda: hashed_pairs(made))


def page_rerun(folder: Path, n: int) -> float:
    """Rerun the Dataset page after a change of a widget: the slowest."""
    scan_dataset(folder)
    return max(reruns(PARTS["dataset"], str(folder), RERUNS).values()) / 1000


MEASURED: Final[dict[str, Callable[[Path, int], float]]] = {
    "predictions": predictions,
    "scan": scan,
    "second scan": second_scan,
    "duplicates": duplicates,
    "duplicates, exactly": duplicates_exactly,
    "duplicates, by hashing": duplicates_by_hashing,
    "Dataset page, rerun": page_rerun,
}


def slope(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of the line through the logarithms, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def plot(found: dict[str, dict[int, float]], path: Path) -> None:
    """Draw the times over the sizes."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8.5, 4.5))
    for name, times in found.items():
        label = f"{name}: {slope([*times], [*times.values()]):.2f}" if len(times) > 1 else name
        axes.loglog([*times], [*times.values()], marker="o", label=label)
    axes.set_xlabel("photographs")
    axes.set_ylabel("seconds")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(title="slope", fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Print a row at a time, then draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=MEASURED, default=list(MEASURED))
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--plot", type=Path, help="write an SVG")
    parser.add_argument("--made", type=Path, help="where made photographs are, or are left")
    parser.add_argument("--results", type=Path, help="JSON of earlier sizes to add to, and to keep")
    arguments = parser.parse_args()
    found: dict[str, dict[int, float]] = {}
    if arguments.results and arguments.results.exists():
        earlier = json.loads(arguments.results.read_text())
        found = {name: {int(n): s for n, s in times.items()} for name, times in earlier.items()}
    for n in arguments.sizes:
        with tempfile.TemporaryDirectory() as temporary:
            os.environ["HAR_CACHE_DIR"] = f"{temporary}/cache"
            folder = (arguments.made or Path(temporary)) / f"made-{n}"
            if any(not name.startswith("duplicates") for name in arguments.only):
                write_photographs(folder, n)
            for name in arguments.only:
                found.setdefault(name, {})[n] = MEASURED[name](folder, n)
                print(f"{name:24}{n:>8,}{found[name][n]:10.3f} s", flush=True)
                if arguments.results:
                    arguments.results.write_text(json.dumps(found))
    for name, times in found.items():
        if len(times) > 1:
            print(f"{name:24} slope {slope([*times], [*times.values()]):.2f}")
    if arguments.plot:
        plot(found, arguments.plot)


if __name__ == "__main__":
    main()
