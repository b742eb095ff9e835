"""From a trained network to a model bundle: ONNX graph, temperature, test metrics, model card."""

import dataclasses
import platform
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.errors import HarError
from har_core.evaluation.answers import fit_rules
from har_core.evaluation.calibration import fit_temperature
from har_core.evaluation.result import EvaluationResult
from har_core.images.preprocessing import scale_pixels
from har_core.keras_io.onnx_export import export_onnx
from har_core.model.bundle import write_bundle
from har_core.model.class_indices import format_class_indices
from har_core.model.engine import OnnxEngine
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    KERAS_FILE,
    MODEL_CARD_FILE,
    ONNX_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    TRAINING_LOG_FILE,
    BundleManifest,
)
from har_core.model.records import join_probabilities
from har_core.model.temperature import apply_temperature
from har_core.progress import Progress, silent
from har_core.training.answering import learn_novelty
from har_core.training.forward import decode_photographs
from har_core.training.model_card import format_model_card, summarise
from har_core.training.network import ARCHITECTURE, INPUT_SIZE, PREPROCESSING
from har_core.training.preparation import PreparedDataset
from har_core.training.run_folder import log_csv
from har_core.training.settings import TrainingSettings

_PROBE_PHOTOGRAPHS: Final = 64
_CHUNK: Final = 64
_PACKAGES: Final = ("keras", "tensorflow", "jax", "torch", "numpy", "pillow", "onnxruntime")


class NotPublishedError(HarError):
    """A training is done, but what it led to cannot be made into a bundle here."""


def runs_tensorflow() -> bool:
    """Tell whether Keras runs on TensorFlow, which the ONNX export needs."""
    import keras

    return bool(keras.backend.backend() == "tensorflow")


def publish(
    network: Any,
    prepared: PreparedDataset,
    destination: Path,
    *,
    training: Mapping[str, Any],
    log: list[dict[str, Any]],
    further_files: Mapping[str, bytes | Path],
    overwrite: bool = False,
    progress: Progress = silent,
) -> BundleManifest:
    """Measure a trained network once on the test split and write it as a model bundle.

    The temperature is fitted on the validation split. What is measured is the ONNX graph, which
    is what will be served, once it has been shown to agree with the Keras network.

    Parameters
    ----------
    network : keras.Model
        From `har_core.training.network.build_network`.
    prepared : PreparedDataset
        What it was trained on.
    destination : Path
        The bundle's folder; its name is the model's.
    training : mapping
        The training record: ``settings``, ``photographs`` (numbers), ``skipped`` and what else
        tells how the network came about; see `training_record`.
    log : list of dict
        One row per epoch.
    further_files : mapping of str to bytes or Path
        More files for the bundle, by the names of `har_core.model.manifest`.
    overwrite : bool
        Replace a bundle of that name.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    BundleManifest

    Raises
    ------
    ModelBundleError
        If the ONNX graph disagrees with Keras, or the bundle cannot be written.
    """
    import keras

    table, class_names = prepared.table, prepared.class_names
    rows = _held_out(table)
    with tempfile.TemporaryDirectory() as folder:
        keras_file, onnx_file = Path(folder, KERAS_FILE), Path(folder, ONNX_FILE)
        # A model of the same layers that was never compiled leaves the optimizer behind.
        plain = keras.Model(network.input, network.output, name=network.name)
        plain.save(keras_file)
        _deflate(keras_file)
        progress("Exporting the network to ONNX", 0, 1)
        validation = rows[rows["split"] == "validation"]
        probe = decode_photographs(validation["path"].iloc[:_PROBE_PHOTOGRAPHS])
        export_onnx(plain, onnx_file, probe=scale_pixels(probe, PREPROCESSING))
        engine = OnnxEngine(onnx_file)
        probabilities = np.concatenate(
            [
                _predict(engine, part["path"], f"Running on the {split} split", progress)
                for split, part in rows.groupby("split", sort=False)
            ]
        )
        labels = pd.Index(class_names).get_indexer(validation["label"])
        draft = BundleManifest(
            name=destination.name,
            architecture=ARCHITECTURE,
            input_size=INPUT_SIZE,
            preprocessing=PREPROCESSING,
            class_names=class_names,
            temperature=fit_temperature(labels, probabilities[: len(validation)]),
            training=dict(training),
        )
        return write_measured(
            draft,
            destination,
            table,
            probabilities,
            onnx_file.read_bytes(),
            card=format_model_card,
            log=log,
            further_files={KERAS_FILE: keras_file, **further_files},
            overwrite=overwrite,
            progress=progress,
        )


