"""A network that computes what its 8-bit graph computes, and that can be trained.

Weights of convolutions are rounded to int8, one scale for each output channel; their outputs,
after the activation, and the sums of shortcuts to uint8, one scale and zero point for each tensor.
Rounding passes gradients on as if it were not there (the straight-through estimator, Bengio et
al. 2013, arXiv:1308.3432; with batch normalisation folded, Jacob et al. 2018, arXiv:1712.05877).
The LSTM and the softmax stay in float32.
"""

from functools import cache
from typing import Any, Final

from har_core.training.learning.fast_layers import fast_layers
from har_core.training.quantization.folding import fold_normalisation

LARGEST_WEIGHT: Final = 127
LARGEST_CODE: Final = 255
TINY: Final = 1e-12


def quantised_twin(network: Any) -> Any:
    """Return a network with rounded weights and activations that has `network`'s weights.

    Parameters
    ----------
    network : keras.Model
        From `har_core.training.network.build_network`.

    Returns
    -------
    keras.Model
        Float32 pixels of any size in [-1, 1] to probabilities. Its ranges are those of
        `har_core.training.quantization.ranges.calibrate`, which must be called before it is used.
        Later weights of `network` come in with `folding.load_folded_weights`.
    """
    import keras

    kinds = quantised_layers()
    rectified = {
        layer.input._keras_history.operation.name
        for layer in network.layers
        if isinstance(layer, keras.layers.ReLU)
    }

    def rebuild(layer: Any, config: dict[str, Any]) -> Any:
        if isinstance(layer, keras.layers.BatchNormalization):
            return None if layer.name in rectified else kinds["linear"](name=layer.name)
        if type(layer) is keras.layers.LSTM:
            scanned: Any = fast_layers()[keras.layers.LSTM]
            return scanned.from_config(config)
        kind = kinds.get(type(layer))
        return None if kind is None else kind.from_config(config)

    return fold_normalisation(network, rebuild)


def quantisers(twin: Any) -> list[Any]:
    """Return the layers that round their outputs to uint8, in the order of the network."""
    return [layer for layer in twin.layers if hasattr(layer, "zero_point")]


@cache
def quantised_layers() -> dict[Any, Any]:
    """Return the layer that stands in for each of Keras' own, and ``"linear"``."""
    import keras
    from keras import ops

    depthwise_kind = fast_layers()[keras.layers.DepthwiseConv2D]

    def rounded_kernel(kernel: Any, axes: tuple[int, ...]) -> Any:
        largest = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
        scale = ops.stop_gradient(ops.maximum(largest / LARGEST_WEIGHT, TINY))
        return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)

    class QuantisedConv2D(keras.layers.Conv2D):
        """A convolution with int8 weights."""

        def call(self, inputs: Any) -> Any:
            kernel = rounded_kernel(ops.convert_to_tensor(self.kernel), (0, 1, 2))
            if self.kernel_size == (1, 1) and self.strides == (1, 1):
                return ops.matmul(inputs, kernel[0, 0]) + self.bias
            outputs = ops.conv(inputs, kernel, strides=self.strides, padding=self.padding)
            return outputs + self.bias

    class QuantisedDepthwiseConv2D(depthwise_kind):  # type: ignore[misc, valid-type]
        """A depthwise convolution with int8 weights."""

        def call(self, inputs: Any) -> Any:
            kernel = rounded_kernel(ops.convert_to_tensor(self.kernel), (0, 1))
            return self.convolve(inputs, kernel[..., 0]) + self.bias

    class Quantised(keras.layers.Layer):
        """Rounds what a layer gives to 256 levels."""

        def build(self, *shapes: Any) -> None:
            self.scale = self.add_weight(
                name="scale", shape=(), initializer="ones", trainable=False
            )
            self.zero_point = self.add_weight(
                name="zero_point", shape=(), initializer="zeros", trainable=False
            )
            self.built = True

        def rounded(self, values: Any) -> Any:
            scale, zero = ops.convert_to_tensor(self.scale), ops.convert_to_tensor(self.zero_point)
            inside = ops.clip(values, -zero * scale, (LARGEST_CODE - zero) * scale)
            codes = ops.clip(ops.round(values / scale), -zero, LARGEST_CODE - zero)
            return inside + ops.stop_gradient(codes * scale - inside)

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    class QuantisedLinear(Quantised):
        """Rounds its inputs."""

        def call(self, inputs: Any) -> Any:
            return self.rounded(inputs)

    class QuantisedReLU(keras.layers.ReLU, Quantised):
        """Rounds the rectified inputs."""

        def call(self, inputs: Any) -> Any:
            return self.rounded(super().call(inputs))

    class QuantisedAdd(keras.layers.Add, Quantised):
        """Rounds the sum."""

        def build(self, shapes: Any) -> None:
            super().build(shapes)
            Quantised.build(self, shapes)

        def call(self, inputs: Any) -> Any:
            return self.rounded(super().call(inputs))

    return {
        keras.layers.Conv2D: QuantisedConv2D,
        keras.layers.DepthwiseConv2D: QuantisedDepthwiseConv2D,
        keras.layers.ReLU: QuantisedReLU,
        keras.layers.Add: QuantisedAdd,
        "linear": QuantisedLinear,
    }
