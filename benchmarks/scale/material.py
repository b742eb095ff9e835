"""Very many photographs: a few, again and again under other names with other bytes."""

import itertools
import os
from pathlib import Path

from har_core.errors import InvalidImageError
from har_core.images.decoding import decode_image
from tests.drawing import encode
from tests.faults import draw_scene

_DRAWN = 200
_A_FOLDER = 1000


def write_photographs(folder: Path, n: int) -> Path:
    """Write `n` photographs, those of ``HAR_DATASET`` or drawn ones; some are there already.

    Behind the end of each picture a few bytes differ, so that no two are the same file.
    """
    there = sum(1 for _ in folder.rglob("*.jpg"))
    if there >= n:
        return folder
    originals = _originals(min(n, 12_000))
    for i, content in zip(range(there, n), itertools.cycle(originals), strict=False):
        below = folder / f"{i // _A_FOLDER:04d}"
        if i % _A_FOLDER == 0 or not below.is_dir():
            below.mkdir(parents=True, exist_ok=True)
        (below / f"{i:07d}.jpg").write_bytes(content + b"%07d" % i)
    return folder


def _originals(n: int) -> list[bytes]:
    dataset = os.environ.get("HAR_DATASET", "")
    if not dataset:
        return [encode(draw_scene(seed), quality=90) for seed in range(min(n, _DRAWN))]
    found = []
    for path in sorted(Path(dataset, "train").iterdir())[:n]:
        content = path.read_bytes()
        try:
            decode_image(content)
        except InvalidImageError:
            continue  # the peers would stop there
        found.append(content)
    return found
