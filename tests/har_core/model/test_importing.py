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
from PIL import Image

from har_core.errors import DatasetError, ModelBundleError
from har_core.images.preprocessing import PREPROCESSINGS, resize_image, scale_pixels
from har_core.keras_io.candidates import usual_preprocessing
from har_core.keras_io.loading import load_network
from har_core.model import bundle
from har_core.model.importing import import_model
from har_core.model.loading import load_model
from har_core.settings import shipped
from tests.drawing import CLASS_NAMES, draw_photo, photo_bytes

SIDE = 32


def small_network(
    activation: str | None = "softmax", outputs: int = 3, *, recurrent: bool = False
) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(8, 8, strides=8, activation="relu"),
            layers.Reshape((-1, 8)),
            layers.LSTM(8) if recurrent else layers.GlobalAveragePooling1D(),
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


@pytest.fixture(scope="module")
def recurrent():
    return small_network(recurrent=True)


@pytest.fixture(scope="module")
def imported(recurrent, tmp_path_factory):
    """Return the file of a network, the folder of the bundle made of it, and the manifest."""
    root = tmp_path_factory.mktemp("imported")
    source, indices = root / "action_recognition_model.keras", root / "class_indices.json"
    recurrent.save(source)
    indices.write_text(json.dumps({name: i for i, name in enumerate(CLASS_NAMES)}))
    options = {"preprocessing": "zero_to_one", "name": "mine", "models_folder": root / "models"}
    return source, root / "models" / "mine", import_model(source, indices, **options)


def test_imported_model_predicts_as_the_file_does(imported, recurrent):
    source, folder, manifest = imported
    assert manifest == bundle.verify_bundle(folder)
    assert manifest.class_names == CLASS_NAMES
    assert (manifest.input_size, manifest.preprocessing) == (SIDE, "zero_to_one")
    assert manifest.training["imported_from"] == source.name
    assert manifest.training["imported_sha256"] == bundle.sha256_of_file(source)
    assert manifest.training["onnx_error"] is None
    assert manifest.training["onnx_difference"] <= 1e-4

    image = np.asarray(draw_photo("sitting"))
    pixels = scale_pixels(resize_image(image, SIDE), "zero_to_one")[np.newaxis]
    expected = np.asarray(recurrent(pixels, training=False))[0]
    prediction = load_model(folder).predict(image)
    assert list(prediction.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    saved = load_network(folder / "model.keras")
    assert np.asarray(saved(pixels))[0] == pytest.approx(expected, abs=1e-6)


def test_class_that_is_called_like_a_column_is_refused(source, tmp_path, models):
    indices = tmp_path / "reserved.json"
    indices.write_text(json.dumps({"0": "clapping", "1": "confidence", "2": "sitting"}))
    with pytest.raises(DatasetError, match="cannot be called 'confidence'"):
        import_model(source, indices, preprocessing="zero_to_one", name="mine")


def test_imported_bundle_holds_everything_it_promises(imported):
    source, folder, manifest = imported
    assert set(manifest.files) == {
        "model.keras",
        "model.onnx",
        "class_indices.json",
        "README.md",
    }
    assert json.loads((folder / "class_indices.json").read_text()) == {
        "0": "clapping",
        "1": "running",
        "2": "sitting",
    }
    card = (folder / "README.md").read_text()
    for fact in (source.name, "zero_to_one", "32 × 32", "clapping, running, sitting", "ONNX"):
        assert fact in card


def test_optimizer_is_left_behind(imported):
    with zipfile.ZipFile(imported[1] / "model.keras") as archive:
        assert not json.loads(archive.read("config.json")).get("compile_config")
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    assert "optimizer" not in weights


def test_imported_model_is_served_without_tensorflow(imported, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(photo_bytes())
    code = (
        "import sys, har_core; print(har_core.load_model(sys.argv[2]).predict(sys.argv[1]).action);"
        "sys.exit('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "photo.jpg"), str(imported[1])]
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
        ({"activation": "relu"}, "must end in a softmax, or in a layer without activation"),
        ({"activation": "sigmoid"}, "sigmoid"),
        ({"outputs": 4}, r"tells 4 classes apart, but .* names 3; .* model\.$"),
        ({"outputs": 1, "activation": "sigmoid"}, "names 3; .* one output .* second class"),
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


def test_network_for_huge_pictures_is_refused_before_any_is_drawn(indices, models, tmp_path):
    import keras

    pixels = keras.Input((100_000, 100_000, 3))
    x = keras.layers.GlobalAveragePooling2D()(pixels)
    keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x)).save(tmp_path / "big.keras")
    with pytest.raises(ModelBundleError, match="S at most 4096"):
        import_model(tmp_path / "big.keras", indices, preprocessing="zero_to_one", name="mine")


def test_network_that_cannot_be_computed_here_is_refused_in_one_line(indices, models, tmp_path):
    import keras
    from keras import layers

    network = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Flatten(),
            layers.Dense(3, bias_initializer=keras.initializers.Constant(100)),
            layers.Embedding(1, 1),  # has no hundredth row
            layers.Flatten(),
            layers.Softmax(),
        ]
    )
    network.save(tmp_path / "first.keras")
    with pytest.raises(ModelBundleError, match=r"Keras cannot run .*first\.keras: ") as refusal:
        import_model(tmp_path / "first.keras", indices, preprocessing="zero_to_one", name="mine")
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("outputs", [1, 3])
def test_last_activation_is_found_behind_what_changes_no_value(outputs, indices, models, tmp_path):
    import keras

    inner = small_network("sigmoid", outputs)
    as_float = keras.layers.Activation("linear", dtype="float32")  # as mixed precision wants it
    pixels = keras.Input((SIDE, SIDE, 3))
    network = keras.Model(pixels, as_float(keras.layers.Reshape((outputs,))(inner(pixels))))
    network.save(tmp_path / "it.keras")
    if outputs == 3:
        with pytest.raises(ModelBundleError, match="independent probabilities"):
            import_model(tmp_path / "it.keras", indices, preprocessing="zero_to_one", name="mine")
        return
    indices.write_text('{"cats": 0, "dogs": 1}')
    import_model(tmp_path / "it.keras", indices, preprocessing="zero_to_one", name="mine")
    pixels = np.asarray(draw_photo("running").resize((SIDE, SIDE)))[np.newaxis]
    second = np.asarray(inner(scale_pixels(pixels, "zero_to_one")))[:, 0]
    assert load_model("mine").predict_probabilities(pixels)[:, 1] == pytest.approx(second, abs=1e-4)


