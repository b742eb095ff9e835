import io
import types

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from har_core.keras_io.feature_outputs import add_feature_outputs
from har_core.model.classifier import ActionModel
from har_core.model.engine import KerasEngine, OnnxEngine
from har_core.model.explanation import Explanation, _read_head, explain, gradient_map, overlay
from har_core.model.loading import load_model
from har_core.model.manifest import ONNX_FILE, BundleManifest
from tests.drawing import CLASS_NAMES, COLOURS

SIDE, CHANNELS, UNITS = 28, 6, 5


def lstm_network(seed=0):
    """Return an ONNX graph: pixels → 7×7×6 map → 49 steps → LSTM(5) → softmax of 3."""
    rng = np.random.default_rng(seed)
    tensors = {
        "conv": rng.normal(0, 0.6, (CHANNELS, 3, 4, 4)),
        "kernel": rng.normal(0, 0.8, (1, 4 * UNITS, CHANNELS)),
        "recurrent": rng.normal(0, 0.8, (1, 4 * UNITS, UNITS)),
        "offset": rng.normal(0, 0.3, (1, 8 * UNITS)),
        "weights": rng.normal(0, 2, (UNITS, 3)),
        "bias": rng.normal(0, 0.1, 3),
    }
    constants = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in tensors.items()]
    constants.append(numpy_helper.from_array(np.array([0, 49, CHANNELS], np.int64), "shape"))
    constants.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "conv"], ["wide"], strides=[4, 4]),
        helper.make_node("Relu", ["wide"], ["relu"]),
        helper.make_node("Transpose", ["relu"], ["map"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["map", "shape"], ["cells"]),
        helper.make_node("Transpose", ["cells"], ["sequence"], perm=[1, 0, 2]),
        helper.make_node(
            "LSTM",
            ["sequence", "kernel", "recurrent", "offset"],
            ["", "last"],
            hidden_size=UNITS,
        ),
        helper.make_node("Squeeze", ["last", "first"], ["state"]),
        helper.make_node("MatMul", ["state", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture
def lstm_model(tmp_path):
    (tmp_path / ONNX_FILE).write_bytes(add_feature_outputs(lstm_network()))
    manifest = BundleManifest("lstm", "lstm", SIDE, "minus_one_to_one", CLASS_NAMES)
    return ActionModel(manifest, OnnxEngine(tmp_path / ONNX_FILE)), tmp_path


def test_gradient_through_the_lstm_is_the_numerical_one(lstm_model):
    _, folder = lstm_model
    head = _read_head(folder / ONNX_FILE, 1)
    sequence = np.random.default_rng(0).normal(size=(49, CHANNELS))
    states, _ = head.forward(sequence)
    gradient = head.backward(states, head.weights[:, 1])
    # Of the last steps: what the first ones still say is smaller than any rounding.
    for step, channel in ((43, 0), (45, 3), (46, 1), (47, 4), (48, 5)):
        moved = np.zeros_like(sequence)
        moved[step, channel] = 1e-4
        rise = head.forward(sequence + moved)[1] - head.forward(sequence - moved)[1]
        expected = rise @ head.weights[:, 1] / 2e-4
        assert abs(expected) > 1e-4
        assert gradient[step, channel] == pytest.approx(expected, rel=1e-4)


def test_head_read_from_the_graph_gives_its_probabilities(lstm_model):
    model, folder = lstm_model
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    head = _read_head(folder / ONNX_FILE, 2)
    sequence = model.feature_map(pixels).reshape(49, CHANNELS).astype(np.float64)
    odds = np.exp(head.forward(sequence)[1] @ head.weights + head.bias)
    assert np.allclose(
        odds / odds.sum(), model.predict_probabilities(pixels[np.newaxis])[0], atol=1e-6
    )


def test_gradient_map_covers_the_map_and_follows_the_class(lstm_model):
    model, folder = lstm_model
    pixels = np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    maps = [gradient_map(model, folder, pixels, action=name) for name in CLASS_NAMES]
    assert all(m.cells.shape == (7, 7) and m.cells.min() >= 0 for m in maps)
    assert not np.allclose(maps[0].cells, maps[1].cells)
    (folder / ONNX_FILE).write_bytes(lstm_network(seed=1))  # of another model of its name
    assert not np.allclose(gradient_map(model, folder, pixels, CLASS_NAMES[0]).cells, maps[0].cells)


def two_colours(left, right):
    picture = np.empty((224, 224, 3), np.uint8)
    picture[:, :112], picture[:, 112:] = COLOURS[left], COLOURS[right]
    return picture


def test_of_two_pictures_side_by_side_the_right_half_lights_up_for_each_class(tiny_models):
    model = load_model()
    picture = two_colours("running", "clapping")
    for action, lit in (("running", slice(0, 3)), ("clapping", slice(4, 7))):
        cells = explain(model, picture, action=action).cells
        dark = slice(4, 7) if lit.start == 0 else slice(0, 3)
        assert cells[:, lit].mean() > cells[:, dark].mean()


def test_mirrored_picture_mirrors_the_map(tiny_models):
    # 224 is a multiple of 7, so that cells mirror onto cells.
    rng = np.random.default_rng(0)
    picture = np.asarray(
        Image.fromarray(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)).resize((224, 224))
    )
    cells = explain(load_model(), picture).cells
    mirrored = explain(load_model(), picture[:, ::-1]).cells
    assert np.allclose(mirrored, cells[:, ::-1], atol=0.02)


def test_explanation_of_a_class_that_there_is_not_is_refused(tiny_models):
    with pytest.raises(ValueError, match="no class 'flying'"):
        explain(load_model(), two_colours("running", "sitting"), action="flying")


def test_network_without_an_lstm_has_no_gradient_map(tiny_models):
    picture = two_colours("running", "sitting")
    assert gradient_map(load_model(), tiny_models / "tiny", picture) is None


def test_network_that_runs_without_a_graph_has_no_gradient_map(tiny_models, tmp_path):
    network = types.SimpleNamespace(input_shape=(None, SIDE, SIDE, 3), output_shape=(None, 3))
    engine = KerasEngine(network, tmp_path / "network.keras")
    model = ActionModel(load_model().manifest, engine)
    assert gradient_map(model, tmp_path, two_colours("running", "sitting")) is None


def test_overlay_is_a_picture_of_the_same_size(tiny_models):
    picture = two_colours("running", "clapping")
    drawn = Image.open(io.BytesIO(overlay(picture, explain(load_model(), picture))))
    assert drawn.size == (224, 224) and drawn.format == "PNG"


def test_overlay_keeps_the_light_of_what_speaks_for_the_class_alone():
    cells = np.zeros((7, 7))
    cells[3, 1], cells[3, 5] = 0.2, -0.4
    grey = np.full((70, 70, 3), 100, np.uint8)
    drawn = np.asarray(Image.open(io.BytesIO(overlay(grey, Explanation("a", "occlusion", cells)))))
    speaks_for, against, nothing = drawn[35, 15], drawn[35, 55], drawn[65, 65]
    assert (against == nothing).all() and (nothing == 35).all()
    assert speaks_for[0] > speaks_for[1] > speaks_for[2] > 70  # and warm
