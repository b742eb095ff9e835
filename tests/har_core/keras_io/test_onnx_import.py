"""ONNX graphs from elsewhere become bundles when shapes and outputs fit."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from har_core.errors import ModelBundleError
from har_core.images.preprocessing import scale_pixels
from har_core.model.importing import import_model
from har_core.model.loading import load_model

SIDE = 16
NAMES = ("calling", "running", "sitting")


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def write_graph(
    path: Path,
    *,
    channels_first: bool = True,
    batch: int | str = "n",
    ending: str | None = None,
    outputs: int = 3,
    scaled_inside: bool = False,
    kernel_stored: str | None = None,
    quantised: bool = False,
    rounded: bool = False,
    side: int = SIDE,
    domain: str = "",
    external: bool = False,
    cast: int | None = None,
    renamed: str | None = None,
    conditional: bool = False,
    takes: int = TensorProto.FLOAT,
    small_logits: bool = False,
    over_batch: str | None = None,
) -> None:
    """Write what PyTorch exports: convolution, pooling, a dense layer."""
    rng = np.random.default_rng(3)
    weights = {
        "kernel": rng.normal(0, 1, (4, 3, 3, 3)),
        "matrix": rng.normal(0, 2, (4, outputs)),
        "bias": rng.normal(0, 1, outputs),
        "whole": np.array(255.0),
        "half": np.array(0.5),
    }
    if small_logits:
        weights |= {"matrix": np.zeros((4, outputs)), "bias": np.linspace(0.2, 0.6, outputs)}
    nodes, last = [], "input.1"
    if takes != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [last], ["float32"], to=TensorProto.FLOAT))
        last = "float32"
    if not channels_first:
        nodes.append(helper.make_node("Transpose", [last], ["first"], perm=[0, 3, 1, 2]))
        last = "first"
    if scaled_inside:
        nodes.append(helper.make_node("Div", [last, "whole"], ["scaled"]))
        last = "scaled"
    if quantised:
        nodes += quantised_nodes(last, "step", "zero", "quantised")
        last = "quantised"
    nodes += [
        helper.make_node("Conv", [last, "kernel"], ["map"], strides=[2, 2]),
        helper.make_node("Tanh", ["map"], ["active"], domain=domain),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        *(conditional_nodes("pooled", "half", "chosen") if conditional else ()),
        helper.make_node("Flatten", ["chosen" if conditional else "pooled"], ["flat"]),
        *dense_nodes("flat", "output", in_two=small_logits),
    ]
    if ending:
        nodes.append(helper.make_node(ending, ["output"], ["ended"]))
    shape = [batch, 3, side, side] if channels_first else [batch, side, side, 3]
    result = "ended" if ending else "output"
    if over_batch:
        nodes.append(helper.make_node("ReduceMean", [result], ["mean"], axes=[0], keepdims=1))
        nodes.append(helper.make_node("Sub", [result, "mean"], ["mixed"]))
        result = over_batch
    if rounded:
        nodes += quantised_nodes(result, "step", "none", "rounded")
        result = "rounded"
    if renamed:
        nodes += [helper.make_node("Identity", [result], [renamed])]
        nodes += [helper.make_node("Identity", [renamed], [f"{renamed} again"])]
        result = f"{renamed} again"
    if cast:
        nodes.append(helper.make_node("Cast", [result], ["cast"], to=cast))
        result = "cast"
    tensors = [numpy_helper.from_array(np.float32(w), name) for name, w in weights.items()]
    if quantised or rounded:
        tensors += [numpy_helper.from_array(np.float32(0.03), "step")]
        tensors += [numpy_helper.from_array(np.uint8(128), "zero")]
        tensors += [numpy_helper.from_array(np.uint8(0), "none")]
    if kernel_stored:
        nodes[:0] = stored_nodes(kernel_stored, tensors)
    graph = helper.make_graph(
        nodes,
        "exported",
        [helper.make_tensor_value_info("input.1", takes, shape)],
        [helper.make_tensor_value_info(result, cast or TensorProto.FLOAT, [batch, outputs])],
        tensors,
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, path, save_as_external_data=external, location="w.data", size_threshold=0)


def dense_nodes(source: str, result: str, *, in_two: bool) -> list[onnx.NodeProto]:
    """Return a dense layer, as PyTorch exports it or as TensorFlow does."""
    if not in_two:
        return [helper.make_node("Gemm", [source, "matrix", "bias"], [result])]
    return [
        helper.make_node("MatMul", [source, "matrix"], ["product"]),
        helper.make_node("Add", ["product", "bias"], [result]),
    ]


def stored_nodes(how: str, tensors: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """Store the kernel in another form; return what makes the kernel of it."""
    (kernel,) = (tensor for tensor in tensors if tensor.name == "kernel")
    values = numpy_helper.to_array(kernel)
    if how == "float16":
        node = helper.make_node("Cast", ["stored"], ["kernel"], to=TensorProto.FLOAT)
        stored = values.astype(np.float16)
    elif how == "transposed":
        node = helper.make_node("Transpose", ["stored"], ["kernel"], perm=[3, 2, 1, 0])
        stored = np.ascontiguousarray(values.T)
    else:
        node = helper.make_node("DequantizeLinear", ["stored", "width"], ["kernel"])
        tensors.append(numpy_helper.from_array(np.float32(0.03), "width"))
        stored = np.clip(np.round(values / 0.03), -127, 127).astype(np.int8)
    kernel.CopyFrom(numpy_helper.from_array(stored, "stored"))
    return [node]


def quantised_nodes(source: str, step: str, zero: str, result: str) -> list[onnx.NodeProto]:
    """Return what makes 8 bits of values and values of these, as ONNX Runtime's tool does."""
    return [
        helper.make_node("QuantizeLinear", [source, step, zero], [f"{result} bits"]),
        helper.make_node("DequantizeLinear", [f"{result} bits", step, zero], [result]),
    ]


