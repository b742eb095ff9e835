"""The 8-bit graph of a twin: ONNX with quantise–dequantise pairs, which ONNX Runtime fuses.

The LSTM, too, has 8-bit weights here, and its inputs are rounded as they come; the twin's is in
float32, and the difference too small to train for.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError
from har_core.keras_io.feature_outputs import (
    MAP_OUTPUT,
    MEANS_OUTPUT,
    PEAKS_OUTPUT,
    SPREADS_OUTPUT,
    last_widening,
    spread_nodes,
)
from har_core.keras_io.onnx_export import INPUT_NAME, OPSET, OUTPUT_NAME
from har_core.training.network import INPUT_SIZE
from har_core.training.quantization.twin import LARGEST_WEIGHT, TINY

# Scaled, a pixel is p / 127.5 - 1; as a code with this scale and zero point, that and the shift.
_PIXEL_SCALE: Final = np.float32(1 / 127.5)
_PIXEL_ZERO: Final = 127
_PIXEL_SHIFT: Final = np.float32(1 / 255)
# A bias is an int32 in units of scale of input × scale of weight.
_LARGEST_BIAS: Final = 2.0**30
_IR_VERSION: Final = 8
_COLOURS: Final = 3
_PAIR: Final = 2 * _COLOURS
_MICROSOFT: Final = "com.microsoft"
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
        An ONNX model whose outputs are those of the bundle's float graph, probabilities and
        `har_core.keras_io.feature_outputs.FEATURE_OUTPUTS`; its input are pixels as they are, uint8
        (N, size, size, 3). A photograph's answer depends on the others of its batch by what the
        8-bit LSTM rounds: give them one by one.

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
    channels: int
    scale: Any = None
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
        # Channels before and behind each convolution that mixes them, its input and output.
        self._mixing: list[tuple[int, int, tuple[_Map, str]]] = []
        # Float tensors to what they are rounded to.
        self._rounded: dict[str, _Map] = {}
        self._vector = ""
        # Names to shapes without the batch.
        self._outputs: dict[str, list[int]] = {}

    def add(self, layer: Any) -> None:
        """Write what a layer computes; its inputs have been written."""
        import keras

        sources = [] if isinstance(layer, keras.layers.InputLayer) else _sources(layer)
        maps = [self._maps[name] for name in sources if name in self._maps]
        match layer:
            case keras.layers.InputLayer():
                self._maps[layer.name] = self._read_pixels()
            case keras.layers.Conv2D() if maps[0].channels == _PAIR:
                self._maps[layer.name] = self._convolve_pairs(layer, maps[0])
            case keras.layers.Conv2D() | keras.layers.DepthwiseConv2D():
                self._maps[layer.name] = self._convolve(layer, maps[0])
            case keras.layers.ZeroPadding2D():
                (top, bottom), (left, right) = layer.padding
                self._maps[layer.name] = replace(maps[0], padding=(top, left, bottom, right))
            case keras.layers.Add():
                values = [self._dequantised(codes) for codes in maps]
                total = _Map(self._node("Add", values), maps[0].sides, maps[0].channels)
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

        side = self._size
        pixels = helper.make_tensor_value_info(
            INPUT_NAME, TensorProto.UINT8, ["batch", side, side, _COLOURS]
        )
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
            for name, shape in self._outputs.items()
        ]
        graph = helper.make_graph(
            self._nodes,
            "cnn_lstm_int8",
            [pixels],
            outputs,
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        return bytes(model.SerializeToString())

    def _read_pixels(self) -> _Map:
        """Write the input; two neighbours of a row become one cell, which costs nothing."""
        rows, columns = self._size, self._size // 2
        pairs = self._constant(np.array([-1, rows, columns, _PAIR]))
        codes = self._node("Reshape", [INPUT_NAME, pairs])
        codes = self._node("Transpose", [codes], perm=[0, 3, 1, 2])
        return _Map(codes, (rows, columns), _PAIR, _PIXEL_SCALE, _PIXEL_ZERO)

    def _convolve_pairs(self, layer: Any, pairs: _Map) -> _Map:
        """Write the stem, of stride 2: with pairs for cells there are fewer pieces to collect."""
        kernel, bias = layer.get_weights()
        bias = bias - _PIXEL_SHIFT * kernel.sum(axis=(0, 1, 2))
        padding = pairs.padding
        if layer.padding == "same":
            sides = pairs.sides[0], 2 * pairs.sides[1]
            padding = _same_padding(sides, layer.kernel_size, layer.strides)
        if layer.strides[1] != 2 or self._size % 2:
            raise ModelBundleError(f"The stride of the stem {layer.name!r} is not 2.")
        top, left, bottom, right = padding
        cells = left % 2 + layer.kernel_size[1]
        kernel = np.pad(kernel, ((0, 0), (left % 2, cells % 2), (0, 0), (0, 0)))
        kernel = kernel.reshape(len(kernel), -1, _PAIR, kernel.shape[3])
        # As many outputs as without pairs; a column too much meets a weight of zero.
        columns = (self._size + left + right - layer.kernel_size[1]) // 2 + 1
        left = (left + 1) // 2
        padding = top, left, bottom, columns - 1 + kernel.shape[1] - self._size // 2 - left
        strides = layer.strides[0], 1
        return self._convolution(pairs, kernel.transpose(3, 2, 0, 1), bias, padding, strides, 1)

    def _convolve(self, layer: Any, inputs: _Map) -> _Map:
        kernel, bias = layer.get_weights()
        # Keras has rows, columns, in, out; of a depthwise convolution, rows, columns, out, 1.
        depthwise = kernel.shape[3] == 1 and kernel.shape[2] == len(bias)
        kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        padding = inputs.padding
        if layer.padding == "same":
            padding = _same_padding(inputs.sides, layer.kernel_size, layer.strides)
        groups = len(bias) if depthwise else 1
        made = self._convolution(inputs, kernel, bias, padding, layer.strides, groups)
        if not depthwise:
            self._mixing.append((inputs.channels, made.channels, (inputs, made.name)))
        return made

    def _convolution(
        self,
        inputs: _Map,
        kernel: np.ndarray,
        bias: np.ndarray,
        padding: tuple[int, ...],
        strides: tuple[int, int],
        groups: int,
    ) -> _Map:
        rows, columns = (
            (inputs.sides[i] + padding[i] + padding[i + 2] - kernel.shape[i + 2]) // strides[i] + 1
            for i in (0, 1)
        )
        outputs = self._node(
            "Conv",
            [self._dequantised(inputs), *self._weights(kernel, bias, inputs.scale)],
            group=groups,
            pads=list(padding),
            strides=list(strides),
        )
        return _Map(outputs, (rows, columns), len(bias))

    def _weights(self, kernel: np.ndarray, bias: np.ndarray, input_scale: Any) -> list[str]:
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
        name = self._node("QuantizeLinear", [values.name, *self._levels(codes)])
        self._rounded[values.name] = replace(codes, name=name)
        return self._rounded[values.name]

    def _dequantised(self, codes: _Map) -> str:
        return self._node("DequantizeLinear", [codes.name, *self._levels(codes)])

    def _levels(self, codes: _Map) -> list[str]:
        return [self._constant(codes.scale), self._constant(np.uint8(codes.zero))]

    def _read_sequence(self, layer: Any, last: _Map) -> str:
        """Write the LSTM; its sequence is the last map, row by row."""
        kernel, recurrent, bias = (
            np.concatenate([np.split(weights, 4, axis=-1)[gate] for gate in _GATES], axis=-1)
            for weights in layer.get_weights()
        )
        codes = self._node("Transpose", [last.name], perm=[2, 3, 0, 1])
        shape = self._constant(np.array([last.sides[0] * last.sides[1], -1, last.channels]))
        codes = self._node("Reshape", [codes, shape])
        weights, scales = [], []
        for values in (kernel, recurrent):
            steps = np.maximum(np.abs(values).max(axis=0) / LARGEST_WEIGHT, TINY)
            rounded = np.round(values / steps).astype(np.int8)
            weights.append(self._constant(rounded[np.newaxis]))
            scales.append(self._constant(steps[np.newaxis].astype(np.float32)))
            scales.append(self._constant(np.zeros((1, len(steps)), np.int8)))
        bias = np.concatenate([bias, np.zeros_like(bias)])[np.newaxis]
        cells = self._dequantised(replace(last, name=codes))
        state = self._node(
            "DynamicQuantizeLSTM",
            [cells, *weights, self._constant(bias), "", "", "", "", *scales],
            ["", self._name("state")],
            hidden_size=layer.units,
            domain=_MICROSOFT,
        )
        return self._node("Squeeze", [state, self._constant(np.array([0]))])

    def _classify(self, layer: Any) -> None:
        kernel, bias = layer.get_weights()
        self._outputs = {OUTPUT_NAME: [len(bias)], **self._outputs}
        inputs = [self._vector, self._constant(kernel), self._constant(bias)]
        self._node("Softmax", [self._node("Gemm", inputs)], [OUTPUT_NAME], axis=-1)

    def _write_features(self, last: _Map) -> None:
        values = self._dequantised(last)
        self._node("Transpose", [values], [MAP_OUTPUT], perm=[0, 2, 3, 1])
        self._node("ReduceMax", [values], [PEAKS_OUTPUT], axes=[2, 3], keepdims=0)
        widening = last_widening(self._mixing)
        narrow = [inputs for inputs, _ in widening] or [last]
        wide = self._rounded[widening[-2][1]] if len(widening) > 1 else last
        means = [
            self._node("ReduceMean", [self._dequantised(codes)], axes=[2, 3], keepdims=0)
            for codes in narrow
        ]
        self._node("Concat", means, [MEANS_OUTPUT], axis=1)
        self._nodes += spread_nodes(self._dequantised(wide), (2, 3))
        self._outputs[MAP_OUTPUT] = [*last.sides, last.channels]
        self._outputs[MEANS_OUTPUT] = [sum(codes.channels for codes in narrow)]
        self._outputs[PEAKS_OUTPUT] = [last.channels]
        self._outputs[SPREADS_OUTPUT] = [wide.channels]

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
