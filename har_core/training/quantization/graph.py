"""The 8-bit graph of a twin: ONNX with quantise–dequantise pairs, which ONNX Runtime fuses."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError
from har_core.keras_io.feature_outputs import (
    FEATURE_OUTPUTS,
    MAP_OUTPUT,
    MEANS_OUTPUT,
    PEAKS_OUTPUT,
    bottlenecks,
)
from har_core.keras_io.onnx_export import INPUT_NAME, OPSET, OUTPUT_NAME
from har_core.training.network import INPUT_SIZE
from har_core.training.quantization.twin import LARGEST_WEIGHT, TINY

# A photograph's values are (0 … 255) / 127.5 - 1: half a level beside the levels of a uint8 tensor
# with this scale and this zero point, hence the shift.
_PIXEL_SCALE: Final = np.float32(1 / 127.5)
_PIXEL_ZERO: Final = 127
_PIXEL_SHIFT: Final = np.float32(1 / 255)
# A bias is an int32 in units of scale of input × scale of weight.
_LARGEST_BIAS: Final = 2.0**30
_IR_VERSION: Final = 8
_COLOURS: Final = 3
# Keras' gates are input, forget, new, output; ONNX' are input, output, forget, new.
_GATES: Final = (0, 3, 1, 2)


def quantised_graph(twin: Any, size: int = INPUT_SIZE) -> bytes:
    """Write a twin as an ONNX graph that computes with 8 bits.

    Parameters
    ----------
    twin : keras.Model
        From `har_core.training.quantization.twin.quantised_twin`, calibrated.
    size : int
        Side of the photographs in pixels.

    Returns
    -------
    bytes
        An ONNX model whose input and outputs are those of the bundle's float graph: float32 pixels
        (N, size, size, 3) in [-1, 1] to probabilities and
        `har_core.keras_io.feature_outputs.FEATURE_OUTPUTS`.

    Raises
    ------
    ModelBundleError
        If the network has a layer that this does not know.
    """
    writer = _Writer(size)
    for layer in twin.layers:
        writer.add(layer)
    return writer.finish()


@dataclass(frozen=True)
class _Map:
    """A tensor (N, C, H, W): float32, or uint8 with ``scale * (codes - zero)`` for its values."""

    name: str
    sides: tuple[int, int]
    scale: np.float32 | None = None
    zero: int = 0
    # What the next convolution adds at the top, left, bottom and right.
    padding: tuple[int, ...] = (0, 0, 0, 0)


class _Writer:
    """Collects nodes and constants, layer by layer."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._maps: dict[str, _Map] = {}
        self._widened: list[tuple[int, int, _Map]] = []
        self._vector = ""
        self._n_classes = 0

    def add(self, layer: Any) -> None:
        """Write what a layer computes; its inputs have been written."""
        import keras

        sources = [] if isinstance(layer, keras.layers.InputLayer) else _sources(layer)
        maps = [self._maps[name] for name in sources if name in self._maps]
        match layer:
            case keras.layers.InputLayer():
                self._maps[layer.name] = self._read_pixels()
            case keras.layers.Conv2D() | keras.layers.DepthwiseConv2D():
                self._maps[layer.name] = self._convolve(layer, maps[0])
            case keras.layers.ZeroPadding2D():
                (top, bottom), (left, right) = layer.padding
                self._maps[layer.name] = replace(maps[0], padding=(top, left, bottom, right))
            case keras.layers.Add():
                values = [self._dequantised(codes) for codes in maps]
                total = _Map(self._node("Add", values), maps[0].sides)
                self._maps[layer.name] = self._quantised(layer, total)
            case _ if hasattr(layer, "zero_point"):
                self._maps[layer.name] = self._quantised(layer, maps[0])
            case keras.layers.Reshape():
                self._write_features(maps[0])
                self._maps[layer.name] = maps[0]
            case keras.layers.LSTM():
                self._vector = self._read_sequence(layer, maps[0])
            case keras.layers.Dense():
                self._classify(layer)
            case keras.layers.Identity() | keras.layers.Dropout():
                if maps:
                    self._maps[layer.name] = maps[0]
            case _:
                raise ModelBundleError(
                    f"The layer {layer.name!r} has no counterpart in an 8-bit graph."
                )

    def finish(self) -> bytes:
        """Return the model."""
        from onnx import TensorProto, helper

        side, n = self._size, self._n_classes
        inputs = [(INPUT_NAME, ["batch", side, side, 3])]
        outputs = [(OUTPUT_NAME, ["batch", n])]
        graph = helper.make_graph(
            self._nodes,
            "cnn_lstm_int8",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in inputs],
            [
                *(helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in outputs),
                *(
                    helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                    for name in FEATURE_OUTPUTS
                ),
            ],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        return bytes(model.SerializeToString())

    def _read_pixels(self) -> _Map:
        shifted = self._node("Add", [INPUT_NAME, self._constant(_PIXEL_SHIFT)])
        pixels = _Map(shifted, (self._size, self._size), _PIXEL_SCALE, _PIXEL_ZERO)
        codes = self._node("QuantizeLinear", [shifted, *self._levels(pixels)])
        return replace(pixels, name=self._node("Transpose", [codes], perm=[0, 3, 1, 2]))

    def _convolve(self, layer: Any, inputs: _Map) -> _Map:
        kernel, bias = layer.get_weights()
        # Keras has rows, columns, in, out; of a depthwise convolution, rows, columns, out, 1.
        depthwise = kernel.shape[3] == 1 and kernel.shape[2] == len(bias)
        kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        if inputs.zero == _PIXEL_ZERO and kernel.shape[1] == _COLOURS:
            bias = bias - _PIXEL_SHIFT * kernel.sum(axis=(1, 2, 3))
        if not depthwise:
            self._widened.append((kernel.shape[1], kernel.shape[0], inputs))
        padding = inputs.padding
        if layer.padding == "same":
            padding = _same_padding(inputs.sides, layer.kernel_size, layer.strides)
        rows, columns = (
            (inputs.sides[i] + padding[i] + padding[i + 2] - layer.kernel_size[i])
            // layer.strides[i]
            + 1
            for i in (0, 1)
        )
        outputs = self._node(
            "Conv",
            [self._dequantised(inputs), *self._weights(kernel, bias, inputs.scale)],
            group=len(kernel) if depthwise else 1,
            pads=list(padding),
            strides=list(layer.strides),
        )
        return _Map(outputs, (rows, columns))

    def _weights(self, kernel: np.ndarray, bias: np.ndarray, input_scale: np.float32) -> list[str]:
        """Write a kernel as int8 and a bias as int32, one scale for each output channel."""
        scale = np.abs(kernel).max(axis=(1, 2, 3)) / LARGEST_WEIGHT
        # A channel without weights must not make its bias overflow.
        scale = np.maximum(scale, np.abs(bias) / (input_scale * _LARGEST_BIAS))
        scale = np.maximum(scale, TINY).astype(np.float32)
        unit = scale * input_scale
        codes = np.round(kernel / scale[:, np.newaxis, np.newaxis, np.newaxis]).astype(np.int8)
        biases = np.round(bias.astype(np.float64) / unit).astype(np.int32)
        return [
            self._node(
                "DequantizeLinear",
                [self._constant(x) for x in (values, steps, np.zeros(len(steps), values.dtype))],
                axis=0,
            )
            for values, steps in ((codes, scale), (biases, unit))
        ]

    def _quantised(self, layer: Any, values: _Map) -> _Map:
        codes = replace(values, scale=np.float32(layer.scale), zero=int(layer.zero_point))
        return replace(
            codes, name=self._node("QuantizeLinear", [values.name, *self._levels(codes)])
        )

    def _dequantised(self, codes: _Map) -> str:
        return self._node("DequantizeLinear", [codes.name, *self._levels(codes)])

    def _levels(self, codes: _Map) -> list[str]:
        return [self._constant(codes.scale), self._constant(np.uint8(codes.zero))]

    def _read_sequence(self, layer: Any, last: _Map) -> str:
        """Write the LSTM, in float32; its sequence is the last map, row by row."""
        kernel, recurrent, bias = (
            np.concatenate([np.split(weights, 4, axis=-1)[gate] for gate in _GATES], axis=-1)
            for weights in layer.get_weights()
        )
        cells, channels = last.sides[0] * last.sides[1], len(kernel)
        codes = self._node("Transpose", [last.name], perm=[2, 3, 0, 1])
        shape = self._constant(np.array([cells, -1, channels]))
        codes = self._node("Reshape", [codes, shape])
        inputs = [self._dequantised(replace(last, name=codes))]
        weights = kernel.T, recurrent.T, np.concatenate([bias, np.zeros_like(bias)])
        inputs += [self._constant(values[np.newaxis]) for values in weights]
        state = self._node("LSTM", inputs, ["", self._name("state")], hidden_size=layer.units)
        return self._node("Squeeze", [state, self._constant(np.array([0]))])

    def _classify(self, layer: Any) -> None:
        kernel, bias = layer.get_weights()
        self._n_classes = len(bias)
        inputs = [self._vector, self._constant(kernel), self._constant(bias)]
        self._node("Softmax", [self._node("Gemm", inputs)], [OUTPUT_NAME], axis=-1)

    def _write_features(self, last: _Map) -> None:
        values = self._dequantised(last)
        self._node("Transpose", [values], [MAP_OUTPUT], perm=[0, 2, 3, 1])
        self._node("ReduceMax", [values], [PEAKS_OUTPUT], axes=[2, 3], keepdims=0)
        means = [
            self._node("ReduceMean", [self._dequantised(codes)], axes=[2, 3], keepdims=0)
            for codes in bottlenecks(self._widened) or [last]
        ]
        self._node("Concat", means, [MEANS_OUTPUT], axis=1)

    def _node(
        self, operation: str, inputs: list[str], outputs: list[str] | None = None, **settings: Any
    ) -> str:
        """Write a node; return the name of its last output."""
        from onnx import helper

        outputs = outputs or [self._name(operation)]
        self._nodes.append(helper.make_node(operation, inputs, outputs, **settings))
        return outputs[-1]

    def _constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = self._name("constant")
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def _name(self, what: str) -> str:
        return f"{what}_{len(self._nodes)}_{len(self._constants)}"


def _sources(layer: Any) -> list[str]:
    """Return the names of the layers whose outputs a layer takes."""
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor._keras_history.operation.name for tensor in inputs]


def _same_padding(
    sides: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int]
) -> tuple[int, ...]:
    """Return what Keras' ``"same"`` adds at the top, left, bottom and right."""
    total = [
        max((-(-side // stride) - 1) * stride + length - side, 0)
        for side, length, stride in zip(sides, kernel, strides, strict=True)
    ]
    return *(amount // 2 for amount in total), *(amount - amount // 2 for amount in total)
