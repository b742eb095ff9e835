"""Networks of ``keras.applications``, written by Keras 2 and by Keras 3, are read back equal.

A normal run tries a small one of each family; all of them in their own size, which takes long, by
``pytest -n0 -m sweep tests/har_core/keras_io/test_applications.py``.
"""

import gc
import importlib
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har_core.keras_io.loading import load_network

TOLERANCE = 1e-4
EXACT = 1e-9  # in float64
CLASSES = 4
PICTURES = 4
EFFICIENT_BLOCKS = [
    {"kernel_size": 3, "filters_in": 32, "filters_out": 16, "expand_ratio": 1, "strides": 1},
    {"kernel_size": 5, "filters_in": 16, "filters_out": 16, "expand_ratio": 6, "strides": 1},
]


def mobilenet_v3(module: Any, **options: Any) -> Any:
    """Return one with a block of either activation, the second of which is added to the first."""

    def blocks(x: Any, kernel: int, activation: Any, se_ratio: float) -> Any:
        x = module._inverted_res_block(x, 1, 8, 3, 2, se_ratio, module.relu, 0)
        return module._inverted_res_block(x, 3, 8, kernel, 1, se_ratio, activation, 1)

    return module.MobileNetV3(blocks, 32, alpha=0.25, model_type="small", **options)


def efficientnet(module: Any, **options: Any) -> Any:
    same = {"repeats": 1, "id_skip": True, "se_ratio": 0.25}
    blocks = [{**block, **same} for block in EFFICIENT_BLOCKS]
    return module.EfficientNet(0.25, 1.0, 64, blocks_args=blocks, **options)


def nasnet(module: Any, input_shape: Any, classes: int, **_: Any) -> Any:
    """Return one of a cell that makes the picture smaller and one that does not."""
    layers = module.layers
    pixels = layers.Input(input_shape)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem_conv1")(pixels)
    x = layers.BatchNormalization(name="stem_bn1")(x)
    x, before = module._reduction_a_cell(x, None, 4, block_id="stem_1")
    x, _ = module._normal_a_cell(x, before, 8, block_id="0")
    x = layers.GlobalAveragePooling2D()(layers.Activation("relu")(x))
    return module.training.Model(pixels, layers.Dense(classes, name="predictions")(x))


