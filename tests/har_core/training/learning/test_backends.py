"""TensorFlow, JAX and PyTorch learn alike: equal losses over ten steps from the same weights."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

PROJECT = Path(__file__).parents[4]
OTHERS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason="not installed"))
    for name in ("jax", "torch")
]
STEPS = """
import sys
import numpy as np
from functools import partial
from har_core.training.learning.augmentation import (
    AugmentationSettings, draw_augmentations, mix_targets, prepare_pixels
)
from har_core.training.learning.learner import Learner
from har_core.training.learning.optimization import make_optimizer, set_trainable
from har_core.training.network import build_network, training_twin

backbone, weights, out = sys.argv[1:]
network = build_network(3, backbone_weights=backbone, dropout=0.0)
values = np.load(weights)
network.set_weights([values[f"w{i}"] for i in range(len(values.files))])
twin = training_twin(network, fused=FUSED)
set_trainable(twin, frozen_blocks=0)
optimizer = make_optimizer(
    twin, weight_decay=0.02, layer_decay=0.9, head_factor=2.0, ema_momentum=0.9
)
learner = Learner(twin, optimizer, prepare_pixels)
rng = np.random.default_rng(0)
losses = []
for step in range(10):
    pixels = rng.integers(0, 256, (8, 256, 256, 3)).astype(np.uint8)
    draws = draw_augmentations(rng, 8, AugmentationSettings())
    targets = mix_targets(np.eye(3, dtype=np.float32)[rng.integers(0, 3, 8)], draws)
    losses.append(float(learner.step(pixels, draws, targets, 64, 1e-3)))
learner.synchronise()
last = np.asarray(twin.get_weights()[0]).ravel()[:5]
np.save(out, np.concatenate([losses, last]))
"""


def ten_losses(backend: str, folder: Path, backbone: Path, *, fused: bool = False) -> np.ndarray:
    out = folder / f"{backend}{fused}.npy"
    files = [str(backbone), str(folder / "weights.npz"), str(out)]
    steps = STEPS.replace("FUSED", str(fused))
    import keras

    if backend == keras.backend.backend():  # loaded already; another needs a process of its own
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["", *files])
            exec(steps, {})
        return np.load(out)
    subprocess.run(
        [sys.executable, "-c", steps, *files],
        check=True,
        cwd=PROJECT,
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return np.load(out)


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> tuple[Path, Path]:
    """Return a folder with the weights that all begin with, and the backbone's file."""
    from har_core.training.network import build_network
    from tests.drawing import write_small_backbone

    folder = tmp_path_factory.mktemp("backends")
    backbone = write_small_backbone(folder / "backbone.keras")
    network = build_network(3, backbone_weights=str(backbone), dropout=0.0)
    values = {f"w{i}": value for i, value in enumerate(network.get_weights())}
    np.savez(folder / "weights.npz", **values)
    return folder, backbone


@pytest.fixture(scope="module")
def expected(start) -> np.ndarray:
    losses = ten_losses("tensorflow", *start)
    assert np.ptp(losses[:10]) > 0.05  # it learns
    return losses


def test_layers_that_a_compiler_fuses_compute_what_keras_own_do(start, expected):
    np.testing.assert_allclose(ten_losses("tensorflow", *start, fused=True), expected, atol=1e-3)


@pytest.mark.parametrize("backend", OTHERS)
def test_backends_learn_alike(start, expected, backend):
    np.testing.assert_allclose(ten_losses(backend, *start), expected, atol=1e-3)
