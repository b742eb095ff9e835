"""Reading an ONNX graph from elsewhere: square RGB pictures in, probabilities out."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError, on_one_line
from har_core.extras import load_onnx
from har_core.keras_io.checks import LARGEST_SIDE, is_possible_side
from har_core.keras_io.feature_outputs import FEATURE_OUTPUTS
from har_core.keras_io.onnx_export import INPUT_NAME, OUTPUT_NAME
from har_core.keras_io.outputs import Ending, OutputRule
from har_core.keras_io.scaling import InnerScaling, measure
from har_core.onnx_session import open_session
from har_core.wording import counted

_WITH_WEIGHTS: Final = (
    *("Conv", "ConvInteger", "QLinearConv", "FusedConv", "Gemm", "FusedGemm"),
    *("MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul"),
)
_QUANTISING: Final = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
_CHANGING_NO_VALUE: Final = ("Identity", "Cast", "Flatten", "Squeeze", "Reshape", *_QUANTISING)
# Operations that no graph of a network needs, or that only ONNX Runtime's own builds know, have
# other domains; a graph that asks for them is not run.
_DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
_ENDINGS: Final[dict[str, Ending]] = {
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "Gemm": "linear",
    "MatMul": "linear",
    "Relu": "other",
    "Tanh": "other",
}


class OnnxGraph:
    """An ONNX graph whose input and output have been found to fit, to be completed and run.

    Parameters
    ----------
    path : str or Path
        A ``.onnx`` file; weights in a file beside it (``model.onnx.data``) are taken in.

    Raises
    ------
    ModelBundleError
        If the file cannot be read, or does not take square RGB pictures and give one row for each.
    """

    def __init__(self, path: str | Path) -> None:
        onnx = load_onnx()
        self.source = Path(path)
        # So that what is added has names of its own. (Constants used inside an If would be lost.)
        self._model = onnx.compose.add_prefix(
            _read(self.source), "network/", rename_initializers=False, inplace=True
        )
        graph = self._model.graph
        initial = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in initial]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise ModelBundleError(
                f"{path} has {counted(len(inputs), 'input')} and "
                f"{counted(len(graph.output), 'output')}; only graphs with one of each are "
                "supported: export the network with its probabilities alone."
            )
        self._input, self._output = inputs[0], graph.output[0]
        if self._input.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            raise ModelBundleError(
                f"{path} takes pixels of another type than float32; export it with float32 inputs."
            )
        sides = _sides(self._input)
        self.channels_first = len(sides) == 4 and sides[1] == 3 and sides[3] != 3
        picture = sides[2:] if self.channels_first else sides[1:3]
        channels = sides[1 if self.channels_first else 3] if len(sides) == 4 else None
        if channels != 3 or picture[0] != picture[1] or not is_possible_side(picture[0]):
            shape = tuple(side or "any" for side in sides)
            raise ModelBundleError(
                f"{path} takes inputs of shape {shape}; only square RGB pictures of a fixed size, "
                f"(N, S, S, 3) or (N, 3, S, S), S at most {LARGEST_SIDE}, are supported."
            )
        self.input_size = picture[0]
        self._take_pixels()

    def _take_pixels(self) -> None:
        """Put an input in front whose channels come last, whatever the graph's own is like."""
        from onnx import TensorProto, helper

        graph, own = self._model.graph, self._input.name
        shape = ["batch", self.input_size, self.input_size, 3]
        pixels = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, shape)
        graph.input.remove(self._input)
        graph.input.insert(0, pixels)
        if self.channels_first:  # as PyTorch has them
            node = helper.make_node("Transpose", [INPUT_NAME], [own], perm=[0, 3, 1, 2])
        else:
            node = helper.make_node("Identity", [INPUT_NAME], [own])
        graph.node.insert(0, node)
        # Shapes that were inferred for a batch of one would contradict larger ones.
        del graph.value_info[:]
        outputs = self._output.type.tensor_type.shape.dim
        if len(outputs):
            outputs[0].dim_param = "batch"

    @property
    def n_operations(self) -> int:
        """How many operations the graph has."""
        return len(self._model.graph.node)

    @property
    def ending(self) -> Ending:
        """The activation that the graph ends with."""
        made_by = {name: node for node in self._model.graph.node for name in node.output}
        name = self._output.name
        while name in made_by:
            node = made_by[name]
            if node.op_type not in _CHANGING_NO_VALUE:
                # A bias added to a product: a layer without activation.
                before = made_by.get(node.input[0]) if node.op_type == "Add" else None
                op = before.op_type if before is not None else node.op_type
                return _ENDINGS.get(op, "unknown")
            name = node.input[0]
        return "unknown"

    @cached_property
    def _run_as_it_is(self) -> Callable[[np.ndarray], np.ndarray]:
        return _session(self._model.SerializeToString(), self.source)

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Map scaled pixels, float32 (N, S, S, 3), to the outputs, float32 (N, C).

        Raises
        ------
        ModelBundleError
            If ONNX Runtime cannot run the graph, or not for several pictures at once.
        """
        run = self._run_as_it_is
        outputs = run(pixels)
        if outputs.ndim != 2 or len(outputs) != len(pixels):
            raise ModelBundleError(
                f"{self.source} gives outputs of shape {outputs.shape} for "
                f"{counted(len(pixels), 'picture')}; only one row of classes for each is "
                "supported: export it for any batch size (dynamic_axes, dynamic_shapes), with its "
                "classes as the only output."
            )
        alone = np.concatenate([run(pixels[n : n + 1]) for n in range(len(pixels))])
        if not np.allclose(alone, outputs, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise ModelBundleError(
                f"{self.source} answers differently for several pictures at once; export it for "
                "any batch size (dynamic_axes, dynamic_shapes)."
            )
        return outputs

    def inner_scaling(self) -> InnerScaling | None:
        """Tell what the graph does to pixels before its first layer with weights."""
        import onnx

        graph = self._model.graph
        constant = {tensor.name for tensor in graph.initializer}
        made_by: dict[str, Any] = {}
        for first, node in enumerate(graph.node):  # noqa: B007 - used behind the loop
            if node.op_type in _WITH_WEIGHTS and constant.intersection(node.input[1:]):
                break
            made_by.update(dict.fromkeys(node.output, node))
            # Weights may be stored in another type, order or number of bits.
            if constant.issuperset(filter(None, node.input)):
                constant.update(node.output)
        else:
            return None
        reaching = node.input[0]
        while reaching in made_by and _only_rounds(made_by[reaching], made_by):
            reaching = made_by[reaching].input[0]
        stem = onnx.ModelProto()
        stem.CopyFrom(self._model)
        del stem.graph.output[:]
        stem.graph.output.append(onnx.ValueInfoProto(name=reaching))
        passed = [
            node.op_type
            for node in graph.node[:first]
            if not constant.intersection(node.output)
            and node.op_type not in ("Identity", "Transpose", "Cast", "Pad")
            and not _only_rounds(node, made_by)
        ]
        run = _session(stem.SerializeToString(), self.source)
        return measure(run, self.input_size, passed)

    def completed(self, rule: OutputRule) -> bytes:
        """Return the graph with what makes probabilities of its outputs.

        Raises
        ------
        ModelBundleError
            If ONNX Runtime cannot load it.
        """
        from onnx import TensorProto, helper, numpy_helper

        graph, last = self._model.graph, "har_given"
        nodes = [helper.make_node("Cast", [self._output.name], [last], to=TensorProto.FLOAT)]
        if rule.addition == "softmax":
            nodes.append(helper.make_node("Softmax", [last], [OUTPUT_NAME], axis=1))
        elif rule.addition == "none":
            nodes.append(helper.make_node("Identity", [last], [OUTPUT_NAME]))
        else:
            if rule.addition == "sigmoid_and_two_classes":
                nodes.append(helper.make_node("Sigmoid", [last], ["har_second"]))
                last = "har_second"
            graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "har_one"))
            nodes.append(helper.make_node("Sub", ["har_one", last], ["har_first"]))
            nodes.append(helper.make_node("Concat", ["har_first", last], [OUTPUT_NAME], axis=1))
        graph.node.extend(nodes)
        del graph.output[:]
        shape = ["batch", rule.n_classes]
        graph.output.append(helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, shape))
        content = self._model.SerializeToString()
        _session(content, self.source)
        return content


def _only_rounds(node: Any, made_by: dict[str, Any]) -> bool:
    """Tell whether values stay what they are but for the bits that they are stored in."""
    if node.op_type != "DequantizeLinear":
        return node.op_type in _QUANTISING
    before = made_by.get(node.input[0])
    return before is not None and before.op_type in _QUANTISING


def _read(path: Path) -> Any:
    import onnx

    try:
        # Weights outside are read only from the file's own folder; `onnx` checks their paths.
        model = onnx.load(str(path))
        # What a bundle's graph gives beside the probabilities is found anew.
        for output in [o for o in model.graph.output if o.name in FEATURE_OUTPUTS]:
            model.graph.output.remove(output)
        onnx.checker.check_model(model)
    except OSError as error:
        raise ModelBundleError(f"Cannot read {path}: {error.strerror or error}.") from error
    except Exception as error:  # of Protocol Buffers, of the checker, of the numbers inside
        raise ModelBundleError(f"{path} is no sound ONNX graph: {on_one_line(error)}.") from error
    foreign = sorted({node.domain for node in model.graph.node} - set(_DOMAINS))
    if foreign:
        raise ModelBundleError(
            f"{path} is refused: it holds operations of {', '.join(foreign)}, whose code would "
            "have to come from elsewhere."
        )
    return model


def _sides(value: Any) -> list[int | None]:
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.WhichOneof("value") == "dim_value" else None for dim in dims]


def _session(graph: bytes, source: Path) -> Callable[[np.ndarray], np.ndarray]:
    try:
        session = open_session(graph, quiet=True)
    except Exception as error:  # onnxruntime's exceptions share no narrower base
        raise ModelBundleError(
            f"ONNX Runtime cannot load {source}: {on_one_line(error)}."
        ) from error

    def run(pixels: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(session.run(None, {INPUT_NAME: pixels})[0], dtype=np.float32)
        except Exception as error:
            raise ModelBundleError(
                f"ONNX Runtime cannot run {source} on {counted(len(pixels), 'picture')}: "
                f"{on_one_line(error)}. If it was exported for one, export it for any batch size "
                "(dynamic_axes, dynamic_shapes)."
            ) from error

    return run
