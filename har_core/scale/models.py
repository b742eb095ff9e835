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
from har_core.model.manifest import (
    GRAPH_FILES,
    INT8_NOVELTY_FILE,
    MANIFEST_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    BundleManifest,
    Precision,
)
from har_core.storage.paths import is_folder

# Change it when an answer changes its meaning: older results are not mixed with newer ones then.
_CONTENT: Final = "shown probabilities 1"


def find_bundle(
    name_or_path: str | None, precision: Precision = "float32"
) -> tuple[Path, BundleManifest]:
    """Return the bundle that a job runs, checked.

    Raises
    ------
    ModelBundleError
        If there is none, it is damaged, or has no ONNX graph of that precision.
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
    if GRAPH_FILES[precision] not in manifest.files:
        raise ModelBundleError(
            f"The model {manifest.name!r} has no {GRAPH_FILES[precision]}; 'har quantise "
            f"{manifest.name} --dataset FOLDER' makes it. Or leave out --precision."
        )
    check_class_names(manifest.class_names)
    return folder, manifest


def fingerprint(manifest: BundleManifest, precision: Precision = "float32") -> str:
    """Return the sha256 of whatever an answer depends on: networks, scaling, temperature, rules.

    Of a bundle that has no graph of that precision it is one that no results have.
    """
    body = {
        "content": _CONTENT,
        "network": manifest.files.get(GRAPH_FILES[precision]),
        "novelty": manifest.files.get(NOVELTY_FILE),
        "input_size": manifest.input_size,
        "preprocessing": manifest.preprocessing,
        "class_names": manifest.class_names,
        "temperature": manifest.temperature,
        "answers": manifest.answers,
    }
    if precision == "int8":
        body["int8_novelty"] = manifest.files.get(INT8_NOVELTY_FILE)
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def bundle_files(folder: Path, manifest: BundleManifest, precision: Precision) -> dict[str, bytes]:
    """Return the files of a bundle that holds just what a worker on another machine needs."""
    of_8_bits = (INT8_NOVELTY_FILE,) if precision == "int8" else ()
    names = (GRAPH_FILES[precision], NOVELTY_FILE, *of_8_bits)
    needed = {name: manifest.files[name] for name in names if name in manifest.files}
    body = dataclasses.replace(manifest, files=needed).to_json()
    return {MANIFEST_FILE: body.encode(), **{n: (folder / n).read_bytes() for n in needed}}


def load_for_one_core(folder: Path, precision: Precision) -> ActionModel:
    """Load a model for a process that has one core, whatever its machine's environment says."""
    return load_bundle(folder, one_core=True, precision=precision)
