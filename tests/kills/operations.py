"""Everything that the program writes to disk, as an old state, an operation and a way to look."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from har_core.dataset import decisions
from har_core.dataset.kept import keep_dataset, kept_datasets
from har_core.dataset.table import load_dataset
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import (
    Evaluation,
    keep_evaluation,
    list_evaluations,
    read_evaluation,
    thumbnails_path,
)
from har_core.images.thumbnail_archive import read_thumbnails
from har_core.model import bundle
from har_core.model.manifest import BundleManifest, read_manifest
from har_core.scan.cache import FileStamp, ScanCache
from har_core.scan.measurement import Measurement
from har_core.storage import cache
from har_core.training.run_folder import Checkpoint, RunFolder
from tests.drawing import photo_bytes

CLASSES = ("clapping", "running")
SIZE = 20_000
PHOTOS = 8


class Operation(NamedTuple):
    """What is killed: `write` replaces state "old" by "new"; `read` says which one is there."""

    prepare: Callable[[Path], None]
    write: Callable[[Path], object]
    read: Callable[[Path], str]


def _write_bundle(folder: Path, text: str) -> None:
    manifest = BundleManifest("a", text, 224, "zero_to_one", CLASSES)
    files: dict[str, bytes | Path] = {
        "model.onnx": text.encode() * SIZE,
        "notes/text.txt": text.encode(),
    }
    bundle.write_bundle(folder / "models" / "a", manifest, files, overwrite=True)


def _read_bundle(folder: Path) -> str:
    entries = bundle.list_bundles(folder / "models")
    if not entries:
        return "none"
    manifest = bundle.verify_bundle(entries[0].path)
    content = (entries[0].path / "model.onnx").read_bytes().decode()
    assert content == manifest.architecture * SIZE
    return manifest.architecture


def _update_manifest(folder: Path) -> None:
    bundle.update_manifest(folder / "models" / "a", architecture="new")


def _read_manifest(folder: Path) -> str:
    return read_manifest(folder / "models" / "a").architecture


def _decide(folder: Path, label: str) -> None:
    (folder / "dataset").mkdir(exist_ok=True)
    decisions.decide(folder / "dataset", "relabel", ["a.jpg"], label)


def _read_decisions(folder: Path) -> str:
    return decisions.load_decisions(folder / "dataset").relabelled["a.jpg"]


def _keep_evaluation(folder: Path, text: str) -> None:
    probabilities = np.tile([0.7, 0.3], (500, 1))
    raw = EvaluationResult.from_predictions(["clapping"] * 500, probabilities, CLASSES)
    pictures = {"content": text.encode() * SIZE}
    keep_evaluation(Evaluation("holiday", "a", text, raw, folder=str(folder)), pictures)


def _prepare_evaluation(folder: Path) -> None:
    _write_bundle(folder, "old")
    _keep_evaluation(folder, "old")


def _read_evaluation(folder: Path) -> str:
    path = folder / "models" / "a"
    assert list_evaluations(path, read_manifest(path)) == ["holiday"]
    (picture,) = read_thumbnails(thumbnails_path("a", "holiday"), ["content"])
    assert picture in (b"old" * SIZE, b"new" * SIZE)
    return read_evaluation(path, "holiday").created


def _keep_dataset(folder: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train.csv", "filename,label\na.jpg,running\nb.jpg,sitting\n")
        for name in "ab":
            archive.writestr(f"train/{name}.jpg", photo_bytes("running", size=(40, 30)))
    if not kept_datasets():
        keep_dataset(packed, "new")


def _read_dataset(folder: Path) -> str:
    kept = kept_datasets()
    for path in kept.values():
        assert load_dataset(path)["path"].notna().all()
    return next(iter(kept), "none")


def _write_checkpoint(folder: Path, epochs: int) -> None:
    run = RunFolder(folder / "run")
    run.make()
    variables = [np.full(SIZE, epochs, np.float32)]
    log = [{"epoch": epoch} for epoch in range(epochs)]
    run.write_best("head", variables)
    run.write_checkpoint(Checkpoint("head", epochs, 0.5, log, variables, variables))


def _read_checkpoint(folder: Path) -> str:
    run = RunFolder(folder / "run")
    checkpoint = run.read_checkpoint()
    assert checkpoint is not None
    assert len(checkpoint.log) == checkpoint.epochs_done
    assert (checkpoint.variables[0] == checkpoint.epochs_done).all()
    # Kept before the checkpoint: it may be of the epoch that a resumed run repeats.
    assert run.read_best("head")[0][0] in (checkpoint.epochs_done, checkpoint.epochs_done + 1)
    return {1: "old", 2: "new"}[checkpoint.epochs_done]


def _store_scan(folder: Path, name: str) -> None:
    with ScanCache(folder / "scan.sqlite") as store:
        store.store(
            {f"{folder}/{name}_{i}.jpg": (FileStamp(1, i), f"{name}{i}") for i in range(PHOTOS)},
            [_measurement(f"{name}{i}") for i in range(PHOTOS)],
        )


def _measurement(sha256: str) -> Measurement:
    fields = dict.fromkeys(Measurement.__dataclass_fields__)
    fields |= {"sha256": sha256, "thumbnail": bytes(1024)}
    return Measurement(**fields)


def _read_scan(folder: Path) -> str:
    found = {}
    with ScanCache(folder / "scan.sqlite") as store:
        for name in ("old", "new"):
            stamps = {f"{folder}/{name}_{i}.jpg": FileStamp(1, i) for i in range(PHOTOS)}
            found[name] = len(store.known_files(stamps))
            assert found[name] in (0, PHOTOS)  # a chunk is kept whole or not at all
            assert len(store.load_thumbnails(f"{name}{i}" for i in range(PHOTOS))) == found[name]
    return "new" if found["new"] else "old" if found["old"] else "none"


def _store_arrays(folder: Path, text: str) -> None:
    cache.store_arrays(folder / "features.npz", {"values": np.full(SIZE, text)})


def _read_arrays(folder: Path) -> str:
    arrays = cache.load_arrays(folder / "features.npz")
    return "none" if arrays is None else str(arrays["values"][-1])


def _nothing(folder: Path) -> None:
    """Begin with an empty folder."""


OPERATIONS = {
    "a first bundle": Operation(_nothing, lambda f: _write_bundle(f, "new"), _read_bundle),
    "a bundle that replaces another": Operation(
        lambda f: _write_bundle(f, "old"), lambda f: _write_bundle(f, "new"), _read_bundle
    ),
    "a change of a manifest": Operation(
        lambda f: _write_bundle(f, "old"), _update_manifest, _read_manifest
    ),
    "a decisions file": Operation(
        lambda f: _decide(f, "old"), lambda f: _decide(f, "new"), _read_decisions
    ),
    "an evaluation": Operation(
        _prepare_evaluation, lambda f: _keep_evaluation(f, "new"), _read_evaluation
    ),
    "a first kept dataset": Operation(_nothing, _keep_dataset, _read_dataset),
    "a checkpoint": Operation(
        lambda f: _write_checkpoint(f, 1), lambda f: _write_checkpoint(f, 2), _read_checkpoint
    ),
    "a first scan cache": Operation(_nothing, lambda f: _store_scan(f, "new"), _read_scan),
    "a scan cache": Operation(
        lambda f: _store_scan(f, "old"), lambda f: _store_scan(f, "new"), _read_scan
    ),
    "cached features": Operation(
        lambda f: _store_arrays(f, "old"), lambda f: _store_arrays(f, "new"), _read_arrays
    ),
}


def use_folder(folder: Path) -> None:
    """Make the program keep everything in a folder."""
    os.environ["HAR_CACHE_DIR"] = str(folder / "cache")
    os.environ["HAR_DATA_DIR"] = str(folder / "data")
    os.environ["HAR_MODELS_DIR"] = str(folder / "models")
