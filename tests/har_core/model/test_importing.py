import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from har_core.errors import DatasetError, ModelBundleError
from har_core.images.preprocessing import resize_image, scale_pixels
from har_core.keras_io.loading import load_network
from har_core.model import bundle
from har_core.model.importing import import_model
from har_core.model.loading import load_model
from tests.drawing import CLASS_NAMES, draw_photo, photo_bytes

SIDE = 32


def small_network(activation: str | None = "softmax", outputs: int = 3, side: int = SIDE) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((side, side, 3)),
            layers.Conv2D(8, 4, strides=4, activation="relu"),
            layers.Reshape((-1, 8)),
            layers.LSTM(8),
            layers.Dense(outputs, activation=activation, kernel_initializer="random_normal"),
        ]
    )
    model.compile("adam", "categorical_crossentropy")
    return model


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture
def source(network, tmp_path) -> Path:
    network.save(tmp_path / "action_recognition_model.keras")
    return tmp_path / "action_recognition_model.keras"


@pytest.fixture
def indices(tmp_path) -> Path:
    path = tmp_path / "class_indices.json"
    path.write_text(json.dumps({name: i for i, name in enumerate(CLASS_NAMES)}))
    return path


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def test_imported_model_predicts_as_the_file_does(source, indices, models, network):
    manifest = import_model(source, indices, preprocessing="zero_to_one", name="mine")
    assert manifest == bundle.verify_bundle(models / "mine")
    assert manifest.class_names == CLASS_NAMES
    assert (manifest.input_size, manifest.preprocessing) == (SIDE, "zero_to_one")
    assert manifest.training["imported_from"] == source.name
    assert manifest.training["imported_sha256"] == bundle.sha256_of_file(source)
    assert manifest.training["onnx_error"] is None
    assert manifest.training["onnx_difference"] <= 1e-4

    image = np.asarray(draw_photo("sitting"))
    pixels = scale_pixels(resize_image(image, SIDE), "zero_to_one")[np.newaxis]
    expected = np.asarray(network(pixels, training=False))[0]
    prediction = load_model("mine").predict(image)
    assert list(prediction.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    saved = load_network(models / "mine" / "model.keras")
    assert np.asarray(saved(pixels))[0] == pytest.approx(expected, abs=1e-6)


def test_class_that_is_called_like_a_column_is_refused(source, tmp_path, models):
    indices = tmp_path / "reserved.json"
    indices.write_text(json.dumps({"0": "clapping", "1": "confidence", "2": "sitting"}))
    with pytest.raises(DatasetError, match="cannot be called 'confidence'"):
        import_model(source, indices, preprocessing="zero_to_one", name="mine")


def test_imported_bundle_holds_everything_it_promises(source, indices, models):
    manifest = import_model(source, indices, preprocessing="zero_to_one", name="mine")
    assert set(manifest.files) == {
        "model.keras",
        "model.onnx",
        "class_indices.json",
        "README.md",
    }
    assert json.loads((models / "mine" / "class_indices.json").read_text()) == {
        "0": "clapping",
        "1": "running",
        "2": "sitting",
    }
    card = (models / "mine" / "README.md").read_text()
    for fact in (source.name, "zero_to_one", "32 × 32", "clapping, running, sitting", "ONNX"):
        assert fact in card


def test_optimizer_is_left_behind(source, indices, models):
    import_model(source, indices, preprocessing="zero_to_one", name="mine")
    with zipfile.ZipFile(models / "mine" / "model.keras") as archive:
        assert not json.loads(archive.read("config.json")).get("compile_config")
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    assert "optimizer" not in weights


def test_imported_model_is_served_without_tensorflow(source, indices, models, tmp_path):
    import_model(source, indices, preprocessing="minus_one_to_one", name="mine")
    (tmp_path / "photo.jpg").write_bytes(photo_bytes())
    code = (
        "import sys, har_core; print(har_core.load_model('mine').predict(sys.argv[1]).action);"
        "sys.exit('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "photo.jpg")]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert answer.stdout.strip() in CLASS_NAMES


def test_keras_2_file_is_imported(indices, models, tmp_path):
    k2 = pytest.importorskip("tf_keras")
    layers = k2.layers
    pixels = k2.Input((SIDE, SIDE, 3))
    inner = k2.Sequential(
        [k2.Input((SIDE, SIDE, 3)), layers.Conv2D(4, 8, strides=8), layers.BatchNormalization()]
    )
    x = layers.LSTM(8)(layers.Reshape((16, 4))(inner(pixels)))
    old = k2.Model(pixels, layers.Dense(3, activation="softmax")(x))
    old.save(tmp_path / "old.h5")
    manifest = import_model(
        tmp_path / "old.h5", indices, preprocessing="zero_to_one", name="old", models_folder=models
    )
    assert manifest.training["onnx_error"] is None
    image = np.asarray(draw_photo("running"))
    scaled = scale_pixels(resize_image(image, SIDE), "zero_to_one")[np.newaxis]
    expected = old(scaled, training=False).numpy()[0]
    got = load_model(models / "old").predict(image).probabilities
    assert list(got.values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_network_that_onnx_cannot_express_is_served_through_keras(indices, models, tmp_path):
    import keras

    pixels = keras.Input((SIDE, SIDE, 3))
    x = keras.ops.erfinv(keras.layers.GlobalAveragePooling2D()(pixels) * 0.1)
    exotic = keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x))
    exotic.save(tmp_path / "exotic.keras")
    manifest = import_model(
        tmp_path / "exotic.keras", indices, preprocessing="zero_to_one", name="exotic"
    )
    assert "model.onnx" not in manifest.files
    assert "Erfinv" in manifest.training["onnx_error"]
    assert "Erfinv" in (models / "exotic" / "README.md").read_text()
    prediction = load_model("exotic").predict(photo_bytes())
    assert sum(prediction.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("network_options", "message"),
    [
        ({"activation": None}, "look like logits; append a softmax"),
        ({"activation": "sigmoid"}, "sigmoid"),
        ({"outputs": 4}, r"outputs of shape \(None, 4\).*names 3 classes"),
    ],
)
def test_network_that_does_not_fit_is_refused(network_options, message, indices, models, tmp_path):
    small_network(**network_options).save(tmp_path / "other.keras")
    with pytest.raises(ModelBundleError, match=message):
        import_model(tmp_path / "other.keras", indices, preprocessing="zero_to_one", name="mine")
    assert not models.exists()


@pytest.mark.parametrize("shape", [(32, 48, 3), (32, 32, 1), (None, None, 3), (100,)])
def test_network_for_other_inputs_is_refused(shape, indices, models, tmp_path):
    import keras

    pixels = keras.Input(shape)
    x = keras.layers.GlobalAveragePooling2D()(pixels) if len(shape) == 3 else pixels
    model = keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x))
    model.save(tmp_path / "other.keras")
    with pytest.raises(ModelBundleError, match="only square RGB pictures"):
        import_model(tmp_path / "other.keras", indices, preprocessing="zero_to_one", name="mine")


