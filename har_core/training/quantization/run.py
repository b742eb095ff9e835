"""Giving a model a graph that computes with 8 bits: calibrated, trained, compared, then stored."""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.errors import DatasetError, ModelBundleError
from har_core.evaluation.calibration import negative_log_likelihood
from har_core.extras import require_training_extra
from har_core.images.decoding import read_square
from har_core.images.preprocessing import scale_pixels
from har_core.keras_io.loading import load_network
from har_core.model.bundle import manifest_after, verify_bundle, write_bundle
from har_core.model.engine import OnnxEngine
from har_core.model.manifest import (
    INT8_NOVELTY_FILE,
    INT8_ONNX_FILE,
    KERAS_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    BundleManifest,
)
from har_core.model.records import read_splits
from har_core.model.temperature import apply_temperature
from har_core.progress import Progress, silent
from har_core.storage.disk_arrays import make_disk_array
from har_core.training.answering import find_photographs, measure_novelty
from har_core.training.learning.augmentation import AugmentationSettings, prepare_pixels
from har_core.training.learning.learner import Learner
from har_core.training.learning.lesson import Lesson
from har_core.training.learning.optimization import (
    cosine_learning_rate,
    make_optimizer,
    set_trainable,
)
from har_core.training.network import PREPROCESSING
from har_core.training.preparation import STORED_SIZE
from har_core.training.quantization.graph import quantised_graph
from har_core.training.quantization.ranges import calibrate, observer
from har_core.training.quantization.twin import quantised_twin
from har_core.wording import counted

PEAK_RATE: Final = 1e-4
_CALIBRATION: Final = 128
_BATCH: Final = 32
_WARMUP: Final = 0.05
_EMA_MOMENTUM: Final = 0.99
_AUGMENTATION: Final = AugmentationSettings(min_crop_area=0.5)
# What 8 bits may cost on the validation photographs.
_WORST_TOP1: Final = -0.003
_WORST_LOSS: Final = 0.01


def quantise_bundle(
    folder: str | Path,
    dataset: str | Path,
    *,
    epochs: int = 1,
    progress: Progress = silent,
) -> BundleManifest:
    """Make ``model.int8.onnx`` of a bundle's Keras network, and store it in the bundle.

    The ranges of its 8-bit values are those of training photographs; then its weights learn to give
    the network's own probabilities in spite of the rounding (`twin`), for photographs that are
    cropped, coloured and mixed at random. No label is looked at but to compare both graphs on the
    validation photographs. The test photographs are left alone.

    Parameters
    ----------
    folder : str or Path
        Of the bundle; it is replaced in one step.
    dataset : str or Path
        Folder with the photographs that it was trained on.
    epochs : int
        Passes through the training photographs; 0 only calibrates.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    BundleManifest
        As written; ``training["int8"]`` holds the comparison: ``split``, ``n``, ``epochs``, and
        ``top1`` and ``log_loss``, the means of 8 bits less float32.

    Raises
    ------
    ModelBundleError
        If the bundle has no Keras network of known layers or records no splits, if 8 bits cost more
        than 0.3 points or 0.01 of log loss, or if it cannot be written.
    DatasetError
        If the dataset lacks the model's training or validation photographs.
    """
    require_training_extra("Making a graph of 8 bits")
    folder = Path(folder)
    manifest = verify_bundle(folder)
    splits = read_splits(folder)
    if (
        splits is None
        or not {KERAS_FILE, ONNX_FILE} <= manifest.files.keys()
        or manifest.preprocessing != PREPROCESSING
    ):
        raise ModelBundleError(
            f"The model {manifest.name!r} has no {KERAS_FILE} and {ONNX_FILE} for pixels in "
            "[-1, 1], or does not record its splits; only a model that was trained here can get "
            "8 bits."
        )
    photographs = splits.assign(path=find_photographs(splits, dataset, progress))
    photographs = photographs[photographs["path"].notna()]
    parts = {name: photographs[photographs["split"] == name] for name in ("train", "validation")}
    for name, part in parts.items():
        if part.empty:
            raise DatasetError(
                f"{dataset} holds none of the {name} photographs of {manifest.name!r}; give the "
                "folder that it was trained with."
            )
    network = load_network(folder / KERAS_FILE)
    twin = quantised_twin(network)
    size = manifest.input_size
    chosen = parts["train"].sample(min(_CALIBRATION, len(parts["train"])), random_state=0)
    pixels = np.stack([read_square(path, size) for path in chosen["path"]])
    calibrate(twin, observer(network), scale_pixels(pixels, PREPROCESSING))
    with tempfile.TemporaryDirectory() as temporary:
        if epochs:
            store = _decode(parts["train"]["path"], Path(temporary), progress)
            learn_to_round(twin, network, store, size=size, epochs=epochs, progress=progress)
        graph = Path(temporary, INT8_ONNX_FILE)
        graph.write_bytes(quantised_graph(twin, size))
        compared = _compare(manifest, folder / ONNX_FILE, graph, parts["validation"], progress)
        if compared["top1"] < _WORST_TOP1 or compared["log_loss"] > _WORST_LOSS:
            raise ModelBundleError(
                f"With 8 bits {manifest.name!r} would be right on {compared['top1']:+.2%} of the "
                f"{counted(compared['n'], 'validation photograph')}, with "
                f"{compared['log_loss']:+.4f} of log loss: too much, and nothing was "
                "changed. Give it more epochs."
            )
        made: dict[str, bytes | Path] = {INT8_ONNX_FILE: graph}
        if NOVELTY_FILE in manifest.files:
            held_out = parts["validation"]["path"].tolist()
            made |= measure_novelty((folder / NOVELTY_FILE).read_bytes(), graph, size, held_out)
        manifest = manifest_after(folder, manifest)
        record = {**manifest.training, "int8": {**compared, "epochs": epochs}}
        changed = dataclasses.replace(manifest, training=record)
        files: dict[str, bytes | Path] = {name: folder / name for name in manifest.files}
        files.pop(INT8_NOVELTY_FILE, None)  # it measured by the graph that was
        return write_bundle(folder, changed, files | made, overwrite=True)