def test_network_that_takes_whole_numbers_gets_no_scaled_ones(indices, models, tmp_path):
    import keras
    from keras import layers

    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    x = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(pixels))
    network = keras.Model(pixels, layers.Dense(3, activation="softmax")(x))
    network.save(tmp_path / "it.keras")
    with pytest.raises(ModelBundleError, match="takes pixels as whole numbers"):
        import_model(
            tmp_path / "it.keras",
            indices,
            preprocessing="zero_to_one",
            scaled_before=True,
            name="mine",
        )
    assert import_model(tmp_path / "it.keras", indices, name="mine").preprocessing == "none"
    photograph = np.asarray(draw_photo("running").resize((SIDE, SIDE)))[np.newaxis]
    expected = np.asarray(network(photograph))
    assert load_model("mine").predict_probabilities(photograph) == pytest.approx(expected, abs=1e-4)


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
        patch.setattr(
            "har_core.keras_io.candidates.load_network", lambda path: pytest.fail("loaded")
        )
        with pytest.raises(ModelBundleError, match="exists already"):
            import_model(source, indices, preprocessing="minus_one_to_one", name="mine")
    assert bundle.verify_bundle(models / "mine") == first
    second = import_model(
        source, indices, preprocessing="minus_one_to_one", name="mine", overwrite=True
    )
    assert bundle.verify_bundle(models / "mine") == second != first


def test_nothing_that_is_read_or_is_no_bundle_is_overwritten(source, indices, models):
    options = {"preprocessing": "zero_to_one", "name": "mine", "overwrite": True}
    (models / "mine").mkdir(parents=True)
    (models / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelBundleError, match="mine is no model bundle and is not overwritten"):
        import_model(source, indices, **options)
    (models / "mine" / "thesis.txt").rename(models / "thesis.txt")
    (models / "mine").rmdir()
    import_model(source, indices, **options)
    with pytest.raises(ModelBundleError, match=r"model\.onnx is read and would be replaced"):
        import_model(models / "mine" / "model.onnx", indices, **options)
    (models / "mine" / "labels.txt").write_text("\n".join(CLASS_NAMES[:3]))
    with pytest.raises(ModelBundleError, match=r"labels\.txt is read and would be replaced"):
        import_model(source, models / "mine" / "labels.txt", **options)
    # The new bundle holds the same again.
    import_model(source, models / "mine" / "class_indices.json", **options)


def test_graph_of_the_shipped_bundle_is_imported_again(models):
    shipped_bundle = shipped("models/cnn_lstm_har15")
    graph, names = shipped_bundle / "model.onnx", shipped_bundle / "class_indices.json"
    import_model(graph, names, preprocessing="minus_one_to_one", name="again")
    picture = np.asarray(draw_photo("running").resize((224, 224)))[np.newaxis]
    expected = load_model(shipped_bundle).predict_probabilities(picture, raw=True)
    got = load_model("again").predict_probabilities(picture, raw=True)
    assert got == pytest.approx(expected, abs=1e-4)


