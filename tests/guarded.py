"""A bundle that tells foreign pictures from drawn photographs, and abstains when it is unsure."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
from PIL import Image

from har_core.keras_io.feature_outputs import POOLED_OUTPUTS, Features, add_feature_outputs
from har_core.model import bundle
from har_core.model.answers import AnswerRules
from har_core.model.class_indices import format_class_indices
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    SPLITS_FILE,
    BundleManifest,
)
from har_core.model.novelty.detector import fit_novelty
from tests.drawing import CLASS_NAMES, conv_network, draw_photo, encode, photo_bytes

USUAL = AnswerRules(abstain_below=0.5, set_threshold=0.2, n=100)
TRAINING, VALIDATION = 20, 16  # of each class


def checkerboard() -> bytes:
    """Draw a picture that is like none of the drawn photographs."""
    tiles = np.kron(np.indices((14, 14)).sum(axis=0) % 2, np.ones((16, 16)))
    return encode(Image.fromarray((255 * tiles).astype(np.uint8)), "PNG")


@functools.cache
def _fitted() -> dict[str, bytes]:
    """Return the files of such a bundle; what makes them takes half a second."""
    graph = add_feature_outputs(conv_network())
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])

    def features(label: str, seed: int) -> list[np.ndarray]:
        photo = draw_photo(label, seed).resize((224, 224), Image.Resampling.BILINEAR)
        pixels = np.asarray(photo, np.float32)[np.newaxis] / 127.5 - 1
        return session.run(list(POOLED_OUTPUTS), {"pixels": pixels})

    seeds = range(TRAINING + VALIDATION)
    drawn = [(label, seed) for seed in seeds for label in CLASS_NAMES]
    found = Features(*map(np.concatenate, zip(*(features(*d) for d in drawn), strict=True)))
    n = TRAINING * len(CLASS_NAMES)
    training, held_out = found.take(slice(n)), found.take(slice(n, None))
    detector = fit_novelty(training, np.arange(n), held_out, "validation")
    assert detector is not None
    splits = pd.DataFrame(
        {
            "filename": [f"{label}_{seed}.jpg" for label, seed in drawn],
            "label": [label for label, _ in drawn],
            "split": ["train"] * n + ["validation"] * (len(drawn) - n),
            "duplicate_group": np.arange(len(drawn)),
            "sha256": [hashlib.sha256(photo_bytes(*d)).hexdigest() for d in drawn],
        }
    )
    return {
        ONNX_FILE: graph,
        NOVELTY_FILE: detector.to_bytes(),
        CLASS_INDICES_FILE: format_class_indices(CLASS_NAMES).encode(),
        SPLITS_FILE: splits.to_parquet(index=False),
    }


def write_guarded_bundle(
    models_folder: Path,
    name: str = "guarded",
    rules: AnswerRules = USUAL,
) -> BundleManifest:
    """Write a bundle that was fitted on the photographs that `write_dataset` draws.

    Its splits call the first 20 of each class training photographs, the next 16 validation ones.
    """
    manifest = BundleManifest(
        name=name,
        architecture="two convolutions",
        input_size=224,
        preprocessing="minus_one_to_one",
        class_names=CLASS_NAMES,
        answers=rules.to_dict(),
    )
    return bundle.write_bundle(models_folder / name, manifest, _fitted())
