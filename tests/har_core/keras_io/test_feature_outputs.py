import numpy as np
import onnx
import onnxruntime
import pytest

from har_core.errors import ModelBundleError
from har_core.keras_io.feature_outputs import (
    FEATURE_OUTPUTS,
    MAP_OUTPUT,
    MEANS_OUTPUT,
    PEAKS_OUTPUT,
    SPREADS_OUTPUT,
    add_feature_outputs,
    last_feature_map,
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


def test_outputs_are_the_same_of_a_later_opset():
    later = onnx.version_converter.convert_version(onnx.load_from_string(conv_network()), 18)
    graph = add_feature_outputs(later.SerializeToString())
    expected = run(add_feature_outputs(conv_network()), FEATURE_OUTPUTS, scaled_photos())
    for values, others in zip(run(graph, FEATURE_OUTPUTS, scaled_photos()), expected, strict=True):
        assert np.allclose(values, others, atol=1e-5)


@pytest.mark.parametrize("graph", [colour_network(), conv_network()])
def test_further_outputs_are_no_maps_of_the_network(graph):
    before = last_feature_map(onnx.load_from_string(graph))
    assert last_feature_map(onnx.load_from_string(add_feature_outputs(graph))) == before


def test_spreads_are_the_deviation_of_the_last_map_where_one_convolution_widens():
    maps, spreads = run(
        add_feature_outputs(conv_network()), [MAP_OUTPUT, SPREADS_OUTPUT], scaled_photos()
    )
    assert np.allclose(spreads, maps.std(axis=(1, 2)), atol=1e-5)


def test_spreads_are_of_the_last_but_one_widened_map_behind_its_activation():
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    shapes = {"a": (5, 3, 32, 32), "b": (20, 5, 1, 1), "c": (6, 20, 1, 1), "d": (24, 6, 1, 1)}
    nodes, source = [helper.make_node("Transpose", ["pixels"], ["x"], perm=[0, 3, 1, 2])], "x"
    for name in shapes:
        strides = [32, 32] if name == "a" else [1, 1]
        nodes.append(helper.make_node("Conv", [source, name], [f"{name}_conv"], strides=strides))
        nodes.append(helper.make_node("Relu", [f"{name}_conv"], [f"{name}_map"]))
        source = f"{name}_map"
    nodes += [
        helper.make_node("ReduceMean", [source], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["mean"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "two bottlenecks",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 224, 224, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 24])],
        [
            numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n)
            for n, s in shapes.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    extended = onnx.load_from_string(add_feature_outputs(model.SerializeToString()))
    extended.graph.output.append(helper.make_empty_tensor_value_info("b_map"))
    wide, spreads = run(extended.SerializeToString(), ["b_map", SPREADS_OUTPUT], scaled_photos())
    assert spreads.shape == (3, 20)
    assert np.allclose(spreads, wide.std(axis=(2, 3)), rtol=1e-4, atol=1e-3)


def test_outputs_of_an_earlier_version_are_made_anew():
    earlier = onnx.load_from_string(add_feature_outputs(conv_network()))
    kept = [o for o in earlier.graph.output if o.name != SPREADS_OUTPUT]
    nodes = [n for n in earlier.graph.node if not n.output[0].startswith(SPREADS_OUTPUT)]
    del earlier.graph.output[:], earlier.graph.node[:]
    earlier.graph.output.extend(kept)
    earlier.graph.node.extend(nodes)
    graph = add_feature_outputs(earlier.SerializeToString())
    for old, new in zip(
        run(add_feature_outputs(conv_network()), None, scaled_photos()),
        run(graph, None, scaled_photos()),
        strict=True,
    ):
        assert np.array_equal(old, new)


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
