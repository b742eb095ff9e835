"""What an ONNX graph sees in a picture, as further outputs: pooled features and the last map."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from har_core.errors import ModelBundleError

MAP_OUTPUT: Final = "feature_map"
MEANS_OUTPUT: Final = "feature_means"
PEAKS_OUTPUT: Final = "feature_peaks"
FEATURE_OUTPUTS: Final = (MAP_OUTPUT, MEANS_OUTPUT, PEAKS_OUTPUT)
_MAP_RANK: Final = 4
_WIDTHS: Final = 3
_PICTURE_CHANNELS: Final = 4  # at most
Tensor = TypeVar("Tensor")


def add_feature_outputs(graph: bytes) -> bytes:
    """Return the graph with three more outputs, behind the probabilities.

    ``feature_map`` is the last feature map, (N, H, W, C); ``feature_peaks`` its largest value over
    the picture, (N, C). ``feature_means`` holds the means of the *bottlenecks*, (N, D): of each of
    the last three widths of a map that a convolution widens, the last one. (In MobileNetV2 these
    are the narrow, linear ends of blocks 12, 15 and 16: 96 + 160 + 320 values.) A network without
    such a convolution gives the means of its last map.

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
    import onnx

    model = onnx.load_from_string(graph)
    if {output.name for output in model.graph.output}.issuperset(FEATURE_OUTPUTS):
        return graph
    last, axes = last_feature_map(model)
    nodes = model.graph.node
    if axes == (1, 2):
        nodes.append(onnx.helper.make_node("Identity", [last], [MAP_OUTPUT]))
    else:
        nodes.append(onnx.helper.make_node("Transpose", [last], [MAP_OUTPUT], perm=[0, 2, 3, 1]))
    nodes.append(_reduce("ReduceMax", last, PEAKS_OUTPUT, axes))
    means: list[str] = []
    for name in bottlenecks(_convolutions(model)):
        means.append(f"{MEANS_OUTPUT}_{len(means)}")
        nodes.append(_reduce("ReduceMean", name, means[-1], (2, 3)))
    if not means:
        means.append(f"{MEANS_OUTPUT}_0")
        nodes.append(_reduce("ReduceMean", last, means[0], axes))
    nodes.append(onnx.helper.make_node("Concat", means, [MEANS_OUTPUT], axis=1))
    for name in FEATURE_OUTPUTS:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return model.SerializeToString()


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
        if len(shape) != _MAP_RANK or name in FEATURE_OUTPUTS:
            continue
        # Feature maps are square, since inputs are.
        if shape[1] == shape[2] > 0:
            return name, (1, 2)
        if shape[2] == shape[3] > 0:
            return name, (2, 3)
    raise ModelBundleError("The network has no feature map, so photographs cannot be compared.")


def bottlenecks(convolutions: Sequence[tuple[int, int, Tensor]]) -> list[Tensor]:
    """Return the inputs of widening convolutions: the last of each of the last widths.

    Parameters
    ----------
    convolutions : sequence of tuple
        In the order of the network, of those that mix all channels: the channels of the input
        and of the output, and the input.
    """
    last_of_width: dict[int, Tensor] = {}
    for width, outputs, source in convolutions:
        if outputs > width > _PICTURE_CHANNELS:
            last_of_width.pop(width, None)
            last_of_width[width] = source
    return list(last_of_width.values())[-_WIDTHS:]


def _convolutions(model: Any) -> list[tuple[int, int, str]]:
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        shape = weights.get(node.input[1], ()) if node.op_type == "Conv" else ()
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        if shape and groups == 1:
            found.append((shape[1], shape[0], node.input[0]))
    return found


def _reduce(operation: str, source: str, target: str, axes: tuple[int, int]) -> Any:
    import onnx

    return onnx.helper.make_node(operation, [source], [target], axes=list(axes), keepdims=0)
