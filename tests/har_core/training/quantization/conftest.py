"""A network to be computed with 8 bits."""

import numpy as np
import pytest

from har_core.training.quantization.ranges import calibrate, observer
from har_core.training.quantization.twin import quantised_twin

SIZE = 32


@pytest.fixture(scope="session")
def network():
    """MobileNetV2 in small: stem, a narrowing block with its padding apart, one with a shortcut."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    normalise = dict.fromkeys(("block_1_project", "block_2_project", "block_3_project"), False)

    def then(x, layer):
        x = layers.BatchNormalization(name=f"{layer.name}_bn")(layer(x))
        rectified = normalise.get(layer.name, True)
        return layers.ReLU(6.0, name=f"{layer.name}_relu")(x) if rectified else x

    def pointwise(name, channels):
        return layers.Conv2D(channels, 1, use_bias=False, name=name)

    pixels = keras.Input((SIZE, SIZE, 3))
    x = then(pixels, layers.Conv2D(8, 3, 2, "same", use_bias=False, name="Conv1"))
    x = layers.ZeroPadding2D(((1, 0), (1, 0)), name="block_1_pad")(x)
    x = then(x, layers.DepthwiseConv2D(3, 2, use_bias=False, name="block_1_depthwise"))
    narrow = then(x, pointwise("block_1_project", 8))
    x = then(narrow, pointwise("block_2_expand", 32))
    x = then(x, layers.DepthwiseConv2D(3, 1, "same", use_bias=False, name="block_2_depthwise"))
    x = then(x, pointwise("block_2_project", 8))
    x = layers.Add(name="block_2_add")([narrow, x])
    x = then(x, pointwise("block_3_expand", 24))
    x = then(x, pointwise("block_3_project", 12))
    x = then(x, pointwise("Conv_1", 16))
    x = layers.LSTM(8, name="lstm")(layers.Reshape((-1, 16), name="sequence")(x))
    x = layers.Dense(4, activation="softmax", name="action")(layers.Dropout(0.0)(x))
    network = keras.Model(pixels, x, name="cnn_lstm")
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            n = layer.gamma.shape[0]
            draws = rng.uniform(0.5, 1.2, n), rng.normal(0, 0.5, n), rng.normal(0, 0.2, n)
            layer.set_weights([*draws, rng.uniform(0.2, 0.6, n)])
    action = network.get_layer("action")
    action.set_weights([5 * weights for weights in action.get_weights()])
    return network


@pytest.fixture(scope="session")
def photographs():
    return np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3)).astype(np.uint8)


@pytest.fixture(scope="session")
def pixels(photographs):
    return photographs.astype(np.float32) / 127.5 - 1


@pytest.fixture(scope="session")
def twin(network, pixels):
    twin = quantised_twin(network)
    calibrate(twin, observer(network), pixels)
    return twin
