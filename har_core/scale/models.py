"""The model of a job: what tells it from another, and its way to the workers."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Final

from har_core.errors import ModelBundleError
from har_core.model.bundle import verify_bundle
from har_core.model.classifier import ActionModel
from har_core.model.fields import check_class_names
from har_core.model.loading import find_model, load_bundle
from har_core.model.manifest import MANIFEST_FILE, NOVELTY_FILE, ONNX_FILE, BundleManifest
from har_core.storage.paths import is_folder

# Change it when an answer changes its meaning: older results are not mixed with newer ones then.
_CONTENT: Final = "shown probabilities 1"


def find_bundle(name_or_path: str | None) -> tuple[Path, BundleManifest]:
    """Return the bundle that a job runs, checked.

    Raises
    ------
    ModelBundleError
        If there is none, it is damaged, or has no ONNX graph.
    DatasetError
        If a class is called like a column of the results.
    """
    folder = find_model(name_or_path)
    if not is_folder(folder):
        raise ModelBundleError(
            f"Scoring needs a model bundle with an ONNX graph; make one of {folder} with "
            "'har import-model'."
        )
    manifest = verify_bundle(folder)
    if ONNX_FILE not in manifest.files:
        raise ModelBundleError(
            f"The model {manifest.name!r} has no {ONNX_FILE}, which scoring needs; import or "
            "train it again."
        )
    check_class_names(manifest.class_names)
    return folder, manifest


def fingerprint(manifest: BundleManifest) -> str:
    """Return the sha256 of whatever an answer depends on: networks, scaling, temperature, rules."""
    body = {
        "content": _CONTENT,
        "network": manifest.files[ONNX_FILE],
        "novelty": manifest.files.get(NOVELTY_FILE),
        "input_size": manifest.input_size,
        "preprocessing": manifest.preprocessing,
        "class_names": manifest.class_names,
        "temperature": manifest.temperature,
        "answers": manifest.answers,
    }
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def bundle_files(folder: Path, manifest: BundleManifest) -> dict[str, bytes]:
    """Return the files of a bundle that holds just what a worker on another machine needs."""
    needed = {n: d for n, d in manifest.files.items() if n in (ONNX_FILE, NOVELTY_FILE)}
    body = dataclasses.replace(manifest, files=needed).to_json()
    return {MANIFEST_FILE: body.encode(), **{n: (folder / n).read_bytes() for n in needed}}


def load_for_one_core(folder: Path) -> ActionModel:
    """Load a model for a process that has one core, on a machine like others or not."""
    return load_bundle(folder, one_core=True, float32=True)
