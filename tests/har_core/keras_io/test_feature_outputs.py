import numpy as np
import onnxruntime
import pytest

from har_core.errors import ModelBundleError
from har_core.keras_io.feature_outputs import (
    FEATURE_OUTPUTS,
    MAP_OUTPUT,
    MEANS_OUTPUT,
    PEAKS_OUTPUT,
    add_feature_outputs,
)
from tests.drawing import colour_network, conv_network, draw_photo


def scaled_photos(n=3):
    photos = [np.asarray(draw_photo("running", seed).resize((224, 224))) for seed in range(n)]
    return np.stack(photos).astype(np.float32) / 127.5 - 1


def run(graph, outputs, pixels):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(outputs, {"pixels": pixels})


def test_outputs_are_the_last_map_its_peaks_and_the_bottlenecks_means():
    graph = add_feature_outputs(conv_network())
    maps, means, peaks = run(graph, [MAP_OUTPUT, MEANS_OUTPUT, PEAKS_OUTPUT], scaled_photos())
    assert maps.shape == (3, 7, 7, 12) and means.shape == (3, 6) and peaks.shape == (3, 12)
    assert np.array_equal(peaks, maps.max(axis=(1, 2)))
    # The wide map is made of the narrow one, whose first three channels it copies, plus 1.
    assert np.allclose(maps[..., :3].mean(axis=(1, 2)) - 1, means[:, :3], atol=1e-5)


def test_probabilities_stay_the_first_output_and_the_same():
    before, after = conv_network(), add_feature_outputs(conv_network())
    session = onnxruntime.InferenceSession(after, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["probabilities", *FEATURE_OUTPUTS]
    assert np.array_equal(
        run(before, None, scaled_photos())[0], run(after, ["probabilities"], scaled_photos())[0]
    )


def test_a_graph_that_has_the_outputs_is_left_alone():
    graph = add_feature_outputs(conv_network())
    assert add_feature_outputs(graph) is graph


def test_network_without_a_convolution_has_the_means_of_its_only_map():
    maps, means = run(
        add_feature_outputs(colour_network()), [MAP_OUTPUT, MEANS_OUTPUT], scaled_photos()
    )
    assert np.allclose(maps.mean(axis=(1, 2)), means, atol=1e-3)


def test_network_without_any_map_is_refused():
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Softmax", ["x"], ["y"])],
        "flat",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelBundleError, match="no feature map"):
        add_feature_outputs(model.SerializeToString())
