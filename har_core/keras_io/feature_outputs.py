"""What an ONNX graph sees in a picture, as further outputs: pooled features and the last map."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from har_core.errors import ModelBundleError
from har_core.extras import load_onnx

MAP_OUTPUT: Final = "feature_map"
MEANS_OUTPUT: Final = "feature_means"
PEAKS_OUTPUT: Final = "feature_peaks"
SPREADS_OUTPUT: Final = "feature_spreads"
POOLED_OUTPUTS: Final = (MEANS_OUTPUT, PEAKS_OUTPUT, SPREADS_OUTPUT)
FEATURE_OUTPUTS: Final = (MAP_OUTPUT, *POOLED_OUTPUTS)
_MAP_RANK: Final = 4
_WIDTHS: Final = 3
_PICTURE_CHANNELS: Final = 4  # at most
_AXES: Final = "_axes"
_AXES_ARE_INPUTS: Final = 18  # since this opset
_ACTIVATIONS: Final = {"Clip", "Relu", "LeakyRelu", "HardSwish"}
Convolution = TypeVar("Convolution")


class Features(NamedTuple):
    """The pooled features of N pictures, float32: `POOLED_OUTPUTS` of `add_feature_outputs`."""

    means: np.ndarray
    peaks: np.ndarray
    spreads: np.ndarray

    def take(self, rows: np.ndarray | slice) -> "Features":
        """Return those of some pictures."""
        return Features(*(part[rows] for part in self))


def as_kept(features: np.ndarray) -> np.ndarray:
    """Return features as they are kept: float16, beyond whose range they are its largest number."""
    most = np.finfo(np.float16).max
    return np.clip(features, -most, most).astype(np.float16)


def add_feature_outputs(graph: bytes) -> bytes:
    """Return the graph with four more outputs, behind the probabilities.

    ``feature_map`` is the last feature map, (N, H, W, C); ``feature_peaks`` its largest value over
    the picture, (N, C). ``feature_means`` holds the means of the *bottlenecks*, (N, D): of each of
    the last three widths of a map that a convolution widens, the last one. (In MobileNetV2 these
    are the narrow, linear ends of blocks 12, 15 and 16: 96 + 160 + 320 values.) A network without
    such a convolution gives the means of its last map. ``feature_spreads`` is the standard
    deviation over the picture of what the last but one of these convolutions makes, (N, E) (the
    960 wide channels of block 16); in a network without, that of the last map.

    Parameters
    ----------
    graph : bytes
        An ONNX model; one that has the outputs already is returned as it is.

    Returns
    -------
    bytes

    Raises
    ------
    ModelBundleError
        If the graph has no feature map.
    """
    onnx = load_onnx()
    model = onnx.load_from_string(graph)
    if {output.name for output in model.graph.output}.issuperset(FEATURE_OUTPUTS):
        return graph
    _remove_earlier_outputs(model)
    last, axes = last_feature_map(model)
    nodes = []
    if axes == (1, 2):
        nodes.append(onnx.helper.make_node("Identity", [last], [MAP_OUTPUT]))
    else:
        nodes.append(onnx.helper.make_node("Transpose", [last], [MAP_OUTPUT], perm=[0, 2, 3, 1]))
    nodes.append(_reduce("ReduceMax", last, PEAKS_OUTPUT, axes))
    widening = last_widening(_convolutions(model))
    sources = [(node.input[0], (2, 3)) for node in widening] or [(last, axes)]
    means = [f"{MEANS_OUTPUT}_{i}" for i in range(len(sources))]
    for (name, where), mean in zip(sources, means, strict=True):
        nodes.append(_reduce("ReduceMean", name, mean, where))
    nodes.append(onnx.helper.make_node("Concat", means, [MEANS_OUTPUT], axis=1))
    if len(widening) > 1:
        nodes.extend(spread_nodes(_activated(model, widening[-2].output[0]), (2, 3)))
    else:
        nodes.extend(spread_nodes(last, axes))
    model.graph.node.extend(as_the_opset_wants(nodes, model))
    for name in FEATURE_OUTPUTS:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return model.SerializeToString()


def _remove_earlier_outputs(model: Any) -> None:
    """Take out the outputs that an earlier version of `add_feature_outputs` made."""
    outputs = [o for o in model.graph.output if not _is_ours(o.name)]
    nodes = [n for n in model.graph.node if not _is_ours(n.output[0])]
    del model.graph.output[:], model.graph.node[:]
    model.graph.output.extend(outputs)
    model.graph.node.extend(nodes)


def _is_ours(name: str) -> bool:
    """Tell whether a tensor is one that `add_feature_outputs` makes, or a step to it."""
    name = name.removesuffix(_AXES)
    stem, _, number = name.rpartition("_")
    return name in FEATURE_OUTPUTS or (stem in POOLED_OUTPUTS and number.isdigit())


def last_feature_map(model: Any) -> tuple[str, tuple[int, int]]:
    """Return the last tensor of rank 4 before the graph flattens it, and its spatial axes.

    Parameters
    ----------
    model : onnx.ModelProto

    Raises
    ------
    ModelBundleError
        If there is none.
    """
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.input, *inferred.value_info)
    }
    produced = [value.name for value in inferred.input]
    produced += [name for node in inferred.node for name in node.output]
    for name in reversed(produced):
        shape = shapes.get(name, [])
        if len(shape) != _MAP_RANK or _is_ours(name):
            continue
        # Feature maps are square, since inputs are.
        if shape[1] == shape[2] > 0:
            return name, (1, 2)
        if shape[2] == shape[3] > 0:
            return name, (2, 3)
    raise ModelBundleError("The network has no feature map, so photographs cannot be compared.")


def last_widening(convolutions: Sequence[tuple[int, int, Convolution]]) -> list[Convolution]:
    """Return the convolutions that widen a map: the last of each of the last widths.

    Parameters
    ----------
    convolutions : sequence of tuple
        In the order of the network, of those that mix all channels: the channels of the input
        and of the output, and the convolution.
    """
    last_of_width: dict[int, Convolution] = {}
    for width, outputs, convolution in convolutions:
        if outputs > width > _PICTURE_CHANNELS:
            last_of_width.pop(width, None)
            last_of_width[width] = convolution
    return list(last_of_width.values())[-_WIDTHS:]


def spread_nodes(source: str, axes: tuple[int, int]) -> list[Any]:
    """Return the nodes that make `SPREADS_OUTPUT` of a map."""
    import onnx

    centre, apart, squared, variance = (f"{SPREADS_OUTPUT}_{i}" for i in range(4))
    return [
        onnx.helper.make_node("ReduceMean", [source], [centre], axes=list(axes), keepdims=1),
        onnx.helper.make_node("Sub", [source, centre], [apart]),
        onnx.helper.make_node("Mul", [apart, apart], [squared]),
        _reduce("ReduceMean", squared, variance, axes),
        onnx.helper.make_node("Sqrt", [variance], [SPREADS_OUTPUT]),
    ]


def as_the_opset_wants(nodes: Sequence[Any], model: Any) -> list[Any]:
    """Return nodes, to be added to a graph, with the axes of reductions where its opset has them.

    Parameters
    ----------
    nodes : sequence of onnx.NodeProto
        Reductions say their axes as an attribute, which some lose.
    model : onnx.ModelProto
    """
    import onnx

    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset < _AXES_ARE_INPUTS:
        return list(nodes)
    written = []
    for node in nodes:
        for attribute in [a for a in node.attribute if a.name == "axes"]:
            name = f"{node.output[0]}{_AXES}"
            written.append(
                onnx.helper.make_node("Constant", [], [name], value_ints=list(attribute.ints))
            )
            node.attribute.remove(attribute)
            node.input.append(name)
        written.append(node)
    return written


def _convolutions(model: Any) -> list[tuple[int, int, Any]]:
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        shape = weights.get(node.input[1], ()) if node.op_type == "Conv" else ()
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        if shape and groups == 1:
            found.append((shape[1], shape[0], node))
    return found


def _activated(model: Any, name: str) -> str:
    """Return the tensor behind the activation that follows, or the same where none does."""
    following = [node for node in model.graph.node if name in node.input]
    if len(following) == 1 and following[0].op_type in _ACTIVATIONS:
        return following[0].output[0]
    return name


def _reduce(operation: str, source: str, target: str, axes: tuple[int, int]) -> Any:
    import onnx

    return onnx.helper.make_node(operation, [source], [target], axes=list(axes), keepdims=0)