def test_network_with_broken_weights_is_refused(indices, models, tmp_path):
    broken = small_network()
    weights = broken.get_weights()
    weights[0][:] = np.nan
    broken.set_weights(weights)
    broken.save(tmp_path / "broken.keras")
    with pytest.raises(ModelBundleError, match="NaN"):
        import_model(tmp_path / "broken.keras", indices, preprocessing="zero_to_one", name="mine")


def test_existing_bundle_is_replaced_only_on_request(source, indices, models, monkeypatch):
    first = import_model(source, indices, preprocessing="zero_to_one", name="mine")
    with monkeypatch.context() as patch:
        patch.setattr("har_core.model.importing.load_network", lambda path: pytest.fail("loaded"))
        with pytest.raises(ModelBundleError, match="exists already"):
            import_model(source, indices, preprocessing="minus_one_to_one", name="mine")
    assert bundle.verify_bundle(models / "mine") == first
    second = import_model(
        source, indices, preprocessing="minus_one_to_one", name="mine", overwrite=True
    )
    assert bundle.verify_bundle(models / "mine") == second != first


def test_invalid_name_and_missing_files_are_refused(source, indices, models, tmp_path):
    with pytest.raises(ModelBundleError, match="cannot be a model name"):
        import_model(source, indices, preprocessing="zero_to_one", name="../mine")
    with pytest.raises(ModelBundleError, match="class index file"):
        import_model(source, tmp_path / "no.json", preprocessing="zero_to_one", name="mine")
    with pytest.raises(ModelBundleError, match="No such file"):
        import_model(tmp_path / "no.h5", indices, preprocessing="zero_to_one", name="mine")
    with pytest.raises(ModelBundleError, match="zero_to_one, not 'imagenet'"):
        import_model(source, indices, preprocessing="imagenet", name="mine")
    assert not models.exists()


def test_plain_keras_file_is_served_with_the_class_names_beside_it(source, indices, network):
    image = np.asarray(draw_photo("running"))
    pixels = scale_pixels(resize_image(image, SIDE), "zero_to_one")[np.newaxis]
    expected = np.asarray(network(pixels, training=False))[0]
    model = load_model(source, preprocessing="zero_to_one")
    assert model.class_names == CLASS_NAMES
    got = list(model.predict(image).probabilities.values())
    assert got == pytest.approx(expected.tolist(), abs=1e-6)


def test_plain_keras_file_without_class_names_is_refused_with_advice(source):
    with pytest.raises(ModelBundleError, match=r"needs a class_indices\.json beside it"):
        load_model(source)