def test_invalid_name_and_missing_files_are_refused(source, indices, models, tmp_path):
    with pytest.raises(ModelBundleError, match="cannot be a model name"):
        import_model(source, indices, preprocessing="zero_to_one", name="../mine")
    with pytest.raises(
        ModelBundleError, match=r"class index file .*: No such file or directory\.$"
    ):
        import_model(source, tmp_path / "no.json", preprocessing="zero_to_one", name="mine")
    with pytest.raises(ModelBundleError, match="No such file"):
        import_model(tmp_path / "no.h5", indices, preprocessing="zero_to_one", name="mine")
    with pytest.raises(ModelBundleError, match="caffe or torch, not 'imagenet'"):
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


@pytest.mark.parametrize("activation", [None, "log_softmax"])
def test_logits_get_a_softmax_and_it_is_said(activation, indices, models, tmp_path):
    logits = small_network(activation=activation)
    logits.save(tmp_path / "logits.keras")
    manifest = import_model(
        tmp_path / "logits.keras", indices, preprocessing="zero_to_one", name="mine"
    )
    assert manifest.training["notes"] == ["The network gives logits; a softmax was added."]
    assert "a softmax was added" in (models / "mine" / "README.md").read_text()
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    given = np.asarray(logits(scale_pixels(pixels, "zero_to_one")), np.float64)
    expected = np.exp(given) / np.exp(given).sum(axis=1, keepdims=True)
    assert load_model("mine").predict_probabilities(pixels) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_output_becomes_two_classes(activation, models, tmp_path):
    one = small_network(activation=activation, outputs=1)
    one.save(tmp_path / "one.keras")
    (tmp_path / "classes.json").write_text('{"cats": 0, "dogs": 1}')
    manifest = import_model(
        tmp_path / "one.keras", tmp_path / "classes.json", preprocessing="zero_to_one", name="pets"
    )
    assert manifest.class_names == ("cats", "dogs")
    assert "second class (index 1)" in manifest.training["notes"][0]
    assert set(manifest.files) >= {"model.keras", "model.onnx"}
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    given = np.asarray(one(scale_pixels(pixels, "zero_to_one")), np.float64)[:, 0]
    dogs = given if activation else 1 / (1 + np.exp(-given))
    got = load_model("pets").predict_probabilities(pixels)
    assert got == pytest.approx(np.stack([1 - dogs, dogs], axis=1), abs=1e-5)


def rescaling_network() -> Any:
    import keras

    inner = small_network()
    pixels = keras.Input((SIDE, SIDE, 3))
    return keras.Model(pixels, inner(keras.layers.Rescaling(1 / 255)(pixels)))


@pytest.mark.filterwarnings("error:The structure of `inputs`")
def test_keras_has_nothing_to_say_of_how_its_network_is_called(indices, models, tmp_path):
    import keras

    inner = small_network(None)
    pixels = keras.Input((SIDE, SIDE, 3))
    logits = keras.Model(pixels, inner(keras.layers.Rescaling(1 / 255)(pixels)))
    logits.save(tmp_path / "logits.keras")
    import_model(tmp_path / "logits.keras", indices, name="mine")


def test_network_that_scales_pixels_itself_is_never_scaled_twice_unasked(indices, models, tmp_path):
    network = rescaling_network()
    source = tmp_path / "own.keras"
    network.save(source)
    with pytest.raises(ModelBundleError, match=r"scales pixels itself \(Rescaling.*scaled twice"):
        import_model(source, indices, preprocessing="zero_to_one", name="mine")
    found = import_model(source, indices, name="mine")
    assert found.preprocessing == "none"
    assert "scales pixels itself" in found.training["notes"][0]
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    expected = np.asarray(network(pixels.astype(np.float32)))
    assert load_model("mine").predict_probabilities(pixels) == pytest.approx(expected, abs=1e-5)
    twice = import_model(
        source, indices, preprocessing="zero_to_one", scaled_before=True, name="twice"
    )
    assert twice.preprocessing == "zero_to_one"
    assert "scaled twice, as asked for" in twice.training["notes"][0]


def test_plain_keras_file_that_scales_pixels_itself_is_not_scaled_again(indices, tmp_path):
    network = rescaling_network()
    network.save(tmp_path / "own.keras")
    image = np.asarray(draw_photo("running"))
    expected = np.asarray(network(resize_image(image, SIDE)[np.newaxis].astype(np.float32)))[0]
    model = load_model(tmp_path / "own.keras")
    assert list(model.predict(image).probabilities.values()) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ModelBundleError, match="scaled twice"):
        load_model(tmp_path / "own.keras", preprocessing="zero_to_one")


