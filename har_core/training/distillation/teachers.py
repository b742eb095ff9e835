"""Teachers: networks whose mean opinion of what the student sees is what the student learns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from har_core.errors import ModelBundleError, some_of
from har_core.images.preprocessing import scale_pixels
from har_core.keras_io.loading import load_network
from har_core.model import bundle
from har_core.model.loading import find_model
from har_core.model.manifest import KERAS_FILE
from har_core.model.records import read_splits
from har_core.storage.disk_arrays import make_disk_array
from har_core.storage.paths import exists
from har_core.training.ancestry import check_held_out
from har_core.training.learning.augmentation import augment
from har_core.training.network import PREPROCESSING, training_twin
from har_core.training.preparation import PreparedDataset
from har_core.training.run_folder import NETWORK_FILE, RunFolder


class Teachers:
    """Networks whose mean opinion a new one learns from (knowledge distillation).

    The soft targets tell which classes a photograph resembles, which a single label does not
    (Hinton et al. 2015, arXiv:1503.02531); teacher and student see the same crop, colours and
    mixture (Beyer et al. 2022, arXiv:2106.05237), each at the size that it was made for.

    Parameters
    ----------
    names : sequence of str
        Names or paths of bundles, or folders of runs that ended with a network.
    prepared : PreparedDataset
        What the student is trained on.

    Raises
    ------
    ModelBundleError
        If a teacher cannot be loaded, knows other classes or scaling, or was trained on
        photographs that are held out now.
    """

    def __init__(self, names: Sequence[str], prepared: PreparedDataset) -> None:
        self._networks: list[tuple[Any, int]] = []
        for name in names:
            path, size = _network_of(name, prepared.class_names)
            check_held_out(path.parent, prepared)
            network = load_network(path)
            if network.output_shape[-1] != len(prepared.class_names):
                raise ModelBundleError(f"The teacher {name!r} tells other classes apart.")
            if network.input_shape[1] != size:  # a run's, which learned from another size
                network = training_twin(network)
            self._networks.append((network, size))

    def probabilities(self, pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Return the mean probabilities, float32 (N, C), of augmented photographs.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (N, S, S, 3)
        draws : ndarray of float32
            See `har_core.training.learning.augmentation.draw_augmentations`.
        """
        from keras import ops

        opinions = []
        for network, size in self._networks:
            changed = augment(ops.convert_to_tensor(pixels), ops.convert_to_tensor(draws), size)
            scaled = scale_pixels(ops.convert_to_numpy(changed), PREPROCESSING)
            opinions.append(np.asarray(network.predict_on_batch(scaled)))
        return np.stack(opinions).mean(axis=0, dtype=np.float32)


class Opinions:
    """The teachers' opinions of all views, each computed once and kept on disk.

    A student that goes through the same views again and again costs no more than itself.

    Parameters
    ----------
    teachers : Teachers
    path : Path
        File of float16, 2 bytes for each view, photograph and class; an existing one is continued.
    shape : tuple of int
        Views, batches, photographs in a batch, classes.
    """

    def __init__(self, teachers: Teachers, path: Path, shape: tuple[int, int, int, int]) -> None:
        self._teachers = teachers
        kept = np.load(path, mmap_mode="r+") if exists(path) else None
        if kept is None or kept.shape != shape:
            kept = make_disk_array(path, shape, np.float16)
        self._kept = kept

    def of(self, view: int, step: int, pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Return the opinions, float32 (N, C), of one batch of a view."""
        row = self._kept[view, step]
        if not (row.sum(axis=1) > 0.5).all():  # zeros, where nothing has been written
            row[:] = self._teachers.probabilities(pixels, draws)
        return np.asarray(row, np.float32)


def teacher_folder(name: str) -> Path:
    """Return where a teacher lies: a bundle, or a run that ended with a network."""
    run = RunFolder(name)
    return run.path if run.has_network else find_model(name)


def _network_of(name: str, class_names: tuple[str, ...]) -> tuple[Path, int]:
    """Return a teacher's Keras file and the size of the photographs that it learned from."""
    run = RunFolder(name)
    if run.has_network:
        splits = read_splits(run.path)
        if splits is not None:
            _check_classes(name, sorted(set(splits["label"]) - {""}), class_names)
        settings = (run.read_settings() or {}).get("settings", {})
        return run.path / NETWORK_FILE, int(settings["size"])
    folder = find_model(name)
    manifest = bundle.verify_bundle(folder)
    _check_classes(name, manifest.class_names, class_names)
    if KERAS_FILE not in manifest.files or manifest.preprocessing != PREPROCESSING:
        raise ModelBundleError(
            f"The teacher {name!r} has no {KERAS_FILE}, or another scaling than [-1, 1]."
        )
    return folder / KERAS_FILE, manifest.input_size


def _check_classes(name: str, found: Sequence[str], class_names: tuple[str, ...]) -> None:
    if tuple(found) != class_names:
        raise ModelBundleError(
            f"The teacher {name!r} tells other classes apart than the dataset's: "
            f"{some_of(found, 20)}."
        )
