"""Of the near duplicates that comparing everything finds, the share that hashing finds; times.

    python -m benchmarks.scale.recall DATASET [--sizes N ...]

The dataset's photographs and altered copies of them: cut, blurred, with noise, with a patch, turned
by some degrees, half of them mirrored; many lie near the threshold.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from har_core.dataset.duplicates import (
    DUPLICATE_CORRELATION,
    hashed_pairs,
    near_duplicate_pairs,
)
from har_core.errors import InvalidImageError
from har_core.images.decoding import decode_image
from har_core.images.fingerprints import FINGERPRINT_SIDE, grey_thumbnail
from har_core.scan.scanning import list_rows

NEAR = DUPLICATE_CORRELATION + 0.02


def thumbnails_of(dataset: Path) -> np.ndarray:
    """Return the thumbnails of a dataset's photographs, uint8 (N, 1024), without exact copies."""
    found = []
    for path in sorted(list_rows(dataset)["path"].dropna()):
        try:
            found.append(grey_thumbnail(decode_image(Path(path).read_bytes())))
        except InvalidImageError:
            continue
    return np.unique(np.stack(found), axis=0)


def with_altered(thumbnails: np.ndarray, n: int) -> np.ndarray:
    """Return `n` thumbnails, those that are missing altered ones."""
    rng = np.random.default_rng(0)
    sources = rng.integers(0, len(thumbnails), max(n - len(thumbnails), 0))
    altered = [_altered(thumbnails[source], rng) for source in sources]
    return np.concatenate([thumbnails, np.array(altered, np.uint8).reshape(-1, 1024)])[:n]


def _altered(thumbnail: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = FINGERPRINT_SIDE
    image = Image.fromarray(thumbnail.reshape(side, side))
    kind = rng.integers(5)
    if kind == 0:
        left, top, right, bottom = rng.uniform(0, 2.5, 4)
        box = (left, top, side - right, side - bottom)
        image = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    elif kind == 1:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2)))
    elif kind == 2:
        noise = rng.normal(0, rng.uniform(3, 25), (side, side))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    elif kind == 3:
        size = int(rng.integers(3, 12))
        left, top = (int(place) for place in rng.integers(0, side - size, 2))
        image.paste(int(rng.integers(256)), (left, top, left + size, top + size))
    else:
        middle = int(thumbnail.mean())
        angle = rng.uniform(-6, 6)
        image = image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=middle)
    pixels = np.asarray(image)
    return (pixels[:, ::-1] if rng.random() < 0.5 else pixels).ravel()


def main() -> None:
    """Print a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--sizes", nargs="+", type=int, default=[10_000, 20_000, 40_000])
    arguments = parser.parse_args()
    thumbnails = thumbnails_of(arguments.dataset)
    for n in arguments.sizes:
        chosen = with_altered(np.random.default_rng(0).permutation(thumbnails), n)
        start = time.perf_counter()
        exact, correlations = near_duplicate_pairs(chosen)
        middle = time.perf_counter()
        hashed, _ = hashed_pairs(chosen)
        end = time.perf_counter()
        hit = np.isin(exact @ [n, 1], hashed @ [n, 1])
        near = correlations < NEAR
        print(
            f"{n:,}: exactly {middle - start:.2f} s, by hashing {end - middle:.2f} s; "
            f"{hit.sum():,} of {len(hit):,} pairs, "
            f"{hit[near].sum():,} of {near.sum():,} below {NEAR:.2f}; "
            f"{len(hashed) - hit.sum()} wrong",
            flush=True,
        )


if __name__ == "__main__":
    main()