def test_plain_file_of_keras_2_in_capitals_is_served(indices, tmp_path):
    k2 = pytest.importorskip("tf_keras")
    layers = [k2.Input((SIDE, SIDE, 3)), k2.layers.Flatten(), k2.layers.Dense(3)]
    network = k2.Sequential([*layers, k2.layers.Softmax()])
    network.save(tmp_path / "old.h5")
    (tmp_path / "old.h5").rename(tmp_path / "OLD.H5")
    image = np.asarray(draw_photo("running"))
    scaled = scale_pixels(resize_image(image, SIDE), "zero_to_one")[np.newaxis]
    model = load_model(tmp_path / "OLD.H5", preprocessing="zero_to_one")
    got = list(model.predict(image).probabilities.values())
    assert got == pytest.approx(network(scaled).numpy()[0].tolist(), abs=1e-5)


def test_scaling_that_is_not_known_is_asked_for(source, indices, models):
    with pytest.raises(ModelBundleError, match="nothing that scales pixels; say with --prepro"):
        import_model(source, indices, name="mine")
    assert not models.exists()


def test_usual_scaling_of_a_known_backbone_is_named():
    assert usual_preprocessing("resnet50") == ("resnet", "caffe")
    assert usual_preprocessing("my_model", "resnet50v2")[1] == "minus_one_to_one"
    assert usual_preprocessing("mobilenetv2_1.00_224")[1] == "minus_one_to_one"
    assert usual_preprocessing("sequential", "dense") is None


def bright_or_dark() -> Any:
    """Call a picture running if what reaches the network is above 0.6 on average."""
    import keras

    layers = [keras.Input((SIDE, SIDE, 3)), keras.layers.AveragePooling2D(SIDE)]
    dense = keras.layers.Dense(3, activation="softmax")
    network = keras.Sequential([*layers, keras.layers.Flatten(), dense])
    dense.set_weights([np.float32([[0, 5, -1]] * 3), np.float32([0, -9, -9])])
    return network


def test_photograph_is_tried_under_every_scaling(indices, models, tmp_path):
    bright_or_dark().save(tmp_path / "it.keras")
    (tmp_path / "grey.png").write_bytes(png(170))
    manifest = import_model(
        tmp_path / "it.keras",
        indices,
        preprocessing="zero_to_one",
        name="mine",
        photograph=tmp_path / "grey.png",
        expect="running",
    )
    trial = manifest.training["trial"]
    assert trial["photograph"] == "grey.png"
    assert set(trial["answers"]) == set(PREPROCESSINGS)
    assert trial["answers"]["zero_to_one"][0][0] == "running"
    assert trial["answers"]["minus_one_to_one"][0][0] == "clapping"
    assert "`minus_one_to_one`: clapping" in (models / "mine" / "README.md").read_text()


def test_expected_answer_that_comes_second_is_told(indices, models, tmp_path):
    bright_or_dark().save(tmp_path / "it.keras")
    (tmp_path / "grey.png").write_bytes(png(170))
    manifest = import_model(
        tmp_path / "it.keras",
        indices,
        preprocessing="minus_one_to_one",
        name="mine",
        photograph=tmp_path / "grey.png",
        expect="running",
    )
    (note,) = manifest.training["notes"]
    assert "Expected was running, but of grey.png, scaled minus_one_to_one" in note
    assert "with none or zero_to_one or caffe or torch it says that first" in note


def test_expected_answer_that_is_not_there_writes_nothing(models, tmp_path):
    import keras

    pooled = [keras.Input((SIDE, SIDE, 3)), keras.layers.GlobalAveragePooling2D()]
    dense = keras.layers.Dense(5, activation="softmax")
    keras.Sequential([*pooled, dense]).save(tmp_path / "it.keras")
    dense.set_weights([np.zeros((3, 5), np.float32), np.float32([5, 4, 3, 0, -9])])
    keras.Sequential([*pooled, dense]).save(tmp_path / "it.keras")
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\ne")
    (tmp_path / "grey.png").write_bytes(png(170))

    def expecting(label):
        return import_model(
            tmp_path / "it.keras",
            tmp_path / "classes.txt",
            preprocessing="zero_to_one",
            name="mine",
            photograph=tmp_path / "grey.png",
            expect=label,
        )

    with pytest.raises(ModelBundleError, match=r"Expected was e, but .* says a 6\d%.*Nothing was"):
        expecting("e")
    with pytest.raises(ModelBundleError, match="has no class 'f'"):
        expecting("f")
    assert not models.exists()
    assert expecting("b").name == "mine"


def png(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (grey, grey, grey)).save(buffer, "PNG")
    return buffer.getvalue()
