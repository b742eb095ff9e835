"""Earlier models that a training builds on, and what they must not have seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har_core import bundle
from har_core.errors import ModelBundleError
from har_core.keras_files import load_network
from har_core.model import find_model
from har_core.network import resize_input
from har_core.preparation import PreparedDataset
from har_core.preprocessing import scale_pixels


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

    Raises
    ------
    ModelBundleError
        If a teacher cannot be loaded, knows other classes, or was trained on photographs that
        are held out now.
    """

    def __init__(self, names: Sequence[str], prepared: PreparedDataset) -> None:
        self._teachers = []
        self._networks: dict[int, list[Any]] = {}
        for name in names:
            folder = find_model(name)
            manifest = bundle.read_manifest(folder)
            if manifest.class_names != prepared.class_names:
                raise ModelBundleError(
                    f"The teacher {name!r} tells other classes apart than the dataset's: "
                    f"{', '.join(manifest.class_names)}."
                )
            check_held_out(folder, prepared)
            network = load_network(folder / bundle.KERAS_FILE)
            self._teachers.append((network, manifest.preprocessing))

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the teachers' mean probabilities, float32 (N, C), of pixels in [0, 255]."""
        size = pixels.shape[1]
        if size not in self._networks:
            self._networks[size] = [resize_input(network, size) for network, _ in self._teachers]
        opinions = [
            network.predict_on_batch(scale_pixels(pixels, preprocessing))
            for network, (_, preprocessing) in zip(
                self._networks[size], self._teachers, strict=True
            )
        ]
        return np.mean(opinions, axis=0)


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
    if not (folder / bundle.SPLITS_FILE).is_file():
        return
    splits = pd.read_parquet(folder / bundle.SPLITS_FILE, columns=["split", "sha256"])
    seen = splits.loc[splits["split"] == "train", "sha256"]
    held_out = prepared.table.loc[prepared.table["split"] != "train", "sha256"]
    n_leaking = int(held_out.isin(seen).sum())
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
        path = folder / bundle.CROSS_VALIDATED_FILE
        if path.is_file():
            judged = pd.read_parquet(path, columns=columns)
            if judged.sort_values(columns, ignore_index=True).equals(wanted):
                return path.read_bytes()
    return None
