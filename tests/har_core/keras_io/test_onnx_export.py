import numpy as np
import onnx
import onnxruntime
import pytest

from har_core.errors import ModelBundleError
from har_core.keras_io.onnx_export import export_onnx
from har_core.model.engine import OnnxEngine

SIDE = 32


@pytest.fixture(scope="module")
def network():
    """A network of the real one's kind: convolution, grid to sequence, LSTM, softmax."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(8, 3, strides=8, padding="same", activation="relu6"),
            layers.BatchNormalization(),
            layers.Reshape((16, 8)),
            layers.LSTM(12),
            layers.Dropout(0.5),
            layers.Dense(5, kernel_initializer="random_normal", activation="softmax"),
        ]
    )


@pytest.fixture
def probe():
    return draw_probe()


def draw_probe():
    return np.random.default_rng(0).uniform(-1, 1, (3, SIDE, SIDE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    assert export_onnx(network, path, probe=draw_probe()) <= 1e-4
    return path


def test_exported_graph_gives_the_probabilities_of_the_network(network, probe, exported):
    expected = np.asarray(network(probe, training=False))
    assert np.ptp(expected, axis=0).max() > 1e-3, "the probe must tell the outputs apart"
    assert OnnxEngine(exported).run(probe) == pytest.approx(expected, abs=1e-5)


def test_exported_graph_takes_any_batch_size_and_names_its_ends(exported):
    session = onnxruntime.InferenceSession(exported)
    (pixels,), (probabilities,) = session.get_inputs(), session.get_outputs()
    assert (pixels.name, pixels.shape) == ("pixels", ["batch", SIDE, SIDE, 3])
    assert (probabilities.name, probabilities.shape) == ("probabilities", ["batch", 5])
    for n in (1, 7):
        batch = np.zeros((n, SIDE, SIDE, 3), np.float32)
        assert session.run(None, {"pixels": batch})[0].shape == (n, 5)


def test_lstm_becomes_one_operation_instead_of_a_loop(exported):
    graph = onnx.load(exported)
    operations = [node.op_type for node in graph.graph.node]
    assert operations.count("LSTM") == 1
    assert "Loop" not in operations and "Scan" not in operations
    assert [o.version for o in graph.opset_import if o.domain == ""] == [17]


def test_graph_that_differs_is_refused_and_the_old_file_stays(probe, tmp_path):
    import keras
    import tensorflow as tf
    from keras import layers

    class Noise(layers.Layer):
        def call(self, inputs):
            return inputs + tf.random.uniform(tf.shape(inputs))

    pixels = keras.Input((SIDE, SIDE, 3))
    noisy = Noise()(layers.GlobalAveragePooling2D()(pixels))
    random_network = keras.Model(pixels, layers.Activation("softmax")(noisy))
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ModelBundleError, match=r"differs .* by up to .*not written"):
        export_onnx(random_network, path, probe=probe)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_nan_counts_as_a_difference(network, probe, tmp_path):
    probe[1] = np.nan
    with pytest.raises(ModelBundleError, match="differs"):
        export_onnx(network, tmp_path / "model.onnx", probe=probe)
    assert not (tmp_path / "model.onnx").exists()


def test_operation_unknown_to_onnx_is_a_clear_error(probe, tmp_path):
    import keras
    from keras import layers

    pixels = keras.Input((SIDE, SIDE, 3))
    features = layers.GlobalAveragePooling2D()(pixels)
    special = keras.ops.erfinv(features * 0.1)
    exotic = keras.Model(pixels, layers.Dense(4, activation="softmax")(special), name="exotic")
    with pytest.raises(ModelBundleError, match=r"'exotic'.*Erfinv"):
        export_onnx(exotic, tmp_path / "model.onnx", probe=probe)
    assert list(tmp_path.iterdir()) == []


def test_constants_of_a_normalization_are_stored(tmp_path):
    import keras

    scaling = keras.layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])
    pixels = keras.Input((8, 8, 3))
    mirrored = keras.ops.stack([scaling(pixels)[..., channel] for channel in (2, 1, 0)], axis=-1)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(mirrored))
    network = keras.Model(pixels, keras.layers.Dense(2, activation="softmax")(x))
    probe = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    assert export_onnx(network, tmp_path / "it.onnx", probe=probe) < 1e-4


def test_probe_of_another_size_is_a_programming_error(network, tmp_path):
    with pytest.raises(ValueError, match=r"\(2, 16, 16, 3\)"):
        export_onnx(network, tmp_path / "model.onnx", probe=np.zeros((2, 16, 16, 3)))


def test_unwritable_destination_is_a_clear_error(network, probe, tmp_path):
    with pytest.raises(ModelBundleError, match="Cannot write"):
        export_onnx(network, tmp_path / "missing" / "model.onnx", probe=probe)
