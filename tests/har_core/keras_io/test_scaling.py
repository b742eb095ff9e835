"""Whether a network scales pixels itself is measured, whatever does it and however nested."""

from typing import Any

import numpy as np
import pytest

from har_core.images.preprocessing import PREPROCESSINGS, scale_pixels
from har_core.keras_io.scaling import InnerScaling, find_inner_scaling

SIDE = 16


def network(*front: Any) -> Any:
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            *front,
            layers.Conv2D(2, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )


def arithmetic(compute: Any) -> Any:
    import keras

    pixels = keras.Input((SIDE, SIDE, 3))
    return keras.Model(pixels, keras.layers.Conv2D(2, 3)(compute(pixels)))


def by_torch(x: Any) -> Any:
    return (x / 255.0 - np.array([0.485, 0.456, 0.406], "f4")) / np.array(
        [0.229, 0.224, 0.225], "f4"
    )


def adapted(photographs: np.ndarray) -> Any:
    import keras

    layer = keras.layers.Normalization()
    layer.adapt(photographs)
    return layer


def photographs() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (8, SIDE, SIDE, 3)).astype(np.float32)


def scaling_themselves() -> dict[str, Any]:
    import keras
    from keras import layers

    rescaling = layers.Rescaling(1 / 255)
    inner = keras.Sequential([layers.RandomFlip(), layers.Rescaling(1 / 127.5, offset=-1)])
    nested = keras.Sequential([keras.Input((SIDE, SIDE, 3)), network(layers.Rescaling(1 / 255))])
    pixels = keras.Input((SIDE, SIDE, 3))
    called = keras.Model(pixels, network(layers.Rescaling(1 / 255))(layers.RandomFlip()(pixels)))
    twice = network(layers.Rescaling(1 / 255))
    twice(keras.Input((SIDE, SIDE, 3)))  # has nodes that are not of the network around it
    called_twice = keras.Model(pixels, twice(pixels))
    varied = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)])
    scaled = keras.Sequential([layers.Resizing(12, 12), layers.Rescaling(1 / 255)])
    return {
        "Rescaling": network(rescaling),
        "augmentation, then a model with Rescaling": network(inner),
        "a model that only varies, then Rescaling": network(varied, layers.Rescaling(1 / 255)),
        "a called model that only varies, then arithmetic": arithmetic(lambda x: varied(x) / 127.5),
        "a model that only scales, then Normalization": network(
            scaled, adapted(photographs()[:, :12, :12] / 255)
        ),
        "Rescaling inside a model": nested,
        "Rescaling inside a called model": called,
        "Rescaling inside a model that is called twice": called_twice,
        "behind padding and resizing": network(
            layers.ZeroPadding2D(3), layers.Resizing(12, 12), layers.Rescaling(1 / 255)
        ),
        "Normalization of 0 to 255": network(adapted(photographs())),
        "arithmetic": arithmetic(lambda x: x / 127.5 - 1),
        "PyTorch's arithmetic": arithmetic(by_torch),
        "Caffe's arithmetic": arithmetic(
            lambda x: x[..., ::-1] - np.array([103.9, 116.8, 123.7], "f4")
        ),
        "EfficientNet": keras.applications.EfficientNetB0(
            weights=None, input_shape=(64, 64, 3), classes=3
        ),
        "MobileNetV3": keras.applications.MobileNetV3Small(
            weights=None, input_shape=(64, 64, 3), classes=3
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        "Rescaling",
        "augmentation, then a model with Rescaling",
        "a model that only varies, then Rescaling",
        "a called model that only varies, then arithmetic",
        "a model that only scales, then Normalization",
        "Rescaling inside a model",
        "Rescaling inside a called model",
        "Rescaling inside a model that is called twice",
        "behind padding and resizing",
        "Normalization of 0 to 255",
        "arithmetic",
        "PyTorch's arithmetic",
        "Caffe's arithmetic",
        "EfficientNet",
        "MobileNetV3",
    ],
)
def test_scaling_inside_a_network_is_found(name, built):
    found = find_inner_scaling(built[name], built[name].input_shape[1])
    assert found is not None
    assert found.expects == "none"
    assert found.layers


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    return scaling_themselves()


def test_what_it_makes_of_black_and_white_is_said():
    from keras import layers

    found = find_inner_scaling(network(layers.Rescaling(1 / 127.5, offset=-1)), SIDE)
    assert str(found) == "Rescaling: black becomes -1, white 1"


def test_a_stem_that_tells_nothing_apart_says_nothing_of_the_scaling():
    assert InnerScaling(("Minimum",), 1.0, 1.0).expects is None


def test_network_that_takes_pixels_as_they_come_scales_nothing():
    from keras import layers

    assert find_inner_scaling(network(), SIDE) is None
    assert find_inner_scaling(network(layers.RandomFlip(), layers.ZeroPadding2D()), SIDE) is None
    # A normalization that is learned, on whatever scale it was.
    assert find_inner_scaling(network(layers.BatchNormalization()), SIDE) is None


def test_normalization_of_pixels_that_are_scaled_before_asks_for_them():
    found = find_inner_scaling(network(adapted(photographs() / 255)), SIDE)
    assert found is not None
    assert found.expects is None


def test_network_whose_first_layer_is_dense_is_no_picture_there():
    import keras
    from keras import layers

    dense = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(2)])
    assert find_inner_scaling(dense, SIDE) is None


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_scaling_is_that_of_keras(name):
    from keras.applications import imagenet_utils

    pixels = photographs()
    if name == "none":
        expected = pixels
    elif name == "zero_to_one":
        expected = pixels / 255
    else:
        mode = {"minus_one_to_one": "tf"}.get(name, name)
        expected = imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
    scaled = scale_pixels(pixels, name)
    assert scaled.dtype == np.float32
    assert scaled == pytest.approx(expected, abs=1e-4)
    assert pixels == pytest.approx(photographs()), "the photographs were changed"
