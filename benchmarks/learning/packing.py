"""Photographs and ImageNet weights in small files, to be carried to a machine with a GPU."""

import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from PIL import Image

# The split of the shipped model, but a fifth is measured on: a tenth tells no small differences.
SEED: Final = 20261126
SHARES: Final = (0.2, 0.12)
SIDE: Final = 160
_LABELLED: Final = "labelled.npz"
RESULTS: Final = "results.npz"
_UNLABELLED: Final = "unlabelled.npz"
_QUALITY: Final = 75


@dataclass(frozen=True, eq=False)
class Photographs:
    """What is learned from and measured on; no test photograph is among them.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (L + U, 160, 160, 3)
        Of the labelled photographs, then of those without a label.
    labels : ndarray of int, shape (L,)
    measured : ndarray of bool, shape (L,)
        The validation split; the others are learned from.
    groups : ndarray of int, shape (L,)
        Near-duplicate groups.
    """

    pixels: np.ndarray
    labels: np.ndarray
    measured: np.ndarray
    groups: np.ndarray


def pack_photographs(dataset: str, unlabelled: str, folder: Path) -> None:
    """Write all but the test photographs of a dataset, and those without a label."""
    # The machine with the GPU need not have what these import.
    from har_core.training.distillation.unlabelled import read_unlabelled
    from har_core.training.preparation import prepare_dataset

    with TemporaryDirectory(dir=folder) as store:  # of 3 GB
        prepared = prepare_dataset(dataset, store, seed=SEED, shares=SHARES)
        split = prepared.table["split"].to_numpy()
        kept = np.flatnonzero(split != "test")
        np.savez(
            folder / _LABELLED,
            **_encode(prepared.pixels[row] for row in kept),
            labels=prepared.label_indices[kept],
            measured=split[kept] == "validation",
            groups=prepared.table["duplicate_group"].to_numpy()[kept],
        )
        further = read_unlabelled(unlabelled, prepared, store)
        np.savez(folder / _UNLABELLED, **_encode(further.pixels))


def unpack_photographs(folder: Path, at_most: int | None) -> Photographs:
    """Read what `pack_photographs` wrote, or the first of each kind."""
    rows = slice(at_most)
    with np.load(folder / _LABELLED) as labelled, np.load(folder / _UNLABELLED) as unlabelled:
        return Photographs(
            np.concatenate([_decode(packed, rows) for packed in (labelled, unlabelled)]),
            *(labelled[name][rows] for name in ("labels", "measured", "groups")),
        )


def pack_weights(network: Path, target: Path) -> None:
    """Write a Keras file with kernels in float16: half the size."""
    from har_core.keras_io.loading import load_network

    model = load_network(network)
    weights = [w.astype(np.float16) if w.ndim > 1 else w for w in model.get_weights()]
    arrays: dict[str, Any] = {f"w{i}": weight for i, weight in enumerate(weights)}
    np.savez_compressed(target, json=np.array(model.to_json()), **arrays)


def unpack_weights(source: Path) -> str:
    """Write what `pack_weights` packed as a Keras file beside it; return its path."""
    import keras

    with np.load(source) as packed:
        network = keras.models.model_from_json(str(packed["json"]))
        n = len(packed.files) - 1
        network.set_weights([packed[f"w{i}"].astype(np.float32) for i in range(n)])
    target = source.with_suffix(".keras")
    network.save(target)
    return str(target)


def _encode(squares: Iterable[np.ndarray]) -> dict[str, Any]:
    def encode(square: np.ndarray) -> bytes:
        out = io.BytesIO()
        image = Image.fromarray(np.asarray(square)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        image.save(out, "WEBP", quality=_QUALITY)
        return out.getvalue()

    with ThreadPoolExecutor() as threads:
        files = list(threads.map(encode, squares))
    ends = np.cumsum([len(file) for file in files])
    return {"data": np.frombuffer(b"".join(files), np.uint8), "ends": ends}


def _decode(packed: Mapping[str, np.ndarray], rows: slice) -> np.ndarray:
    data, ends = packed["data"].tobytes(), packed["ends"][rows]
    starts = np.r_[0, ends[:-1]]

    def decode(start: int, end: int) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(data[start:end])).convert("RGB"))

    with ThreadPoolExecutor() as threads:
        return np.stack(list(threads.map(decode, starts, ends)))
