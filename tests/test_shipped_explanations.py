"""What a map must do at least, on the shipped model; see Adebayo et al. 2018, arXiv:1810.03292."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from scipy.stats import spearmanr

from har_core.model.classifier import ActionModel
from har_core.model.engine import OnnxEngine
from har_core.model.explanation import CELLS, explain
from har_core.model.loading import load_model
from har_core.model.manifest import ONNX_FILE

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "models" / "cnn_lstm_har15"


@pytest.fixture(scope="module")
def model():
    return load_model(FOLDER)


def sample(model, name):
    return model.prepare(PROJECT / "dashboard" / "examples" / f"{name}.jpg")


@pytest.fixture(scope="module")
def cycling(model):
    return explain(model, sample(model, "cycling"), "cycling").cells


def likeness(one, other):
    return spearmanr(one.ravel(), other.ravel()).statistic


def test_shuffled_weights_change_the_map(model, cycling, tmp_path):
    graph = onnx.load(FOLDER / ONNX_FILE)
    rng = np.random.default_rng(0)
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim > 1 and values.dtype == np.float32:
            shuffled = rng.permutation(values.ravel()).reshape(values.shape)
            tensor.CopyFrom(numpy_helper.from_array(shuffled, tensor.name))
    onnx.save(graph, tmp_path / ONNX_FILE)
    shuffled_model = ActionModel(model.manifest, OnnxEngine(tmp_path / ONNX_FILE))
    cells = explain(shuffled_model, sample(model, "cycling"), "cycling").cells
    assert abs(likeness(cells, cycling)) < 0.5


def test_mirrored_picture_mirrors_the_map(model, cycling):
    cells = explain(model, sample(model, "cycling")[:, ::-1], "cycling").cells
    assert likeness(cells[:, ::-1], cycling) > 0.7
    assert likeness(cells[:, ::-1], cycling) > likeness(cells, cycling)


def test_of_two_pictures_side_by_side_each_lights_up_for_its_own_action(model):
    size = model.manifest.input_size
    pair = Image.new("RGB", (size, size))
    for name, x in (("cycling", 0), ("sleeping", size // 2)):
        half = Image.fromarray(sample(model, name)).resize((size // 2, size))
        pair.paste(half, (x, 0))
    middle = CELLS // 2
    for name, sign in (("cycling", 1), ("sleeping", -1)):
        cells = explain(model, np.asarray(pair), name).cells
        left, right = cells[:, :middle].mean(), cells[:, middle + 1 :].mean()
        assert sign * left > sign * right
