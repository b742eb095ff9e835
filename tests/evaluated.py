"""Bundles that carry predictions and splits, as a training run leaves them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har_core.model import bundle
from har_core.model.class_indices import format_class_indices
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    ONNX_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    BundleManifest,
)
from tests.drawing import colour_network

HAR_CLASSES = (
    "calling",
    "clapping",
    "cycling",
    "dancing",
    "drinking",
    "eating",
    "fighting",
    "hugging",
    "laughing",
    "listening_to_music",
    "running",
    "sitting",
    "sleeping",
    "texting",
    "using_laptop",
)


def draw_predictions(
    labels: np.ndarray, n_classes: int, *, seed: int = 0, skill: float = 2.4
) -> np.ndarray:
    """Draw overconfident probabilities that mostly favour the label, or a class close to it."""
    rng = np.random.default_rng(seed)
    kinship = np.random.default_rng(99).normal(size=(n_classes, 4))
    logits = rng.normal(size=(len(labels), n_classes)) + 0.35 * (kinship @ kinship.T)[labels]
    logits[np.arange(len(labels)), labels] += skill
    odds = np.exp(1.6 * logits)
    return odds / odds.sum(axis=1, keepdims=True)


def write_evaluated_bundle(
    models_folder: Path,
    photographs: pd.DataFrame,
    class_names: tuple[str, ...] = HAR_CLASSES,
    *,
    name: str = "drawn",
    seed: int = 0,
    probabilities: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    **fields: Any,
) -> BundleManifest:
    """Write a bundle with predictions.parquet and splits.parquet.

    Parameters
    ----------
    photographs : DataFrame
        ``filename``, ``label`` and ``split``; also ``path`` and ``duplicate_group`` if known.
    probabilities : ndarray, shape (number of validation and test rows, C), optional
        At temperature 1, in the table's order; default: drawn at random around the labels.
    weights : ndarray of float32, shape (3, C), optional
        Of the network, see `colour_network`; default: random.
    """
    rng = np.random.default_rng(seed)
    table = photographs.reset_index(drop=True)
    if "duplicate_group" not in table:
        table["duplicate_group"] = np.arange(len(table))
    table["sha256"] = [
        hashlib.sha256(Path(p).read_bytes() if p else f.encode()).hexdigest()
        for f, p in zip(table["filename"], table.get("path", [None] * len(table)), strict=True)
    ]
    held_out = table[table["split"] != "train"].reset_index(drop=True)
    if probabilities is None:
        labels = pd.Index(class_names).get_indexer(held_out["label"])
        probabilities = draw_predictions(labels, len(class_names), seed=seed)
    predictions = held_out[["filename", "label", "split"]].copy()
    predictions[list(class_names)] = probabilities.astype(np.float32)
    if weights is None:
        weights = rng.normal(size=(3, len(class_names))).astype(np.float32)
    manifest = BundleManifest(
        name=name,
        architecture="mean colour → softmax",
        input_size=224,
        preprocessing="minus_one_to_one",
        class_names=class_names,
        **fields,
    )
    splits = table[["filename", "label", "split", "duplicate_group", "sha256"]]
    files = {
        ONNX_FILE: colour_network(weights),
        CLASS_INDICES_FILE: format_class_indices(class_names).encode(),
        SPLITS_FILE: splits.to_parquet(index=False),
        PREDICTIONS_FILE: predictions.to_parquet(index=False),
    }
    return bundle.write_bundle(models_folder / name, manifest, files)


def draw_table(n: int, class_names: tuple[str, ...] = HAR_CLASSES, seed: int = 0) -> pd.DataFrame:
    """Return filenames, labels and splits of photographs that do not exist."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "filename": [f"Image_{i}.jpg" for i in range(1, n + 1)],
            "label": rng.choice(class_names, n),
            "split": rng.choice(["train", "validation", "test"], n, p=[0.5, 0.2, 0.3]),
        }
    )
