"""A twin rounds as its 8-bit graph does, learns, and without rounding is the network it is of."""

import numpy as np
import pytest
from onnx import numpy_helper

from har_core.errors import ModelBundleError
from har_core.keras_io.feature_outputs import FEATURE_OUTPUTS, add_feature_outputs
from har_core.keras_io.onnx_export import export_onnx
from har_core.model.engine import OnnxEngine
from har_core.onnx_session import open_session
from har_core.training.learning.augmentation import prepare_pixels, unchanged
from har_core.training.learning.learner import Learner
from har_core.training.learning.optimization import make_optimizer
from har_core.training.quantization.folding import fold_normalisation, load_folded_weights
from har_core.training.quantization.graph import _Writer, quantised_graph
from har_core.training.quantization.ranges import best_range
from har_core.training.quantization.twin import quantised_twin, quantisers
from tests.har_core.training.quantization.conftest import SIZE


def run(graph, pixels, names=None, **settings):
    session = open_session(graph, **settings)
    rows = [session.run(names, {session.get_inputs()[0].name: row[None]}) for row in pixels]
    return [np.concatenate(values) for values in zip(*rows, strict=True)]


def test_folding_changes_nothing(network, pixels):
    folded = fold_normalisation(network)
    np.testing.assert_allclose(
        folded.predict_on_batch(pixels), network.predict_on_batch(pixels), atol=1e-5
    )
    assert not any("BatchNormalization" in type(layer).__name__ for layer in folded.layers)


def test_later_weights_come_in(network, pixels):
    import keras

    folded = fold_normalisation(network)
    later = keras.models.clone_model(network)
    later.set_weights([w + 0.01 for w in network.get_weights()])
    load_folded_weights(folded, later)
    np.testing.assert_allclose(
        folded.predict_on_batch(pixels), later.predict_on_batch(pixels), atol=1e-5
    )


def test_normalisation_without_convolution_is_refused():
    import keras

    pixels = keras.Input((SIZE, SIZE, 3))
    network = keras.Model(pixels, keras.layers.BatchNormalization(name="alone")(pixels))
    with pytest.raises(ModelBundleError, match="'alone' follows no convolution"):
        fold_normalisation(network)


def test_every_map_and_sum_is_rounded(twin):
    assert [layer.name for layer in quantisers(twin)] == [
        "Conv1_relu",
        "block_1_depthwise_relu",
        "block_1_project_bn",
        "block_2_expand_relu",
        "block_2_depthwise_relu",
        "block_2_project_bn",
        "block_2_add",
        "block_3_expand_relu",
        "block_3_project_bn",
        "Conv_1_relu",
    ]


def test_rounding_moves_probabilities_a_little(network, twin, pixels):
    difference = np.abs(twin.predict_on_batch(pixels) - network.predict_on_batch(pixels)).max()
    assert 1e-4 < difference < 0.15


def test_graph_computes_what_the_twin_does(twin, photographs, pixels):
    import onnx

    graph = quantised_graph(twin, SIZE)
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    expected = np.asarray(twin.predict_on_batch(pixels))
    for optimised in (False, True):
        probabilities, *_ = run(graph, photographs, optimised=optimised)
        np.testing.assert_allclose(probabilities, expected, atol=0.02)


def test_graph_has_the_features_of_the_float_graph(network, twin, photographs, pixels, tmp_path):
    export_onnx(network, tmp_path / "float.onnx", probe=pixels)
    names = list(FEATURE_OUTPUTS)
    of_float = run(add_feature_outputs((tmp_path / "float.onnx").read_bytes()), pixels, names)
    of_int8 = run(quantised_graph(twin, SIZE), photographs, names)
    for expected, found in zip(of_float, of_int8, strict=True):
        assert found.shape == expected.shape
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97


def test_bias_of_a_channel_without_weights_does_not_overflow():
    bias = np.array([7.0, -7.0, 0.5])
    kernel = np.stack([np.zeros((2, 1, 1)), np.zeros((2, 1, 1)), np.ones((2, 1, 1))])
    writer = _Writer(SIZE)
    writer._weights(kernel, bias, np.float32(0.01))
    codes, scale, _, biases, unit, _ = map(numpy_helper.to_array, writer._constants)
    np.testing.assert_allclose(biases * unit.astype(np.float64), bias, rtol=1e-5)
    np.testing.assert_allclose(codes * scale[:, None, None, None], kernel, atol=1e-5)


def test_photograph_has_one_answer_in_any_batch(twin, photographs, tmp_path):
    (tmp_path / "int8.onnx").write_bytes(quantised_graph(twin, SIZE))
    engine = OnnxEngine(tmp_path / "int8.onnx")
    assert engine.scales
    assert engine.n_features == 16
    probabilities, features, maps = engine.run_with_maps(photographs)
    whole = (probabilities, *features, maps)
    for i in (0, 5):
        answer, seen, map_ = engine.run_with_maps(photographs[i : i + 1], alone=False)
        for one, among_others in zip((answer, *seen, map_), whole, strict=True):
            np.testing.assert_array_equal(one[0], among_others[i])


def test_twin_learns_what_rounding_cost(network, twin, photographs, pixels):
    pupil = quantised_twin(network)
    pupil.set_weights(twin.get_weights())
    ranges = [float(layer.scale) for layer in quantisers(pupil)]
    kernel = pupil.get_layer("Conv_1").kernel
    kernel.assign(-np.asarray(kernel))
    # Only what lies behind rounded weights and before rounded maps can mend that.
    for layer in pupil.layers:
        layer.trainable = layer.name.startswith(("block_3", "Conv_1"))
    optimizer = make_optimizer(
        pupil, weight_decay=0.0, layer_decay=1.0, head_factor=1.0, ema_momentum=0.9
    )
    learner = Learner(pupil, optimizer, prepare_pixels)
    targets = network.predict_on_batch(pixels)
    losses = [
        float(learner.step(photographs, unchanged(16), targets, SIZE, 1e-2)) for _ in range(20)
    ]
    assert losses[-1] < 0.5 * losses[0]
    assert [float(layer.scale) for layer in quantisers(pupil)] == ranges


def test_range_with_the_least_error():
    values = np.linspace(-1, 3, 10_000, dtype=np.float32)
    scale, zero = best_range(values)
    assert scale == pytest.approx(4 / 255, rel=1e-3)
    assert zero == 64
    tailed = np.random.default_rng(0).normal(0, 1, 100_000).astype(np.float32)
    tailed[0] = 12
    assert best_range(tailed)[0] * 255 < 0.9 * np.ptp(tailed)  # a stray value takes few levels
    assert best_range(np.zeros(5, np.float32))[1] == 0