def learn_to_round(
    twin: Any,
    network: Any,
    store: np.ndarray,
    *,
    size: int,
    epochs: int,
    progress: Progress = silent,
) -> None:
    """Train a twin to give the probabilities of the network that it was made of.

    Parameters
    ----------
    twin : keras.Model
        Calibrated; gets the moving average of its weights.
    network : keras.Model
        Its teacher, which sees the same views of the photographs.
    store : ndarray of uint8, shape (N, S, S, 3)
        Photographs.
    size : int
        Side of what both see, in pixels.
    epochs : int
    progress : callable, optional
        Called with (what is being done, done, total).
    """
    from keras import ops

    set_trainable(twin, frozen_blocks=0)
    optimizer = make_optimizer(
        twin, weight_decay=0.0, layer_decay=0.95, head_factor=1.0, ema_momentum=_EMA_MOMENTUM
    )
    learner = Learner(twin, optimizer, prepare_pixels)
    lesson = Lesson(
        np.arange(len(store)),
        batch_size=min(_BATCH, len(store)),
        seeds=(0,),
        augmentation=_AUGMENTATION,
    )
    total = epochs * lesson.steps
    for number in range(total):
        rows, draws = lesson.batch(*divmod(number, lesson.steps))
        pixels = np.asarray(store[rows])
        view = prepare_pixels(ops.convert_to_tensor(pixels), ops.convert_to_tensor(draws), size)
        opinion = network.predict_on_batch(ops.convert_to_numpy(view))
        rate = cosine_learning_rate(
            number, total=total, warmup=max(1, int(_WARMUP * total)), peak=PEAK_RATE
        )
        learner.step(pixels, draws, opinion, size, rate)
        progress("Learning to compute with 8 bits", number + 1, total)
    learner.synchronise()
    optimizer.finalize_variable_values(twin.trainable_variables)


def _decode(paths: pd.Series, folder: Path, progress: Progress) -> np.ndarray:
    store = make_disk_array(
        folder / "pixels.npy", (len(paths), STORED_SIZE, STORED_SIZE, 3), np.uint8
    )
    for row, path in enumerate(paths):
        store[row] = read_square(path, STORED_SIZE)
        progress("Reading photographs", row + 1, len(paths))
    return store


def _compare(
    manifest: BundleManifest, of_float: Path, of_int8: Path, part: pd.DataFrame, progress: Progress
) -> dict[str, Any]:
    """Return how both graphs differ on photographs."""
    labels = pd.Index(manifest.class_names).get_indexer(part["label"])
    engines = [OnnxEngine(of_float), OnnxEngine(of_int8)]
    prepare: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda pixels: scale_pixels(pixels, PREPROCESSING),
        lambda pixels: pixels,
    ]
    probabilities = np.empty((2, len(part), len(manifest.class_names)))
    for row, path in enumerate(part["path"]):
        pixels = read_square(path, manifest.input_size)[np.newaxis]
        for i, engine in enumerate(engines):
            outputs = engine.run(prepare[i](pixels))
            probabilities[i, row] = apply_temperature(outputs, manifest.temperature)[0]
        progress("Comparing with float32", row + 1, len(part))
    hits = probabilities.argmax(axis=2) == labels
    losses = [negative_log_likelihood(labels, of_graph) for of_graph in probabilities]
    return {
        "split": "validation",
        "n": len(part),
        "top1": float(np.mean(hits[1].astype(float) - hits[0])),
        "log_loss": float(np.mean(losses[1] - losses[0])),
    }