def conditional_nodes(source: str, constant: str, result: str) -> list[onnx.NodeProto]:
    """Return an If, as PyTorch exports it, whose branches use what lies outside of them."""

    def branch(operation: str) -> onnx.GraphProto:
        node = helper.make_node(operation, [source, constant], [operation])
        made = helper.make_tensor_value_info(operation, TensorProto.FLOAT, None)
        return helper.make_graph([node], operation, [], [made])

    always = helper.make_tensor("always", TensorProto.BOOL, [], [True])
    return [
        helper.make_node("Constant", [], ["condition"], value=always),
        helper.make_node(
            "If", ["condition"], [result], then_branch=branch("Mul"), else_branch=branch("Add")
        ),
    ]


def expected(path: Path, pixels: np.ndarray, *, channels_first: bool = True) -> np.ndarray:
    """Run the file itself, one picture at a time."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = pixels.transpose(0, 3, 1, 2) if channels_first else pixels
    return np.concatenate([session.run(None, {"input.1": one[np.newaxis]})[0] for one in inputs])


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def photographs() -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


def class_file(tmp_path: Path, names: tuple[str, ...] = NAMES) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(names))
    return path


def import_it(folder: Path) -> None:
    import_model(folder / "model.onnx", class_file(folder), name="it", preprocessing="torch")


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize("channels_first", [True, False])
def test_logits_become_probabilities_and_channels_come_last(
    channels_first, batch, external, models, tmp_path
):
    source = tmp_path / "model.onnx"
    write_graph(source, channels_first=channels_first, batch=batch, external=external)
    manifest = import_model(source, class_file(tmp_path), name="it", preprocessing="torch")
    assert set(manifest.files) == {"model.onnx", "class_indices.json", "README.md"}
    assert any("softmax was added" in note for note in manifest.training["notes"])
    pixels = photographs()
    logits = expected(source, scale_pixels(pixels, "torch"), channels_first=channels_first)
    got = load_model("it").predict_probabilities(pixels)
    assert got == pytest.approx(softmax(logits), abs=1e-5)


@pytest.mark.parametrize(("ending", "kind"), [("Sigmoid", "sigmoid"), (None, "logit")])
def test_one_output_becomes_two_classes(ending, kind, models, tmp_path):
    source = tmp_path / "model.onnx"
    write_graph(source, outputs=1, ending=ending)
    names = class_file(tmp_path, ("cats", "dogs"))
    manifest = import_model(source, names, name="it", preprocessing="zero_to_one")
    assert any(kind in note for note in manifest.training["notes"])
    pixels = photographs()
    outputs = expected(source, scale_pixels(pixels, "zero_to_one"))[:, 0]
    second = outputs if ending else 1 / (1 + np.exp(-outputs))
    got = load_model("it").predict_probabilities(pixels)
    assert got[:, 1] == pytest.approx(second, abs=1e-5)
    assert got.sum(axis=1) == pytest.approx(1)


def test_logits_that_could_be_probabilities_are_known_by_the_layer_that_gives_them(
    models, tmp_path
):
    write_graph(tmp_path / "model.onnx", small_logits=True)
    import_it(tmp_path)
    logits = np.linspace(0.2, 0.6, 3)[np.newaxis].repeat(3, axis=0)
    got = load_model("it").predict_probabilities(photographs())
    assert got == pytest.approx(softmax(logits), abs=1e-6)


def test_probabilities_stay_what_they_are(models, tmp_path):
    source = tmp_path / "model.onnx"
    write_graph(source, ending="Softmax")
    manifest = import_model(source, class_file(tmp_path), name="it", preprocessing="zero_to_one")
    assert manifest.training["notes"] == []
    pixels = photographs()
    got = load_model("it").predict_probabilities(pixels)
    assert got == pytest.approx(expected(source, scale_pixels(pixels, "zero_to_one")), abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernel_stored": "float16"},
        {"kernel_stored": "transposed"},
        {"kernel_stored": "8 bits"},
        {"kernel_stored": "8 bits", "quantised": True},
    ],
)
def test_scaling_inside_is_found_and_not_done_twice(options, models, tmp_path):
    source = tmp_path / "model.onnx"
    write_graph(source, scaled_inside=True, **options)
    with pytest.raises(ModelBundleError, match=r"scales pixels itself \(Div: black becomes 0"):
        import_model(source, class_file(tmp_path), name="it", preprocessing="zero_to_one")
    assert import_model(source, class_file(tmp_path), name="it").preprocessing == "none"
    pixels = photographs()
    got = load_model("it").predict_probabilities(pixels)
    assert got == pytest.approx(softmax(expected(source, pixels.astype(np.float32))), abs=1e-5)


def test_bytes_that_are_read_as_values_are_scaled(models, tmp_path):
    source = tmp_path / "model.onnx"
    write_graph(source, scaled_inside=True)
    model = onnx.load(source)
    (division,) = (node for node in model.graph.node if node.op_type == "Div")
    at = list(model.graph.node).index(division)
    model.graph.node.insert(
        at, helper.make_node("Cast", [division.input[0]], ["bytes"], to=TensorProto.UINT8)
    )
    division.CopyFrom(helper.make_node("DequantizeLinear", ["bytes", "share"], division.output))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1 / 255), "share"))
    onnx.save(model, source)
    with pytest.raises(ModelBundleError, match=r"itself \(DequantizeLinear: black becomes 0"):
        import_model(source, class_file(tmp_path), name="it", preprocessing="zero_to_one")


def test_scaling_is_asked_for_with_the_usual_one(models, tmp_path):
    write_graph(tmp_path / "model.onnx")
    with pytest.raises(ModelBundleError, match="PyTorch are usually trained with torch"):
        import_model(tmp_path / "model.onnx", class_file(tmp_path), name="it")
    assert not models.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"cast": TensorProto.DOUBLE},
        {"cast": TensorProto.FLOAT16},
        {"renamed": "probabilities"},
        {"renamed": "pixels"},
        {"conditional": True},
        {"ending": "Softmax", "cast": TensorProto.DOUBLE},
    ],
)
def test_graph_of_another_type_or_of_names_that_are_ours_is_read(options, models, tmp_path):
    source = tmp_path / "model.onnx"
    write_graph(source, **options)
    import_it(tmp_path)
    pixels = photographs()
    outputs = expected(source, scale_pixels(pixels, "torch")).astype(np.float64)
    wanted = outputs if options.get("ending") else softmax(outputs)
    assert load_model("it").predict_probabilities(pixels) == pytest.approx(wanted, abs=2e-3)


def test_broken_weights_are_called_so(models, tmp_path):
    write_graph(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float32), "bias"))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelBundleError, match="gives NaN"):
        import_it(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": 4}, "tells 4 classes apart, but .* names 3"),
        ({"ending": "Sigmoid"}, "independent probabilities"),
        ({"ending": "Relu"}, "must end in a softmax"),
        ({"ending": "Softmax", "rounded": True}, "rounded; .* without rounding its softmax"),
        ({"domain": "my.own"}, "operations of my.own"),
        ({"over_batch": "mean"}, r"outputs of shape \(1, 3\) for 8 pictures"),
        ({"over_batch": "mixed"}, "answers differently for several pictures at once"),
        ({"takes": TensorProto.FLOAT16}, "another type than float32"),
        ({"side": 0}, "only square RGB pictures of a fixed size"),
        ({"side": 100_000}, "S at most 4096"),
    ],
)
def test_graph_that_does_not_fit_is_refused(options, message, models, tmp_path):
    write_graph(tmp_path / "model.onnx", **options)
    with pytest.raises(ModelBundleError, match=message):
        import_it(tmp_path)
    assert not models.exists()


def test_inputs_that_are_no_square_pictures_are_refused(models, tmp_path):
    shape = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])]
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, "h", "w"])]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", shape, out)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelBundleError, match="only square RGB pictures of a fixed size"):
        import_it(tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x08\x07 and then nothing of the kind"])
def test_other_content_is_a_clear_error(content, models, tmp_path):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelBundleError, match="no sound ONNX graph"):
        import_it(tmp_path)


def test_missing_file_and_missing_weights_are_clear_errors(models, tmp_path):
    with pytest.raises(ModelBundleError, match="Cannot read"):
        import_model(tmp_path / "no.onnx", class_file(tmp_path), name="it", preprocessing="torch")
    write_graph(tmp_path / "model.onnx", external=True)
    (tmp_path / "w.data").unlink()
    with pytest.raises(ModelBundleError, match=r"w\.data"):
        import_it(tmp_path)


def test_weights_outside_the_folder_are_not_read(models, tmp_path):
    (tmp_path / "inner").mkdir()
    write_graph(tmp_path / "inner" / "model.onnx", external=True)
    (tmp_path / "inner" / "w.data").rename(tmp_path / "w.data")
    model = onnx.load(tmp_path / "inner" / "model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../w.data"
    onnx.save(model, tmp_path / "inner" / "model.onnx")
    with pytest.raises(ModelBundleError, match=r"model\.onnx"):
        import_model(
            tmp_path / "inner" / "model.onnx",
            class_file(tmp_path),
            name="it",
            preprocessing="torch",
        )
