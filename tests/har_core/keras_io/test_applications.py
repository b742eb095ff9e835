"""Networks of ``keras.applications``, written by Keras 2 and by Keras 3, are read back equal.

A normal run tries a small one of each family; all of them in their own size, which takes long, by
``pytest -n0 -m sweep tests/har_core/keras_io/test_applications.py``.
"""

import gc
import importlib
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har_core.keras_io.loading import load_network
from tests.har_core.keras_io.small_applications import SMALL, disturb, pictures

TOLERANCE = 1e-4
EXACT = 1e-9  # in float64
CLASSES = 4
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
HARD = ("ConvNeXt", "MobileNetV3")
WRITTEN = [("tf_keras", ".h5"), ("keras", ".h5"), ("keras", ".keras")]


def is_read_back_equal(build: Any, side: int, path: Path, tolerance: float = TOLERANCE) -> None:
    network = build(
        weights=None, input_shape=(side, side, 3), classes=CLASSES, classifier_activation=None
    )
    pixels = pictures(side, network.compute_dtype)
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


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_small_network_of_each_family_is_read_back_equal(suffix, name, tmp_path):
    place, build = SMALL[name]
    module = importlib.import_module(f"keras.src.applications.{place}")
    is_read_back_equal(partial(build, module), 64, tmp_path / f"network{suffix}")


@pytest.mark.parametrize("name", SMALL)
def test_small_network_of_each_family_of_keras_2_gives_equal_outputs(name, keras_2_files):
    outputs = load_network(keras_2_files / f"{name}.h5")(pictures(64, "float32"), training=False)
    expected = np.load(keras_2_files / f"{name}.npy")
    assert np.abs(np.asarray(outputs) - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.fixture
def _in_float64() -> Iterator[None]:
    """Compute in float64, where no rounding hides what is equal and what is not.

    Keras 2 and Keras 3 round differently in float32, and the many layers of the large networks make
    more of that, at random above 1e-4.
    """
    packages = [pytest.importorskip(name) for name in ("keras", "tf_keras")]
    for package in packages:
        package.backend.set_floatx("float64")
    yield
    for package in packages:
        package.backend.set_floatx("float32")


@pytest.mark.sweep
@pytest.mark.usefixtures("only_in_a_sweep", "_in_float64")
@pytest.mark.parametrize("name", [*BOTH, *KERAS_2_ONLY])
@pytest.mark.parametrize(("package", "suffix"), WRITTEN)
def test_network_is_read_back_equal(package, suffix, name, tmp_path):
    if package == "keras" and name in KERAS_2_ONLY:
        pytest.skip("Keras 3 has no such network")
    function = getattr(pytest.importorskip(package).applications, name)
    side = SMALLEST_SIDE.get(name, 64)
    is_read_back_equal(function, side, tmp_path / f"network{suffix}", EXACT)
