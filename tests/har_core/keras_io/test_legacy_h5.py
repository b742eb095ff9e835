"""Files written by Keras 2 load into Keras 3 with equal outputs."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.keras_io.legacy_graph import rebuild_network
from har_core.keras_io.loading import load_network
from tests.har_core.keras_io.keras_2_files import (
    CLASSES,
    KIND_SIDE,
    KINDS,
    NETWORKS,
    NEWER,
    SIDE,
    inputs,
)


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    return inputs()


def outputs(path: Path, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(load_network(path)(pixels, training=False))


def edit_config(path: Path, edit: Callable[[dict], None], **attributes: Any) -> None:
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit(config)
        file.attrs["model_config"] = json.dumps(config)
        file.attrs.update(attributes)


def drop_modules(item: Any) -> None:
    """Turn the configuration into what TensorFlow ≤ 2.12 wrote: class names only."""
    if isinstance(item, dict):
        if "class_name" in item:
            for key in ("module", "registered_name", "build_config"):
                item.pop(key, None)
        item = list(item.values())
    if isinstance(item, list):
        for value in item:
            drop_modules(value)


@pytest.mark.parametrize("name", NETWORKS)
def test_keras_2_file_gives_equal_outputs(name, keras_2_files, pixels):
    path = keras_2_files / f"{name}.h5"
    digest = hashlib.sha256(path.read_bytes()).digest()
    network = load_network(path)
    assert network.input_shape == (None, SIDE, SIDE, 3)
    assert network.output_shape == (None, CLASSES)
    found = np.asarray(network(pixels, training=False))
    assert np.abs(found - np.load(path.with_suffix(".npy"))).max() <= 1e-5
    assert hashlib.sha256(path.read_bytes()).digest() == digest, "the file was changed"


@pytest.mark.parametrize("name", NEWER)
def test_file_of_another_version_of_keras_2_gives_equal_outputs(
    name, keras_2_files, pixels, tmp_path
):
    """As TensorFlow wrote it before 2.13, and as Keras 2.13 and later do in their own format."""
    older = Path(shutil.copy(keras_2_files / f"{name}.h5", tmp_path))
    edit_config(older, drop_modules, keras_version=b"2.4.0")
    for path in (older, keras_2_files / f"{name}.keras"):
        expected = np.load(keras_2_files / f"{name}.npy")
        assert np.abs(outputs(path, pixels) - expected).max() <= 1e-5, path.name


def test_functional_network_under_its_oldest_name_gives_equal_outputs(
    keras_2_files, pixels, tmp_path
):
    path = Path(shutil.copy(keras_2_files / "nested_model_as_output.h5", tmp_path))

    def name_as_tensorflow_2_2(config):
        config["class_name"] = "Model"
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Functional":
                layer["class_name"] = "Model"

    edit_config(path, name_as_tensorflow_2_2, keras_version="2.3.0-tf")
    expected = np.load(keras_2_files / "nested_model_as_output.npy")
    assert np.abs(outputs(path, pixels) - expected).max() <= 1e-5


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_kind_of_layer_gives_equal_outputs(name, suffix, keras_2_files, tmp_path):
    pixels, expected = inputs(KIND_SIDE), np.load(keras_2_files / f"{name}.npy")
    loaded = load_network(keras_2_files / f"{name}{suffix}")
    assert np.abs(np.asarray(loaded(pixels, training=False)) - expected).max() <= 1e-5
    loaded.save(tmp_path / "new.keras")
    assert np.abs(outputs(tmp_path / "new.keras", pixels) - expected).max() <= 1e-5


def test_sequential_built_by_its_first_pictures_is_read(keras_2_files, pixels):
    path = keras_2_files / "built_by_its_first_pictures.h5"
    assert np.abs(outputs(path, pixels) - np.load(path.with_suffix(".npy"))).max() <= 1e-5


@pytest.mark.parametrize("name", ["MODEL.H5", "model.HDF5", "model.Keras"])
def test_suffix_in_capitals_is_read(name, tmp_path):
    import keras

    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    network = keras.Sequential(layers)
    network.save(tmp_path / f"saved{Path(name).suffix.lower()}")
    (tmp_path / f"saved{Path(name).suffix.lower()}").rename(tmp_path / name)
    picture = np.ones((1, 8, 8, 3), np.float32)
    loaded = load_network(tmp_path / name)
    assert np.asarray(loaded(picture)) == pytest.approx(np.asarray(network(picture)))


def test_advice_never_leads_in_a_circle(keras_2_files):
    """What cannot be read is not to be saved again in a form that cannot be read either."""
    with pytest.raises(ModelBundleError, match="LocallyConnected2D, which Keras 3") as refusal:
        load_network(keras_2_files / "locally_connected.h5")
    assert "save it" not in str(refusal.value)


@pytest.fixture(scope="module")
def small_file(keras_2_files) -> Path:
    return keras_2_files / "flat_sequential.h5"


@pytest.fixture
def small_copy(small_file, tmp_path) -> Path:
    path = tmp_path / "model.h5"
    path.write_bytes(small_file.read_bytes())
    return path


def layer_config(model_config: dict, class_name: str) -> dict:
    layers = model_config["config"]["layers"]
    return next(layer["config"] for layer in layers if layer["class_name"] == class_name)


def test_file_without_a_version_is_taken_for_an_old_one(small_copy, small_file, pixels):
    with h5py.File(small_copy, "r+") as file:
        del file.attrs["keras_version"]
    expected = np.load(small_file.with_suffix(".npy"))
    assert np.abs(outputs(small_copy, pixels) - expected).max() <= 1e-5


def test_sequential_without_input_layer_and_dict_gets_both(small_copy, small_file, pixels):
    def as_keras_2_0(config):
        input_layer, *layers = config["config"]["layers"]
        shape = input_layer["config"]["batch_input_shape"]
        layers[0]["config"]["batch_input_shape"] = shape
        config["config"] = layers

    edit_config(small_copy, as_keras_2_0, keras_version="2.0.6")
    expected = np.load(small_file.with_suffix(".npy"))
    assert np.abs(outputs(small_copy, pixels) - expected).max() <= 1e-5


def test_hard_sigmoid_of_keras_2_is_refused_because_keras_3_computes_another(small_copy):
    def edit(config):
        layer_config(config, "GRU")["recurrent_activation"] = "hard_sigmoid"

    edit_config(small_copy, edit)
    with pytest.raises(ModelBundleError, match=r"'gru[^']*' uses hard_sigmoid.*silently"):
        load_network(small_copy)


def test_setting_that_changes_the_result_is_not_dropped(small_copy):
    edit_config(small_copy, lambda c: layer_config(c, "GRU").update(time_major=True))
    with pytest.raises(ModelBundleError, match="time_major"):
        load_network(small_copy)


def test_normalization_over_several_axes_is_refused(small_copy):
    edit_config(small_copy, lambda c: layer_config(c, "BatchNormalization").update(axis=[1, 3]))
    with pytest.raises(ModelBundleError, match=r"axes \[1, 3\]"):
        load_network(small_copy)


def test_layer_that_keras_3_lacks_is_named(small_copy):
    def edit(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "LeakyReLU":
                layer["class_name"] = "ThresholdedReLU"

    edit_config(small_copy, edit)
    with pytest.raises(ModelBundleError, match="ThresholdedReLU"):
        load_network(small_copy)


def test_file_of_keras_1_is_refused(small_copy):
    edit_config(small_copy, lambda c: None, keras_version="1.2.2")
    with pytest.raises(ModelBundleError, match=r"written by Keras 1\.2\.2"):
        load_network(small_copy)


def test_configuration_given_is_left_unchanged(small_file):
    with h5py.File(small_file) as file:
        config = json.loads(file.attrs["model_config"])
    before = json.dumps(config)
    rebuild_network(config)
    assert json.dumps(config) == before


def test_configuration_that_makes_no_sense_is_a_clear_error(small_copy):
    edit_config(small_copy, lambda c: c["config"].update(layers=[{"class_name": "Dense"}]))
    with pytest.raises(ModelBundleError, match="cannot load"):
        load_network(small_copy)


@pytest.mark.parametrize("class_name", ["RandomFourierFeatures", "RandomPooling"])
def test_unknown_layer_is_not_taken_for_an_augmentation(class_name, small_copy):
    def edit(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "LeakyReLU":
                layer["class_name"] = class_name

    edit_config(small_copy, edit)
    with pytest.raises(ModelBundleError, match=f"of the kind {class_name}"):
        load_network(small_copy)


def test_layer_that_is_always_called_as_in_training_is_refused(keras_2_files):
    with pytest.raises(ModelBundleError, match="'by_batch' is called with training=True"):
        load_network(keras_2_files / "called_as_in_training.h5")


def _link(folder: Path, group: Any, name: str) -> None:
    group[name] = h5py.ExternalLink(str(folder / "other.h5"), "/numbers")


def _raw(folder: Path, group: Any, name: str) -> None:
    raw = [(str(folder / "raw"), 0, h5py.h5f.UNLIMITED)]
    group.create_dataset(name, (CLASSES,), "f4", external=raw)


def _virtual(folder: Path, group: Any, name: str) -> None:
    layout = h5py.VirtualLayout((CLASSES,), "f4")
    layout[...] = h5py.VirtualSource(str(folder / "other.h5"), "numbers", (CLASSES,))
    group.create_virtual_dataset(name, layout)


@pytest.mark.parametrize("replace", [_link, _raw, _virtual])
def test_weights_in_another_file_are_not_read(replace, small_copy, tmp_path):
    numbers = np.full(CLASSES, 42, np.float32)
    (tmp_path / "raw").write_bytes(numbers.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = numbers
    with h5py.File(small_copy, "r+") as file:
        (layer,) = (g for name, g in file["model_weights"].items() if name.startswith("dense"))
        (bias,) = (name for name in layer.attrs["weight_names"] if "bias" in name)
        del layer[bias]
        replace(tmp_path, layer, bias)
    with pytest.raises(ModelBundleError, match="Not allowed"):
        load_network(small_copy)


@pytest.mark.parametrize("name", ["model_weights", "model_weights/stem"])
def test_group_in_another_file_is_not_read(name, small_copy, small_file):
    with h5py.File(small_copy, "r+") as file:
        del file[name]
        file[name] = h5py.ExternalLink(str(small_file), f"/{name}")
    with pytest.raises(ModelBundleError, match="Not allowed"):
        load_network(small_copy)


def test_weights_that_declare_a_huge_shape_are_not_read(small_copy):
    with h5py.File(small_copy, "r+") as file:
        stem = file["model_weights/stem"]
        (bias,) = (name for name in stem.attrs["weight_names"] if "bias" in name)
        del stem[bias]
        stem.create_dataset(bias, (10**12,), "f4", chunks=(10**6,))
    with pytest.raises(ModelBundleError, match="Not allowed: H5 dataset"):
        load_network(small_copy)
