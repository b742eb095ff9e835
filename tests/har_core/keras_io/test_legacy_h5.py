"""Files written by Keras 2 (here: `tf_keras`) load into Keras 3 with equal outputs."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.keras_io.legacy_graph import rebuild_network
from har_core.keras_io.loading import load_network

SIDE, CLASSES = 96, 5


@pytest.fixture(scope="module")
def k2() -> Any:
    return pytest.importorskip("tf_keras")


@pytest.fixture(scope="module")
def mobilenet(k2) -> Any:
    return k2.applications.MobileNetV2(
        input_shape=(SIDE, SIDE, 3), alpha=0.35, include_top=False, weights=None
    )


@pytest.fixture(scope="module")
def backbone(k2, mobilenet) -> Any:
    """MobileNetV2 up to its first sum, which has all kinds of its layers and a grid of 6 × 6."""
    x = mobilenet.get_layer("block_2_add").output
    return k2.Model(mobilenet.input, k2.layers.MaxPooling2D(4)(x))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Three pictures that differ in brightness, so that the outputs differ clearly."""
    rng = np.random.default_rng(1)
    return (rng.uniform(-1, 1, (3, SIDE, SIDE, 3)) * [[[[0.1]]], [[[1]]], [[[4]]]]).astype("f4")


def randomize(model: Any) -> Any:
    """Give every weight another value (moving averages too), strong enough to move the outputs."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        shape = weight.shape
        if "variance" in weight.name or "gamma" in weight.name:
            value = rng.uniform(0.7, 1.3, shape)
        elif len(shape) < 2:
            value = rng.normal(0, 0.2, shape)
        else:
            fan_in = 9 if "depthwise" in weight.name else np.prod(shape[:-1])
            gain = 4 if len(shape) == 2 else 1  # the head tells small differences apart
            value = rng.normal(0, gain / np.sqrt(fan_in), shape)
        weight.assign(value)
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):  # Normalization computes with what it derives
            layer.finalize_state()
    return model


def head(k2, features: Any) -> Any:
    """Grid to sequence → LSTM → softmax, as layers applied to `features`."""
    x = k2.layers.Reshape((-1, features.shape[-1]))(features)
    x = k2.layers.Dropout(0.3)(k2.layers.LSTM(16)(x))
    return k2.layers.Dense(CLASSES, activation="softmax", name="classes")(x)


def nested(k2, backbone):
    pixels = k2.Input((SIDE, SIDE, 3))
    return k2.Model(pixels, head(k2, backbone(pixels, training=False)))


def flat(k2, backbone):
    return k2.Model(backbone.input, head(k2, backbone.output))


def sequential_around_nested(k2, backbone):
    return k2.Sequential(
        [
            backbone,
            k2.layers.Reshape((36, -1)),
            k2.layers.LSTM(16),
            k2.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def partly_frozen(k2, backbone):
    for layer in backbone.layers[: len(backbone.layers) * 2 // 3]:
        layer.trainable = False
    return nested(k2, backbone)


def shared_nested(k2, backbone):
    layers = k2.layers
    pixels = k2.Input((SIDE, SIDE, 3))
    both = layers.Concatenate()([backbone(pixels), backbone(layers.ReLU()(pixels))])
    return k2.Model(pixels, head(k2, both))


def small_layers(k2):
    layers = k2.layers
    return [
        layers.Conv2D(8, 3, strides=16, name="stem"),
        layers.BatchNormalization(),
        layers.DepthwiseConv2D(3, name="depthwise"),
        layers.LeakyReLU(alpha=0.2),
        layers.SpatialDropout2D(0.1),
        layers.Reshape((-1, 8)),
        layers.Bidirectional(layers.LSTM(6, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(6)),
        layers.GRU(6, implementation=1),
        layers.Dense(CLASSES, activation="softmax"),
    ]


def flat_sequential(k2, backbone):
    return k2.Sequential([k2.Input((SIDE, SIDE, 3)), *small_layers(k2)])


def sequential_with_shape_in_first_layer(k2, backbone):
    first = k2.layers.ZeroPadding2D(1, input_shape=(SIDE, SIDE, 3))
    return k2.Sequential([first, *small_layers(k2)])


def nested_model_as_output(k2, backbone):
    inner_pixels = k2.Input((SIDE, SIDE, 3))
    x = k2.layers.GlobalAveragePooling2D()(k2.layers.Conv2D(4, 3)(inner_pixels))
    inner = k2.Model(inner_pixels, k2.layers.Dense(CLASSES, activation="softmax")(x))
    pixels = k2.Input((SIDE, SIDE, 3))
    return k2.Model(pixels, inner(k2.layers.ReLU()(pixels)))


def second_call_of_a_shared_model_as_output(k2, backbone):
    layers = k2.layers
    vector = k2.Input((CLASSES,))
    inner = k2.Model(vector, layers.Dense(CLASSES, activation="softmax")(vector))
    pixels = k2.Input((SIDE, SIDE, 3))
    x = layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(layers.ReLU()(pixels)))
    return k2.Model(pixels, inner(inner(x)))


def nested_sequential_as_output(k2, backbone):
    pixels = k2.Input((SIDE, SIDE, 3))
    return k2.Model(pixels, k2.Sequential(small_layers(k2))(k2.layers.ReLU()(pixels)))


def mixed_precision(k2, backbone):
    k2.mixed_precision.set_global_policy("mixed_float16")
    try:
        return flat_sequential(k2, backbone)
    finally:
        k2.mixed_precision.set_global_policy("float32")


def save_and_run(model: Any, path: Path, pixels: np.ndarray) -> np.ndarray:
    """Save a trained-looking model as .h5, optimizer and all; return what it says of `pixels`."""
    randomize(model).compile("adam", "categorical_crossentropy")
    model.save(path)
    outputs = model(pixels, training=False).numpy()
    assert np.ptp(outputs, axis=0).max() > 0.02, "the pictures must give different outputs"
    return outputs


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


@pytest.mark.parametrize(
    "build",
    [
        nested,
        flat,
        sequential_around_nested,
        partly_frozen,
        shared_nested,
        flat_sequential,
        sequential_with_shape_in_first_layer,
        nested_model_as_output,
        second_call_of_a_shared_model_as_output,
        nested_sequential_as_output,
        mixed_precision,
    ],
)
def test_keras_2_file_gives_equal_outputs(build, k2, backbone, pixels, tmp_path):
    path = tmp_path / "model.h5"
    expected = save_and_run(build(k2, backbone), path, pixels)
    digest = hashlib.sha256(path.read_bytes()).digest()
    network = load_network(path)
    assert network.input_shape == (None, SIDE, SIDE, 3)
    assert network.output_shape == (None, CLASSES)
    assert np.abs(np.asarray(network(pixels, training=False)) - expected).max() <= 1e-5
    assert hashlib.sha256(path.read_bytes()).digest() == digest, "the file was changed"


def test_whole_backbone_of_keras_2_gives_equal_outputs(k2, mobilenet, pixels, tmp_path):
    expected = save_and_run(nested(k2, mobilenet), tmp_path / "model.h5", pixels)
    network = load_network(tmp_path / "model.h5")
    assert np.abs(np.asarray(network(pixels, training=False)) - expected).max() <= 1e-5


@pytest.mark.parametrize(
    "build", [nested, sequential_around_nested, partly_frozen, flat_sequential]
)
def test_file_of_another_version_of_keras_2_gives_equal_outputs(
    build, k2, backbone, pixels, tmp_path
):
    """As TensorFlow wrote it before 2.13, and as Keras 2.13 and later do in their own format."""
    path, newer = tmp_path / "model.h5", tmp_path / "model.keras"
    network = build(k2, backbone)
    expected = save_and_run(network, path, pixels)
    network.save(newer)
    edit_config(path, drop_modules, keras_version=b"2.4.0")
    for file in (path, newer):
        outputs = np.asarray(load_network(file)(pixels, training=False))
        assert np.abs(outputs - expected).max() <= 1e-5, file.name


def test_functional_network_under_its_oldest_name_gives_equal_outputs(k2, pixels, tmp_path):
    path = tmp_path / "model.h5"
    expected = save_and_run(nested_model_as_output(k2, None), path, pixels)

    def name_as_tensorflow_2_2(config):
        config["class_name"] = "Model"
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Functional":
                layer["class_name"] = "Model"

    edit_config(path, name_as_tensorflow_2_2, keras_version="2.3.0-tf")
    network = load_network(path)
    assert np.abs(np.asarray(network(pixels, training=False)) - expected).max() <= 1e-5


def slashes_in_names(k2, layers):
    conv = [layers.Conv2D(8, 3, strides=4, name=f"conv{n}/conv") for n in range(2)]
    return [*conv, layers.BatchNormalization(name="conv1/bn")]


def separable_convolutions(k2, layers):
    return [layers.SeparableConv2D(8, 3, strides=4), layers.DepthwiseConv2D(3, depth_multiplier=2)]


def random_augmentation(k2, layers):
    return [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomZoom(0.1),
        layers.RandomContrast(0.1),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomHeight(0.1),
        layers.Resizing(48, 48),
        layers.Conv2D(8, 3, strides=4),
    ]


def augmentation_in_a_model_of_its_own(k2, layers):
    return [k2.Sequential([layers.RandomFlip(), layers.RandomBrightness(0.1)]), layers.Conv2D(4, 9)]


def scaling_and_normalization(k2, layers):
    return [layers.Rescaling(1 / 3), layers.Normalization(axis=-1), layers.Conv2D(8, 9)]


def custom_layers_of_keras_itself(k2, layers):
    from tf_keras.src.applications import convnext, inception_resnet_v2

    pixels = k2.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 9, strides=4)(pixels)
    x = inception_resnet_v2.CustomScaleLayer(scale=0.3)([x, layers.ReLU()(x)])
    x = convnext.LayerScale(0.5, 8)(x)
    return [k2.Model(pixels, layers.Add()([x, convnext.StochasticDepth(0.2)(x)]))]


def settings_for_training_only(k2, layers):
    import tensorflow as tf

    return [
        layers.Conv2D(
            8,
            9,
            kernel_initializer=tf.constant_initializer(0.1),
            kernel_regularizer=k2.regularizers.L2(0.1),
            bias_constraint=k2.constraints.NonNeg(),
        )
    ]


def attention(k2, layers):
    pixels = k2.Input((SIDE, SIDE, 3))
    sequence = layers.Reshape((-1, 8))(layers.Conv2D(8, 9, strides=8)(pixels))
    attended = layers.MultiHeadAttention(2, 4)(sequence, layers.LayerNormalization()(sequence))
    return [k2.Model(pixels, layers.Reshape((11, 11, 8))(layers.Add()([sequence, attended])))]


def normalization_in_a_wrapper(k2, layers):
    sequence = [layers.Conv2D(4, 9, strides=8), layers.Reshape((-1, 4))]
    return [*sequence, layers.TimeDistributed(layers.Normalization()), layers.Conv1D(3, 5)]


def crop(k2, layers):
    return [layers.RandomCrop(40, 60), layers.Conv2D(4, 9, strides=4)]


def sequential_in_functional_in_sequential(k2, layers):
    pixels = k2.Input((SIDE, SIDE, 3))
    inner = k2.Sequential([layers.Conv2D(8, 5, strides=4), layers.BatchNormalization()])
    middle = k2.Model(pixels, layers.ReLU()(inner(layers.Rescaling(0.5)(pixels))))
    return [k2.Sequential([k2.Sequential([middle])]), layers.SeparableConv2D(4, 3)]


@pytest.mark.parametrize(
    "layers",
    [
        slashes_in_names,
        separable_convolutions,
        random_augmentation,
        augmentation_in_a_model_of_its_own,
        scaling_and_normalization,
        custom_layers_of_keras_itself,
        settings_for_training_only,
        attention,
        normalization_in_a_wrapper,
        crop,
        sequential_in_functional_in_sequential,
    ],
)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_kind_of_layer_gives_equal_outputs(layers, suffix, k2, pixels, tmp_path):
    path = tmp_path / f"model{suffix}"
    body = layers(k2, k2.layers)
    head = [k2.layers.Flatten(), k2.layers.Dense(CLASSES, activation="softmax")]
    network = k2.Sequential([k2.Input((SIDE, SIDE, 3)), *body, *head])
    expected = save_and_run(network, path, pixels)
    loaded = load_network(path)
    assert np.abs(np.asarray(loaded(pixels, training=False)) - expected).max() <= 1e-5
    loaded.save(tmp_path / "new.keras")
    again = load_network(tmp_path / "new.keras")
    assert np.abs(np.asarray(again(pixels, training=False)) - expected).max() <= 1e-5


def test_sequential_built_by_its_first_pictures_is_read(k2, pixels, tmp_path):
    layers = k2.layers
    network = k2.Sequential(
        [
            layers.Conv2D(4, 9),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    network(pixels)
    expected = save_and_run(network, tmp_path / "model.h5", pixels)
    loaded = load_network(tmp_path / "model.h5")
    assert np.abs(np.asarray(loaded(pixels, training=False)) - expected).max() <= 1e-5


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


def test_advice_never_leads_in_a_circle(k2, tmp_path):
    """What cannot be read is not to be saved again in a form that cannot be read either."""
    pixels = k2.Input((SIDE, SIDE, 3))
    x = k2.layers.LocallyConnected2D(2, 8, strides=8)(pixels)
    k2.Model(pixels, k2.layers.Flatten()(x)).save(tmp_path / "old.h5")
    with pytest.raises(ModelBundleError, match="LocallyConnected2D, which Keras 3") as refusal:
        load_network(tmp_path / "old.h5")
    assert "save it" not in str(refusal.value)


@pytest.fixture(scope="module")
def small_file(k2, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("small") / "model.h5"
    randomize(flat_sequential(k2, None)).save(path)
    return path


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
    expected = np.asarray(load_network(small_file)(pixels, training=False))
    assert np.array_equal(np.asarray(load_network(small_copy)(pixels, training=False)), expected)


def test_sequential_without_input_layer_and_dict_gets_both(small_copy, small_file, pixels):
    def as_keras_2_0(config):
        input_layer, *layers = config["config"]["layers"]
        shape = input_layer["config"]["batch_input_shape"]
        layers[0]["config"]["batch_input_shape"] = shape
        config["config"] = layers

    edit_config(small_copy, as_keras_2_0, keras_version="2.0.6")
    expected = np.asarray(load_network(small_file)(pixels, training=False))
    assert np.array_equal(np.asarray(load_network(small_copy)(pixels, training=False)), expected)


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


def test_layer_that_is_always_called_as_in_training_is_refused(k2, tmp_path):
    pixels = k2.Input((SIDE, SIDE, 3))
    x = k2.layers.BatchNormalization(name="by_batch")(pixels, training=True)
    k2.Model(pixels, k2.layers.GlobalAveragePooling2D()(x)).save(tmp_path / "model.h5")
    with pytest.raises(ModelBundleError, match="'by_batch' is called with training=True"):
        load_network(tmp_path / "model.h5")


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
