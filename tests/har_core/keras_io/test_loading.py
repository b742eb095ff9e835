"""Model files are inspected before Keras builds anything: nothing in them is executed."""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.keras_io.loading import load_network
from har_core.keras_io.safety import refuse_unsafe_config


@pytest.fixture(scope="module")
def network():
    import keras
    from keras import layers

    pixels = keras.Input((16, 16, 3))
    inner = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()],
        name="inner",
    )
    x = layers.LSTM(6, name="sequence")(layers.Reshape((14, 56))(inner(pixels)))
    outputs = layers.Dense(3, activation="softmax")(x)
    model = keras.Model(pixels, outputs)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def keras_file(network, tmp_path) -> Path:
    network.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.fixture
def h5_file(network, tmp_path) -> Path:
    network.save(tmp_path / "model.h5")
    return tmp_path / "model.h5"


def edit_archive(path: Path, **entries: Any) -> None:
    """Replace or (with None) remove entries of a ZIP file; dots in names are written as "__"."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    for key, value in entries.items():
        contents[key.replace("__", ".")] = value
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in contents.items():
            if value is not None:
                archive.writestr(name, value)


def config_of(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def inject(path: Path, layer: dict) -> None:
    """Put another layer in the place of the one called "sequence"."""
    if path.suffix == ".keras":
        config = config_of(path)
    else:
        with h5py.File(path) as file:
            config = json.loads(file.attrs["model_config"])
    layers = config["config"]["layers"]
    (index,) = (i for i, item in enumerate(layers) if item.get("name") == "sequence")
    inbound = layers[index]["inbound_nodes"]
    layers[index] = {**layer, "name": "sequence", "inbound_nodes": inbound}
    if path.suffix == ".keras":
        edit_archive(path, config__json=json.dumps(config))
    else:
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_file_of_keras_3_gives_the_same_outputs(suffix, network, tmp_path):
    path = tmp_path / f"model{suffix}"
    network.save(path)
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    loaded = load_network(path)
    assert np.allclose(loaded(pixels), network(pixels), atol=1e-6)
    assert not loaded.compiled


LAMBDA = {
    "class_name": "Lambda",
    "config": {
        "name": "sequence",
        "function": {
            "class_name": "__lambda__",
            "config": {"code": "4wAAAAAAAAAA", "defaults": None, "closure": None},
        },
    },
}
BUILTIN = {"module": "keras.layers", "registered_name": None}


@pytest.mark.parametrize("path_fixture", ["keras_file", "h5_file"])
@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ({**BUILTIN, **LAMBDA}, "Lambda layer, which holds Python code"),
        (
            {
                **BUILTIN,
                "class_name": "TFSMLayer",
                "config": {"name": "sequence", "filepath": "/tmp/evil"},
            },
            "TFSMLayer, which runs a TensorFlow graph",
        ),
        (
            {
                **BUILTIN,
                "class_name": "TorchModuleWrapper",
                "config": {"name": "sequence", "module": "gASV"},
            },
            "pickled code",
        ),
        (
            {
                "class_name": "Attention2",
                "config": {"name": "sequence"},
                "module": "my_package.layers",
                "registered_name": "Attention2",
            },
            "code from the module 'my_package.layers'",
        ),
        (
            {
                "class_name": "Attention2",
                "config": {"name": "sequence"},
                "module": None,
                "registered_name": "Custom>Attention2",
            },
            r"custom code \(Custom>Attention2\)",
        ),
        (
            {"class_name": "Mine", "config": {"name": "sequence"}, "module": "builtins"},
            r"custom code \(Mine\)",
        ),
        (
            {"class_name": "TFOpLambda", "config": {"name": "sequence", "function": "math.add"}},
            "bare TensorFlow operation",
        ),
    ],
)
def test_code_in_a_model_file_is_refused_by_layer_and_reason(
    path_fixture, layer, reason, request, monkeypatch
):
    path = request.getfixturevalue(path_fixture)
    inject(path, layer)
    monkeypatch.setattr("har_core.keras_io.loading._keras_load", lambda path: pytest.fail("loaded"))
    with pytest.raises(ModelBundleError, match=f"the layer 'sequence' is .*{reason}"):
        load_network(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_as_keras_itself_saves_it_is_refused(suffix, tmp_path):
    import keras

    doubling = keras.layers.Lambda(lambda x: x * 2, name="doubling")
    path = tmp_path / f"model{suffix}"
    keras.Sequential([keras.Input((4,)), doubling, keras.layers.Dense(2)]).save(path)
    with pytest.raises(ModelBundleError, match="the layer 'doubling' is a Lambda layer"):
        load_network(path)


def test_lambda_inside_a_wrapper_of_a_nested_model_is_found():
    inner = {"class_name": "TimeDistributed", "config": {"name": "steps", "layer": LAMBDA}}
    nested = {"class_name": "Sequential", "config": {"name": "inner", "layers": [inner]}}
    model = {"class_name": "Functional", "config": {"name": "outer", "layers": [nested]}}
    with pytest.raises(ModelBundleError, match="Lambda layer"):
        refuse_unsafe_config(model, "x.h5")


def test_deeply_nested_configuration_does_not_exhaust_the_stack(keras_file):
    edit_archive(keras_file, config__json='{"a":' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(ModelBundleError, match="configuration"):
        load_network(keras_file)


def test_custom_loss_of_the_training_is_no_reason_to_refuse(keras_file):
    config = config_of(keras_file)
    config["compile_config"]["loss"] = {
        "class_name": "function",
        "module": "my_losses",
        "config": "focal",
        "registered_name": "focal",
    }
    edit_archive(keras_file, config__json=json.dumps(config))
    assert load_network(keras_file).output_shape == (None, 3)


@pytest.mark.parametrize("entry", ["config__json", "model__weights__h5"])
def test_archive_without_a_needed_entry_is_refused(keras_file, entry):
    edit_archive(keras_file, **{entry: None})
    with pytest.raises(ModelBundleError, match="no Keras model: it lacks"):
        load_network(keras_file)


@pytest.mark.parametrize("config", ["{", "[]", "null", b"\xff\xfe"])
def test_damaged_configuration_is_refused(keras_file, config):
    edit_archive(keras_file, config__json=config)
    with pytest.raises(ModelBundleError, match=r"configuration in .* is damaged"):
        load_network(keras_file)


def test_enormous_configuration_is_refused_unread(keras_file):
    with zipfile.ZipFile(keras_file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(65 * 2**20))
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ModelBundleError, match="unreasonably large"):
        load_network(keras_file)


def test_weights_that_do_not_fit_are_a_clear_error(keras_file):
    config = config_of(keras_file)
    for layer in config["config"]["layers"]:
        if layer["name"] == "sequence":
            layer["config"]["units"] = 7
    edit_archive(keras_file, config__json=json.dumps(config))
    with pytest.raises(ModelBundleError, match="Keras cannot load"):
        load_network(keras_file)


@pytest.mark.parametrize("path_fixture", ["keras_file", "h5_file"])
def test_truncated_file_is_damaged(path_fixture, request):
    path = request.getfixturevalue(path_fixture)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(ModelBundleError, match="damaged"):
        load_network(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.h5", b"<!doctype html><html>Sign in</html>", r"a web page \(HTML\)"),
        ("m.keras", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("m.h5", b"", "is empty"),
        ("m.keras", b"\x89HDF\r\n\x1a\n rest", r"content of a \.h5 file"),
        ("m.h5", b"PK\3\4 rest", r"content of a \.keras file"),
        ("m.txt", b"anything", r"must end in \.keras, \.h5 or \.onnx"),
        ("m.pb", b"anything", r"a SavedModel, .* tf2onnx\.convert --saved-model"),
        ("m.tflite", b"anything", r"tf2onnx\.convert --tflite .*m\.tflite --output"),
        ("my m.tflite", b"anything", r"--tflite '.*/my m\.tflite' --output"),
        ("best.pt", b"PK\3\4 rest", r"torch\.onnx\.export"),
    ],
)
def test_other_content_is_named(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelBundleError, match=message):
        load_network(tmp_path / name)


def test_missing_file_and_folder_are_clear_errors(tmp_path):
    with pytest.raises(ModelBundleError, match="No such file"):
        load_network(tmp_path / "missing.keras")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(ModelBundleError, match="directory"):
        load_network(tmp_path / "folder.keras")


def test_weights_without_a_network_are_refused_in_both_layouts(network, tmp_path):
    network.save_weights(tmp_path / "new.weights.h5")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        file.create_group("conv")
    for name in ("new.weights.h5", "old.h5"):
        with pytest.raises(ModelBundleError, match="holds only weights"):
            load_network(tmp_path / name)


def test_hdf5_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(ModelBundleError, match="holds no Keras model"):
        load_network(tmp_path / "data.h5")


def test_saved_model_is_refused_with_what_converts_it(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelBundleError, match=f"--saved-model {tmp_path} --output"):
        load_network(tmp_path)


def test_network_with_two_inputs_is_refused(tmp_path):
    import keras

    first, second = keras.Input((4,)), keras.Input((4,))
    keras.Model([first, second], keras.layers.Add()([first, second])).save(tmp_path / "two.keras")
    with pytest.raises(ModelBundleError, match="has 2 inputs and 1 output"):
        load_network(tmp_path / "two.keras")


def test_network_with_two_outputs_is_refused_with_how_to_take_one(tmp_path):
    import keras

    first = keras.Input((4,))
    outputs = [keras.layers.Dense(2)(first), keras.layers.Dense(3)(first)]
    keras.Model(first, outputs).save(tmp_path / "two.keras")
    with pytest.raises(ModelBundleError, match=r"2 outputs; .*keras\.Model\(model\.inputs"):
        load_network(tmp_path / "two.keras")


def test_one_output_inside_a_dict_is_taken_out(tmp_path):
    import keras

    first = keras.Input((4,))
    network = keras.Model(first, {"action": keras.layers.Dense(2)(first)})
    network.save(tmp_path / "dict.keras")
    given = np.ones((1, 4), np.float32)
    expected = np.asarray(network(given)["action"])
    assert np.asarray(load_network(tmp_path / "dict.keras")(given)) == pytest.approx(expected)


def test_network_without_a_known_input_is_refused(tmp_path):
    import keras

    keras.Sequential([keras.layers.Dense(2)]).save(tmp_path / "unbuilt.keras")
    with pytest.raises(ModelBundleError, match="one input and one output"):
        load_network(tmp_path / "unbuilt.keras")


def test_archive_with_a_broken_entry_name_is_damaged(keras_file):
    content = keras_file.read_bytes().replace(b"metadata.json", b"meta\xffata.json")
    # Bit 11 of the flags says that the name is UTF-8.
    content = bytearray(content)
    position = -1
    while (position := content.find(b"PK\1\2", position + 1)) >= 0:
        content[position + 9] |= 8
    keras_file.write_bytes(content)
    with pytest.raises(ModelBundleError, match="damaged"):
        load_network(keras_file)


@pytest.mark.parametrize("name", ["config__json", "metadata__json"])
def test_text_that_unpacks_to_a_huge_one_is_refused(keras_file, name, monkeypatch):
    monkeypatch.setattr("har_core.keras_io.loading._MAX_CONFIG_BYTES", 10**6)
    edit_archive(keras_file, **{name: b" " * (10**6 + 1)})
    with pytest.raises(ModelBundleError, match="unreasonably large"):
        load_network(keras_file)


@pytest.mark.parametrize("settings", [None, [], {"layers": ["x"]}, {"layers": [{}]}])
def test_configuration_that_makes_no_sense_is_a_clear_error(settings, h5_file):
    with h5py.File(h5_file, "r+") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": settings})
    with pytest.raises(ModelBundleError, match="cannot load"):
        load_network(h5_file)


@pytest.mark.parametrize("class_name", ["StringLookup", "IntegerLookup", "TextVectorization"])
@pytest.mark.parametrize("version", ["2.15.0", "3.5.0"])
def test_layer_that_reads_words_from_a_file_is_refused(class_name, version, h5_file, tmp_path):
    (tmp_path / "words.txt").write_text("secret")
    layer = {"class_name": class_name, "config": {"vocabulary": str(tmp_path / "words.txt")}}
    inject(h5_file, layer)
    with h5py.File(h5_file, "r+") as file:
        file.attrs["keras_version"] = version
    with pytest.raises(
        ModelBundleError, match=rf"'sequence' is an? {class_name}, which reads files"
    ):
        load_network(h5_file)


@pytest.mark.parametrize("version", ["2.15.0", "3.5.0"])
def test_weights_that_unpack_to_very_much_are_refused_unread(version, keras_file, monkeypatch):
    monkeypatch.setattr("har_core.keras_io.loading._MOST_UNPACKED", 10**6)
    with zipfile.ZipFile(keras_file) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(keras_file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("model.weights.h5", bytes(10**6 + 1))
    with pytest.raises(ModelBundleError, match=r"model\.weights\.h5 .*unreasonably much"):
        load_network(keras_file)


def test_network_that_remembers_the_photographs_before_is_refused(tmp_path):
    import keras

    pixels = keras.Input(batch_shape=(2, 8, 8, 3))
    inner = keras.layers.LSTM(4, stateful=True, name="memory")
    outputs = keras.layers.Dense(3)(inner(keras.layers.Reshape((8, 24))(pixels)))
    keras.Model(pixels, outputs).save(tmp_path / "stateful.keras")
    with pytest.raises(ModelBundleError, match="the layer 'memory' is stateful"):
        load_network(tmp_path / "stateful.keras")
