"""Earlier models that a training builds on, and what they must not have seen."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from har_core.errors import ModelBundleError, some_of
from har_core.images.preprocessing import Preprocessing, scale_pixels
from har_core.keras_io.loading import load_network
from har_core.model import bundle
from har_core.model.engine import OnnxEngine
from har_core.model.loading import find_model
from har_core.model.manifest import (
    CROSS_VALIDATED_FILE,
    KERAS_FILE,
    ONNX_FILE,
    SPLITS_FILE,
    BundleManifest,
)
from har_core.model.records import read_parquet, read_splits, were_seen
from har_core.storage.paths import is_file
from har_core.training.network import resize_input
from har_core.training.preparation import PreparedDataset

_ForwardPass = Callable[[np.ndarray], np.ndarray]


class Teachers:
    """Models whose mean opinion a new network learns from (knowledge distillation).

    The soft targets tell which classes a photograph resembles, which a single label does not
    (Hinton et al. 2015, arXiv:1503.02531); teacher and student see the same augmented pixels
    (Beyer et al. 2022, arXiv:2106.05237).

    Parameters
    ----------
    names : sequence of str
        Names or paths of bundles.
    prepared : PreparedDataset
        What the student is trained on.
    sizes : collection of int
        Sides, in pixels, of the photographs that they will judge.

    Raises
    ------
    ModelBundleError
        If a teacher cannot be loaded, knows other classes, cannot take photographs of one of the
        sizes, or was trained on photographs that are held out now.
    """

    def __init__(
        self, names: Sequence[str], prepared: PreparedDataset, sizes: Collection[int]
    ) -> None:
        self._teachers: list[tuple[dict[int, _ForwardPass], Preprocessing]] = []
        for name in names:
            folder = find_model(name)
            manifest = bundle.verify_bundle(folder)
            if manifest.class_names != prepared.class_names:
                raise ModelBundleError(
                    f"The teacher {name!r} tells other classes apart than the dataset's: "
                    f"{some_of(manifest.class_names, 20)}."
                )
            check_held_out(folder, prepared)
            passes = _forward_passes(folder, manifest, sizes, name)
            self._teachers.append((passes, manifest.preprocessing))

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the teachers' mean probabilities, float32 (N, C), of pixels in [0, 255]."""
        opinions = [
            passes[pixels.shape[1]](scale_pixels(pixels, preprocessing))
            for passes, preprocessing in self._teachers
        ]
        return np.mean(opinions, axis=0)


def _forward_passes(
    folder: Path, manifest: BundleManifest, sizes: Collection[int], name: str
) -> dict[int, _ForwardPass]:
    """Return what answers at each size: the ONNX graph, the faster one, at the size it has."""
    passes: dict[int, _ForwardPass] = {}
    remaining = set(sizes)
    if manifest.input_size in remaining and ONNX_FILE in manifest.files:
        engine = OnnxEngine(folder / ONNX_FILE)
        passes[manifest.input_size] = partial(_run_in_batches, engine)
        remaining.remove(manifest.input_size)
    if remaining:
        network = load_network(folder / KERAS_FILE)
        passes |= {size: _resized(network, size, name).predict_on_batch for size in remaining}
    return passes


def _run_in_batches(engine: OnnxEngine, pixels: np.ndarray) -> np.ndarray:
    starts = range(0, len(pixels), engine.batch_size)
    return np.concatenate([engine.run(pixels[i : i + engine.batch_size]) for i in starts])


def _resized(network: Any, size: int, name: str) -> Any:
    try:
        return resize_input(network, size)
    except Exception as error:  # Keras raises whatever a layer meets
        raise ModelBundleError(
            f"The teacher {name!r} cannot take photographs of {size} pixels: its head is made for "
            "another size. A network that ends in pooling or the LSTM can."
        ) from error


def bundle_of_weights(weights: str) -> Path | None:
    """Return the bundle that a setting ``backbone_weights`` points into, or None."""
    path = Path(weights)
    if weights in ("imagenet", "random") or not is_file(path.parent / SPLITS_FILE):
        return None
    return path.parent


def check_held_out(folder: Path, prepared: PreparedDataset) -> None:
    """Refuse a bundle that was trained on photographs of the validation or test split.

    Parameters
    ----------
    folder : Path
        The bundle. One without a record of its splits passes: nothing is known of it.
    prepared : PreparedDataset
        With the split of the new training.

    Raises
    ------
    ModelBundleError
        With the number of such photographs; the metrics of a network that builds on that
        bundle would be too good.
    """
    splits = read_splits(folder)
    if splits is None:
        return
    is_held_out = prepared.table["split"].isin(["validation", "test"])
    held_out = prepared.table.loc[is_held_out, "sha256"]
    n_leaking = int(were_seen(held_out, splits, ["train"]).sum())
    if n_leaking:
        raise ModelBundleError(
            f"{folder} was trained on {n_leaking} of the {len(held_out)} photographs that are held "
            "out for validation and test now; use the same --seed and table as for that model."
        )


def find_cross_validation(folders: Sequence[Path], prepared: PreparedDataset) -> bytes | None:
    """Return the first record of cross-validated probabilities of just these photographs.

    Parameters
    ----------
    folders : sequence of Path
        Bundles.
    prepared : PreparedDataset
        What the record must be of: the same contents under the same labels.

    Returns
    -------
    bytes or None
        A bundle's ``evaluation/cross_validated.parquet``.
    """
    columns = ["sha256", "label"]
    wanted = prepared.table[columns].sort_values(columns, ignore_index=True)
    for folder in folders:
        path = folder / CROSS_VALIDATED_FILE
        if is_file(path):
            judged = read_parquet(path, columns)
            if judged.sort_values(columns, ignore_index=True).equals(wanted):
                return path.read_bytes()
    return None