def write_measured(
    draft: BundleManifest,
    destination: Path,
    table: pd.DataFrame,
    probabilities: np.ndarray,
    graph: bytes,
    *,
    card: Callable[[BundleManifest, EvaluationResult], str],
    log: list[dict[str, Any]],
    further_files: Mapping[str, bytes | Path],
    overwrite: bool = False,
    progress: Progress = silent,
) -> BundleManifest:
    """Write a model bundle from what its graph gives for the photographs that were held out.

    Parameters
    ----------
    draft : BundleManifest
        All but what is measured: ``metrics`` and ``answers``.
    destination, log, further_files, overwrite, progress
        As of `publish`.
    table : DataFrame
        All labelled photographs: ``filename``, ``label``, ``path``, ``sha256``,
        ``duplicate_group``, ``split``.
    probabilities : ndarray, shape (N, C)
        At temperature 1, of the validation photographs and then of the test photographs.
    graph : bytes
        ``model.onnx``.
    card : callable
        Writes the model card of a manifest and its evaluation on the test split.

    Returns
    -------
    BundleManifest
    """
    rows = _held_out(table)
    is_test = rows["split"].eq("test").to_numpy()
    class_names, test = draft.class_names, rows[is_test]
    rules = fit_rules(
        pd.Index(class_names).get_indexer(rows["label"])[~is_test],
        apply_temperature(probabilities[~is_test], draft.temperature),
        "validation",
        rows["duplicate_group"].to_numpy()[~is_test],
    )
    result = EvaluationResult.from_predictions(
        test["label"],
        apply_temperature(probabilities[is_test], 1.0),
        class_names,
        filenames=test["filename"],
        groups=test["duplicate_group"],
        sha256=test["sha256"],
    ).calibrated(draft.temperature, rules)
    predictions = rows[["filename", "label", "split", "sha256"]].reset_index(drop=True)
    predictions = join_probabilities(predictions, class_names, probabilities)
    metrics = {"split": "test", "n": len(test), **result.headline()}
    manifest = dataclasses.replace(draft, metrics=metrics, answers=rules.to_dict())
    learned = learn_novelty(graph, manifest, table, predictions, progress=progress)
    splits = table[["filename", "label", "split", "duplicate_group", "sha256"]]
    files = {
        ONNX_FILE: graph,
        CLASS_INDICES_FILE: format_class_indices(class_names).encode(),
        SPLITS_FILE: splits.to_parquet(index=False, compression="zstd"),
        PREDICTIONS_FILE: predictions.to_parquet(index=False, compression="zstd"),
        TRAINING_LOG_FILE: log_csv(log),
        MODEL_CARD_FILE: card(manifest, result).encode(),
        **further_files,
        **learned,
    }
    return write_bundle(destination, manifest, files, overwrite=overwrite)


def _held_out(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table[table["split"] == split] for split in ("validation", "test")])


def training_record(
    settings: TrainingSettings,
    prepared: PreparedDataset,
    *,
    seconds: float,
    origin: Path | None = None,
    n_unlabelled: int = 0,
) -> dict[str, Any]:
    """Return what a bundle's manifest and card say of its training.

    Parameters
    ----------
    settings, prepared
        What the network was trained by, and on.
    seconds : float
        How long that took.
    origin : Path, optional
        Bundle that the backbone comes from.
    n_unlabelled : int
        Photographs that were learned from without their labels.
    """
    values = dataclasses.asdict(settings)
    # Names, not paths, which would tell strangers about this machine.
    for key in ("backbone_weights", "splits_of", "unlabelled"):
        values[key] = Path(values[key]).name
    if origin is not None:
        values["backbone_weights"] = f"{origin.name}/{values['backbone_weights']}"
    values["teachers"] = [Path(name).name for name in settings.teachers]
    photographs = prepared.counts
    if n_unlabelled:
        photographs["unlabelled"] = n_unlabelled
    return {
        "settings": values,
        "summary": summarise(values, photographs.get("validation", 0)),
        "photographs": photographs,
        "skipped": prepared.skipped.to_dict("records"),
        "dataset_fingerprint": prepared.fingerprint,
        "training_seconds": round(seconds),
        **package_versions(),
    }


def package_versions() -> dict[str, Any]:
    """Return the versions of Python and of the packages that decide a training's result."""
    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "packages": packages}


def _deflate(path: Path) -> None:
    """Write a ZIP file again, compressed, as Keras does not: a tenth less of a trained network."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _predict(engine: OnnxEngine, paths: pd.Series, what: str, progress: Progress) -> np.ndarray:
    outputs = []
    for start in range(0, len(paths), _CHUNK):
        chunk = paths.iloc[start : start + _CHUNK]
        pixels = scale_pixels(decode_photographs(chunk), PREPROCESSING)
        size = engine.batch_size
        outputs += [engine.run(pixels[i : i + size]) for i in range(0, len(pixels), size)]
        progress(what, start + len(chunk), len(paths))
    return np.concatenate(outputs).astype(np.float32)
