"""Arithmetic between the layers of a Keras 2 file is computed by Keras 3 as TensorFlow did."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.keras_io.legacy_ops import operation_named
from har_core.keras_io.loading import load_network


class Late:
    """A module that is imported once it is used: each worker collects tests, few need it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # which pytest asks of whatever it finds
            raise AttributeError(name)
        return getattr(import_module(self._name), name)


k2, tf = Late("tf_keras"), Late("tensorflow")
pytestmark = pytest.mark.skipif(find_spec("tf_keras") is None, reason="needs tf_keras")
SIDE = 8


def expressions() -> dict[str, Callable[[Any], Any]]:
    return {
        "operators": lambda x: 1 - (2 * x + 1) / 3 - x / (abs(x) + 2) + -(x**2),
        "constants of a channel": lambda x: (x - np.array([1.0, 2, 3], "f4")) * [0.5, 1.0, 2.0],
        "constant first": lambda x: tf.maximum(0.5, x) - tf.minimum(x, 0.2) + 9 / (x + 400),
        "slices": lambda x: tf.concat([x[..., ::-1], x[:, :, :, 0:1], x[..., 1:]], -1),
        "slice of one": lambda x: tf.expand_dims(x[:, :, :, 0], -1) + x,
        "caffe": lambda x: k2.applications.resnet50.preprocess_input(x),
        "torch": lambda x: k2.applications.densenet.preprocess_input(x),
        "minus one to one": lambda x: k2.applications.mobilenet_v2.preprocess_input(x),
        "hard swish": lambda x: x * tf.nn.relu6(x + 3) / 6,
        "keras activations": lambda x: k2.activations.swish(x) + k2.activations.relu(x),
        "hard sigmoid": lambda x: k2.activations.hard_sigmoid(x),
        "sigmoid, tanh, gelu": lambda x: tf.sigmoid(x) * tf.tanh(x) + tf.nn.gelu(x / 99),
        "leaky": lambda x: tf.nn.leaky_relu(x - 100, 0.1) + tf.nn.softmax(x),
        "roots": lambda x: (
            tf.sqrt(x + 1) + tf.math.rsqrt(x + 1) + tf.math.log(x + 1) + tf.square(x)
        ),
        "means": lambda x: x - tf.reduce_mean(x, [1, 2], keepdims=True),
        "backend": lambda x: (
            k2.backend.mean(x, axis=-1, keepdims=True)
            + k2.backend.max(x, axis=[1, 2])[:, None, None, :]
        ),
        "standardised": lambda x: tf.image.per_image_standardization(x),
        "normalised": lambda x: tf.math.l2_normalize(x, -1),
        "resized": lambda x: tf.image.resize(x, (5, 4)),
        "resized, nearest": lambda x: tf.image.resize(x, (4, 4), method="nearest"),
        "reshaped": lambda x: tf.transpose(tf.reshape(x, [-1, 4, 16, 3]), [0, 2, 1, 3]),
        "computed shape": lambda x: tf.reshape(x, [tf.shape(x)[0], -1, 3])[:, :, None],
        "computed sides": lambda x: tf.reshape(x, [-1, tf.shape(x)[1] * tf.shape(x)[2], 3]),
        "stacked shape": lambda x: tf.reshape(
            x, tf.stack([tf.cast(tf.shape(x)[0], "int32"), 64, 3])
        ),
        "twice its sides": lambda x: tf.image.resize(x, 2 * tf.shape(x)[1:3]),
        "divided by its sides": lambda x: x / tf.cast(tf.shape(x)[1:], "float32"),
        "clipped, cast": lambda x: tf.clip_by_value(tf.cast(x, "float32"), 0.1, 50),
        "split, stacked": lambda x: tf.reduce_sum(tf.stack(tf.split(x, 3, axis=-1)[1:], 1), 1),
        "softmax, no axis named": lambda x: tf.nn.softmax(x / 99, axis=None),
        "split with a rest": lambda x: tf.split(x, [-1, 2], axis=-1)[0],
        "uneven split": lambda x: tf.split(x, [1, 2], axis=-1)[1],
        "squeezed": lambda x: tf.squeeze(tf.expand_dims(x, 1), 1),
        "padded": lambda x: tf.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]]),
        "where": lambda x: tf.where(x > 100, x, 0.1 * x),
        "flipped, tiled": lambda x: tf.tile(tf.reverse(x, [-1]), [1, 1, 1, 2]),
        "sum of many": lambda x: tf.add_n([x, x, tf.identity(x)]),
    }


@pytest.mark.parametrize("name", list(expressions()))
def test_arithmetic_gives_equal_outputs(name, tmp_path):
    pixels = k2.Input((SIDE, SIDE, 3))
    network = k2.Model(pixels, expressions()[name](pixels))
    network.save(tmp_path / "old.h5")
    photographs = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("f4")
    expected = np.asarray(network(photographs, training=False))
    read = load_network(tmp_path / "old.h5")
    assert np.asarray(read(photographs)) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    # The bundle holds it in Keras 3's own format.
    read.save(tmp_path / "new.keras")
    again = load_network(tmp_path / "new.keras")
    assert np.asarray(again(photographs)) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_operation_that_is_not_listed_is_refused_by_name(tmp_path):
    import tensorflow as tf

    pixels = k2.Input((SIDE, SIDE, 3))
    k2.Model(pixels, tf.image.adjust_hue(pixels, 0.1)).save(tmp_path / "old.h5")
    with pytest.raises(ModelBundleError, match=r"TensorFlow operation 'image\.adjust_hue'"):
        load_network(tmp_path / "old.h5")


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda x: x / tf.cast(tf.shape(x)[0], "float32"), "arithmetic with the number of pict"),
        (lambda x: tf.nn.dropout(x, 0.5), r"TensorFlow operation 'nn\.dropout'"),
    ],
)
def test_operation_whose_result_depends_on_other_pictures_or_chance_is_refused(
    compute, message, tmp_path
):
    pixels = k2.Input((SIDE, SIDE, 3))
    k2.Model(pixels, compute(pixels)).save(tmp_path / "old.h5")
    with pytest.raises(ModelBundleError, match=message):
        load_network(tmp_path / "old.h5")


@pytest.mark.parametrize(
    "function",
    ["io.read_file", "io.write_file", "py_function", "numpy_function", "load_op_library"],
)
def test_operation_with_side_effects_is_never_found(function):
    assert operation_named(function) is None
    assert operation_named(f"compat.v1.{function}") is None


@pytest.mark.parametrize("function", [None, 3, ["math.add"], {"class_name": "Lambda"}])
def test_operation_whose_name_is_no_text_is_not_found(function):
    assert operation_named(function) is None
