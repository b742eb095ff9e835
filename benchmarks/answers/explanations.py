"""How good are the maps of "Why?": insertion minus deletion on photographs of the test split.

``python -m benchmarks.answers.explanations DATASET [--model NAME] [--photographs 100]``
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from har_core import ActionModel, load_model
from har_core.dataset.table import load_dataset
from har_core.model.explanation import CELLS, explain, gradient_map
from har_core.model.loading import find_model
from har_core.model.records import rows_of_split

STEPS = np.linspace(0, CELLS**2, 9).round().astype(int)
RESAMPLES = 10_000


def fillings(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return what hides an area: the picture's local average, and its mean colour."""
    blurred = Image.fromarray(pixels).filter(ImageFilter.BoxBlur(round(48 / 224 * len(pixels))))
    mean = pixels.mean(axis=(0, 1)).astype(np.uint8)
    return {
        "local average": np.asarray(blurred),
        "mean colour": np.broadcast_to(mean, pixels.shape),
    }


def enlarged(cells: np.ndarray, side: int) -> np.ndarray:
    positions = np.arange(side) * CELLS // side
    return cells.reshape(CELLS, CELLS)[np.ix_(positions, positions)][..., np.newaxis]


class Photograph:
    """A prepared photograph, and its probability of the predicted class under masks."""

    def __init__(self, model: ActionModel, pixels: np.ndarray) -> None:
        self.model, self.pixels = model, pixels
        self.fillings = fillings(pixels)
        whole = model.predict_probabilities(pixels[np.newaxis])[0]
        self.index, self.whole = int(whole.argmax()), float(whole.max())

    def hidden(self, masks: np.ndarray, filling: str) -> np.ndarray:
        """Return the probability with each mask's cells hidden."""
        found = []
        for start in range(0, len(masks), 4):
            batch = [
                np.where(enlarged(m, len(self.pixels)), self.fillings[filling], self.pixels)
                for m in masks[start : start + 4]
            ]
            found.append(self.model.predict_probabilities(np.stack(batch))[:, self.index])
        return np.concatenate(found)

    def score(self, cells: np.ndarray, filling: str) -> float:
        """Return the area under insertion minus that under deletion, in the cells' order."""
        ranks = np.argsort(np.argsort(-cells.ravel(), kind="stable"))
        deleted = np.stack([ranks < n for n in STEPS])
        curve = self.hidden(np.concatenate([deleted, ~deleted]), filling)
        removal, insertion = curve[: len(STEPS)], curve[len(STEPS) :]
        shares = STEPS / CELLS**2
        return float(np.trapezoid(insertion, shares) - np.trapezoid(removal, shares))


def maps_of(photo: Photograph, folder: Path, order: np.ndarray) -> dict[str, np.ndarray]:
    name = photo.model.class_names[photo.index]
    rows = np.arange(CELLS) - CELLS // 2
    cam = gradient_map(photo.model, folder, photo.pixels, name)
    return {
        "random": order,
        "distance from the centre": -np.hypot(rows[:, np.newaxis], rows).ravel(),
        **({"gradient × map": cam.cells} if cam is not None else {}),
        "as shipped": explain(photo.model, photo.pixels, name).cells,
    }


def measure(
    model: ActionModel, folder: Path, path: str, order: np.ndarray
) -> dict[tuple[str, str], float]:
    """Return the score of each map by filling and map."""
    photo = Photograph(model, model.prepare(path))
    return {
        (filling, name): photo.score(cells, filling)
        for name, cells in maps_of(photo, folder, order).items()
        for filling in photo.fillings
    }


def interval(values: np.ndarray) -> str:
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():6.3f} ({low:.3f} – {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--model")
    parser.add_argument("--photographs", type=int, default=100)
    options = parser.parse_args()
    model, folder = load_model(options.model), find_model(options.model)
    table = rows_of_split(load_dataset(options.dataset), folder, "test")
    rng = np.random.default_rng(0)
    chosen = table.iloc[rng.permutation(len(table))[: options.photographs]]
    scores: dict[str, dict[str, list[float]]] = {}
    randoms = [rng.random(CELLS**2) for _ in range(len(chosen))]
    # Two at a time, so that each keeps to one core.
    with ThreadPoolExecutor(2) as pool:
        work = pool.map(lambda p, r: measure(model, folder, p, r), chosen["path"], randoms)
        for done, found in enumerate(work, 1):
            for (filling, name), score in found.items():
                scores.setdefault(filling, {}).setdefault(name, []).append(score)
            if done % 10 == 0 or done == len(chosen):
                show(scores, f"{done} test photographs of {model.name}")


def show(scores: dict[str, dict[str, list[float]]], of_what: str) -> None:
    for filling, by_map in scores.items():
        print(f"\n{filling}, {of_what}, 95 % bootstrap")
        shipped = np.array(by_map["as shipped"])
        for name, values in by_map.items():
            lead = (
                "" if name == "as shipped" else f"   shipped leads by {interval(shipped - values)}"
            )
            print(f"{name:24} {interval(np.array(values))}{lead}", flush=True)


if __name__ == "__main__":
    main()