# The functions behind the networks' names, with few and narrow blocks. Of MobileNetV2 there is a
# whole one in `test_legacy_h5`.
SMALL: dict[str, tuple[str, Callable[..., Any]]] = {
    "ConvNeXt": (
        "convnext",
        lambda module, **options: module.ConvNeXt([1] * 4, [8, 12, 16, 24], **options),
    ),
    "DenseNet": ("densenet", lambda module, **options: module.DenseNet([1] * 4, **options)),
    "EfficientNet": ("efficientnet", efficientnet),
    "NASNet": ("nasnet", nasnet),
    "MobileNet": (
        "mobilenet",
        lambda module, **options: module.MobileNet(alpha=0.25, **options),
    ),
    "MobileNetV3": ("mobilenet_v3", mobilenet_v3),
}
# The others hold nothing that these do not, but there are many.
KERAS_2_ONLY = [
    *(f"RegNet{kind}{size}" for kind in "XY" for size in ("002", "004", "006", "008", "016")),
    *(f"RegNet{kind}{size}" for kind in "XY" for size in ("032", "040", "064", "080", "120")),
    *(f"RegNet{kind}{size}" for kind in "XY" for size in ("160", "320")),
    *(f"ResNetRS{size}" for size in (50, 101, 152, 200, 270, 350, 420)),
]
BOTH = [
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    *(f"DenseNet{size}" for size in (121, 169, 201)),
    *(f"EfficientNetB{size}" for size in range(8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *("InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2"),
    *("MobileNetV3Large", "MobileNetV3Small", "NASNetLarge", "NASNetMobile"),
    *(f"ResNet{depth}{version}" for depth in (50, 101, 152) for version in ("", "V2")),
    *("VGG16", "VGG19", "Xception"),
]
SMALLEST_SIDE = {"InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71}
# Keras 3 reads what it wrote itself, but for a layer of its own and arithmetic in its .h5 files.
HARD = {"keras": ("ConvNeXt", "MobileNetV3")}
PLACES = {"tf_keras": "tf_keras.src.applications", "keras": "keras.src.applications"}
WRITTEN = [("tf_keras", ".h5"), ("keras", ".h5"), ("keras", ".keras")]


def disturb(network: Any, pixels: np.ndarray) -> None:
    """Give every weight another value, so that no two can be mistaken for each other unseen."""
    rng = np.random.default_rng(0)
    for layer in network._flatten_layers():
        values = []
        for value in layer.get_weights() if not list(layer._flatten_layers())[1:] else []:
            if np.issubdtype(value.dtype, np.floating):
                if np.abs(value).max() < 1e-3:  # zeros, and the scales of ConvNeXt
                    value = value + rng.normal(0, 0.1, value.shape)
                value = value * rng.uniform(0.7, 1.3, value.shape)
            values.append(value)
        if values:
            layer.set_weights(values)
        # Keras 3 rounds these constants to float32, which deep networks would make much of.
        for name in ("mean", "variance") if getattr(layer, "input_mean", None) is not None else ():
            rounded = np.asarray(getattr(layer, name), np.float32)
            setattr(layer, name, rounded.astype(layer.compute_dtype))
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
        if hasattr(layer, "momentum"):
            layer.momentum = 0.0
    # The moving averages become these pictures' own, or deep networks would not tell them apart.
    network(pixels, training=True)


def is_read_back_equal(build: Any, side: int, path: Path, tolerance: float = TOLERANCE) -> None:
    network = build(
        weights=None, input_shape=(side, side, 3), classes=CLASSES, classifier_activation=None
    )
    rng = np.random.default_rng(1)
    pixels = rng.uniform(0, 255, (PICTURES, 1, 1, 3)) + rng.normal(0, 40, (PICTURES, side, side, 3))
    pixels = np.clip(pixels, 0, 255).astype(network.compute_dtype)
    disturb(network, pixels)
    expected = np.asarray(network(pixels, training=False))
    scale = np.abs(expected).max()
    assert np.isfinite(scale)
    assert np.ptp(expected, axis=0).max() > 10 * TOLERANCE * scale, (
        "the pictures must be told apart"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the format is old
        network.save(path)
    del network
    gc.collect()  # some have a gigabyte of weights
    outputs = np.asarray(load_network(path)(pixels, training=False))
    path.unlink()
    assert outputs.dtype == expected.dtype
    assert np.abs(outputs - expected).max() <= tolerance * max(scale, 1)


@pytest.mark.parametrize(
    ("package", "suffix", "name"),
    [
        (*written, name)
        for written in WRITTEN
        for name in SMALL
        if name in HARD.get(written[0], SMALL)
    ],
)
def test_small_network_of_each_family_is_read_back_equal(package, suffix, name, tmp_path):
    pytest.importorskip(package)
    place, build = SMALL[name]
    module = importlib.import_module(f"{PLACES[package]}.{place}")
    is_read_back_equal(partial(build, module), 64, tmp_path / f"network{suffix}")


@pytest.fixture
def _in_float64() -> Iterator[None]:
    """Compute in float64, where no rounding hides what is equal and what is not.

    Keras 2 and Keras 3 round differently in float32, and the many layers of the large networks make
    more of that, at random above 1e-4.
    """
    packages = [pytest.importorskip(name) for name in PLACES]
    for package in packages:
        package.backend.set_floatx("float64")
    yield
    for package in packages:
        package.backend.set_floatx("float32")


@pytest.fixture
def _only_in_a_sweep(request: pytest.FixtureRequest) -> None:
    if "sweep" not in (request.config.getoption("markexpr") or ""):
        pytest.skip("a small one of each family is enough; all of them: -m sweep")


@pytest.mark.sweep
@pytest.mark.usefixtures("_only_in_a_sweep", "_in_float64")
@pytest.mark.parametrize("name", [*BOTH, *KERAS_2_ONLY])
@pytest.mark.parametrize(("package", "suffix"), WRITTEN)
def test_network_is_read_back_equal(package, suffix, name, tmp_path):
    if package == "keras" and name in KERAS_2_ONLY:
        pytest.skip("Keras 3 has no such network")
    function = getattr(pytest.importorskip(package).applications, name)
    side = SMALLEST_SIDE.get(name, 64)
    is_read_back_equal(function, side, tmp_path / f"network{suffix}", EXACT)
