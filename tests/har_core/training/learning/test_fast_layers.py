"""Layers that a compiler can fuse compute what Keras' own do."""

import numpy as np
import pytest

from har_core.training.learning.fast_layers import fast_layers
from har_core.training.network import training_twin


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2)])
def test_convolutions_are_the_same(padding, kernel, stride):
    import keras

    pixels = keras.Input((33, 38, 3))
    x = keras.layers.Conv2D(8, 1, name="expand")(pixels)
    x = keras.layers.DepthwiseConv2D(kernel, strides=stride, padding=padding, name="depthwise")(x)
    x = keras.layers.Conv2D(4, 3, name="whole")(x)
    network = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))
    network.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in network.weights])
    twin = training_twin(network, fused=True)
    replaced = set(fast_layers().values())
    assert {layer.name for layer in twin.layers if type(layer) in replaced} == {
        "expand",
        "depthwise",
    }
    photographs = np.random.default_rng(1).normal(size=(2, 33, 38, 3)).astype(np.float32)
    np.testing.assert_allclose(twin(photographs), network(photographs), rtol=1e-4, atol=1e-4)


def test_lstm_is_the_same():
    import keras

    cells = keras.Input((49, 6))
    network = keras.Model(cells, keras.layers.LSTM(5, name="lstm")(cells))
    network.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in network.weights])
    (layer,) = network.layers[1:]
    fast = fast_layers()[type(layer)].from_config(layer.get_config())
    sequences = np.random.default_rng(1).normal(size=(3, 49, 6)).astype(np.float32)
    fast(sequences)
    fast.set_weights(layer.get_weights())
    np.testing.assert_allclose(fast(sequences), network(sequences), atol=1e-5)
