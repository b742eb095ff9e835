import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.training.learning.optimization import (
    cosine_learning_rate,
    set_trainable,
)
from har_core.training.network import (
    build_network,
    layer_depths,
    split_at_features,
    training_twin,
)


@pytest.fixture(scope="module")
def network():
    return build_network(15, backbone_weights="random", dropout=0.25)


def test_network_is_mobilenet_sequence_lstm_dropout_softmax(network):
    assert network.input_shape == (None, 224, 224, 3)
    assert [layer.name for layer in network.layers[-5:]] == [
        "out_relu",
        "sequence",
        "lstm",
        "dropout",
        "action",
    ]
    assert network.get_layer("sequence").output.shape == (None, 49, 1280)
    assert network.get_layer("lstm").units == 128
    assert network.get_layer("dropout").rate == 0.25
    # MobileNetV2 without its top has 2,257,984 parameters (Keras applications table).
    head = 4 * 128 * (1280 + 128 + 1) + 15 * 129
    assert network.count_params() == 2_257_984 + head


def test_backbone_and_head_together_are_the_network(network):
    backbone, head = split_at_features(network)
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    together = head(backbone(pixels))
    np.testing.assert_allclose(together, network(pixels), atol=1e-6)


def test_backbone_and_lstm_of_a_trained_network_are_taken_for_other_classes(network, tmp_path):
    network.save(tmp_path / "model.keras")
    other = build_network(3, backbone_weights=tmp_path / "model.keras")
    assert other.output_shape == (None, 3)
    for layer in ("block_16_project", "lstm"):
        taken, own = other.get_layer(layer).get_weights(), network.get_layer(layer).get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(taken, own, strict=True))


def test_missing_backbone_file_is_named(tmp_path):
    with pytest.raises(ModelBundleError, match=r"nowhere\.weights\.h5"):
        build_network(3, backbone_weights=tmp_path / "nowhere.weights.h5")


def test_without_a_connection_the_advice_can_be_followed_on_the_page(monkeypatch):
    import keras

    def fail(**_kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fail)
    with pytest.raises(ModelBundleError, match=r"URL fetch failure\. .*choose the effort standard"):
        build_network(3)


def test_file_that_is_no_backbone_is_refused_with_advice(tmp_path):
    (tmp_path / "broken.weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(ModelBundleError, match="--backbone-weights"):
        build_network(3, backbone_weights=tmp_path / "broken.weights.h5")


def test_learning_rate_warms_up_then_falls_to_nearly_zero():
    rates = [cosine_learning_rate(s, total=100, warmup=10, peak=1.0) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5)
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[-1] < 0.001


def test_layers_nearer_to_the_input_are_deeper(network):
    depths = layer_depths(network)
    path = ["Conv1", "block_1_expand", "block_16_project", "Conv_1", "action"]
    assert [depths[name] for name in path] == [18, 17, 2, 1, 0]


def test_network_for_training_computes_the_same_and_takes_any_size(network):
    twin = training_twin(network)
    pixels = np.random.default_rng(1).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    np.testing.assert_allclose(twin(pixels), network(pixels), atol=1e-6)
    assert twin(pixels[:, :160, :160]).shape == (1, 15)


def test_frozen_blocks_and_all_normalisation_keep_their_weights(network):
    set_trainable(network, frozen_blocks=3)
    trained = [layer.name for layer in network.layers if layer.trainable_variables]
    assert trained[0] == "block_3_expand"
    assert not [name for name in trained if "BN" in name or name.startswith("bn_")]
    set_trainable(network, frozen_blocks=0)
    assert network.get_layer("Conv1").trainable
