"""Files that Keras 2 (here: `tf_keras`) wrote, and what its networks answered.

They lie in `ARCHIVE`, because building a network anew takes longer than reading it.
``python -m tests.har_core.keras_io.keras_2_files`` writes them again; a test marked ``sweep`` tells
whether `tf_keras` still writes the same.
"""

import importlib
import tarfile
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.har_core.keras_io.small_applications import SMALL, disturb, pictures

ARCHIVE = Path(__file__).with_name("keras_2_files.tar.xz")
SIDE, CLASSES = 96, 5
KIND_SIDE = 32  # of the networks that show a kind of layer


def inputs(side: int = SIDE) -> np.ndarray:
    """Return three pictures that differ in brightness, so that the outputs differ clearly."""
    rng = np.random.RandomState(1)  # whose numbers never change
    return (rng.uniform(-1, 1, (3, side, side, 3)) * [[[[0.1]]], [[[1]]], [[[4]]]]).astype("f4")


def coarse(value: np.ndarray) -> np.ndarray:
    """Round the numbers of an array to a few levels, which can be compressed."""
    if value.size < 16 or value.dtype.kind != "f":
        return value
    step = value.std() / 2
    return np.asarray(np.round(value / step) * step, value.dtype)


def randomize(model: Any) -> Any:
    """Give every weight another value (moving averages too), strong enough to move the outputs."""
    rng = np.random.RandomState(0)
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
        weight.assign(coarse(value))
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


def whole_backbone(k2, backbone):
    pixels = k2.Input((SIDE, SIDE, 3))
    return k2.Model(pixels, head(k2, mobilenet(k2, alpha=0.1)(pixels)))


def built_by_its_first_pictures(k2, backbone):
    layers = k2.layers
    network = k2.Sequential(
        [
            layers.Conv2D(4, 9),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    network(inputs())
    return network


def locally_connected(k2, backbone):
    pixels = k2.Input((SIDE, SIDE, 3))
    x = k2.layers.LocallyConnected2D(2, 8, strides=48)(pixels)
    return k2.Model(pixels, k2.layers.Flatten()(x))


def called_as_in_training(k2, backbone):
    pixels = k2.Input((SIDE, SIDE, 3))
    x = k2.layers.BatchNormalization(name="by_batch")(pixels, training=True)
    return k2.Model(pixels, k2.layers.GlobalAveragePooling2D()(x))


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
        layers.Resizing(24, 24),
        layers.Conv2D(8, 3, strides=4),
    ]


def augmentation_in_a_model_of_its_own(k2, layers):
    return [k2.Sequential([layers.RandomFlip(), layers.RandomBrightness(0.1)]), layers.Conv2D(4, 9)]


def scaling_and_normalization(k2, layers):
    return [layers.Rescaling(1 / 3), layers.Normalization(axis=-1), layers.Conv2D(8, 9)]


def custom_layers_of_keras_itself(k2, layers):
    from tf_keras.src.applications import convnext, inception_resnet_v2

    pixels = k2.Input((KIND_SIDE, KIND_SIDE, 3))
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
    pixels = k2.Input((KIND_SIDE, KIND_SIDE, 3))
    sequence = layers.Reshape((-1, 8))(layers.Conv2D(8, 9, strides=4)(pixels))
    attended = layers.MultiHeadAttention(2, 4)(sequence, layers.LayerNormalization()(sequence))
    return [k2.Model(pixels, layers.Reshape((6, 6, 8))(layers.Add()([sequence, attended])))]


def normalization_in_a_wrapper(k2, layers):
    sequence = [layers.Conv2D(4, 9, strides=8), layers.Reshape((-1, 4))]
    return [*sequence, layers.TimeDistributed(layers.Normalization()), layers.Conv1D(3, 5)]


def crop(k2, layers):
    return [layers.RandomCrop(20, 30), layers.Conv2D(4, 9, strides=4)]


def sequential_in_functional_in_sequential(k2, layers):
    pixels = k2.Input((KIND_SIDE, KIND_SIDE, 3))
    inner = k2.Sequential([layers.Conv2D(8, 5, strides=4), layers.BatchNormalization()])
    middle = k2.Model(pixels, layers.ReLU()(inner(layers.Rescaling(0.5)(pixels))))
    return [k2.Sequential([k2.Sequential([middle])]), layers.SeparableConv2D(4, 3)]


def mobilenet(k2, alpha=0.35):
    return k2.applications.MobileNetV2(
        input_shape=(SIDE, SIDE, 3), alpha=alpha, include_top=False, weights=None
    )


def backbone_of(k2):
    """Return MobileNetV2 up to its first sum: all kinds of its layers and a grid of 6 × 6."""
    network = mobilenet(k2)
    x = network.get_layer("block_2_add").output
    return k2.Model(network.input, k2.layers.MaxPooling2D(4)(x))


NETWORKS = {
    build.__name__: build
    for build in (
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
        whole_backbone,
    )
}
# As Keras 2.13 and later write in their own format, too.
NEWER = ("nested", "sequential_around_nested", "partly_frozen", "flat_sequential")
PECULIAR = {
    build.__name__: build
    for build in (built_by_its_first_pictures, locally_connected, called_as_in_training)
}
KINDS = {
    build.__name__: build
    for build in (
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
    )
}
NAMES = (*NETWORKS, *PECULIAR, *KINDS, *SMALL)


def built(k2: Any, name: str) -> tuple[Any, np.ndarray]:
    """Return a network, looking as if trained, and the pictures that it is asked about."""
    if name in SMALL:
        place, build = SMALL[name]
        module = importlib.import_module(f"tf_keras.src.applications.{place}")
        asked = pictures(64, "float32")
        network = build(
            module, weights=None, input_shape=(64, 64, 3), classes=4, classifier_activation=None
        )
        disturb(network, asked, coarse)
        return network, asked
    if name in KINDS:
        body = KINDS[name](k2, k2.layers)
        head = [k2.layers.Flatten(), k2.layers.Dense(CLASSES, activation="softmax")]
        network = k2.Sequential([k2.Input((KIND_SIDE, KIND_SIDE, 3)), *body, *head])
        asked = inputs(KIND_SIDE)
    else:
        network, asked = (NETWORKS | PECULIAR)[name](k2, backbone_of(k2)), inputs()
    if name == "whole_backbone":  # so deep that it would tell no pictures apart
        disturb(network, asked, coarse)
    else:
        randomize(network)
    # With an optimizer, as a file of a training.
    network.compile("adam", "categorical_crossentropy")
    return network, asked


def write(name: str, folder: Path) -> list[Path]:
    """Write a network's files by Keras 2, and its answers."""
    import tf_keras as k2

    k2.backend.clear_session()  # which numbers the layers from one again
    k2.utils.set_random_seed(0)
    network, asked = built(k2, name)
    suffixes = (".h5", ".keras") if name in KINDS or name in NEWER else (".h5",)
    said = network(asked, training=False).numpy()
    assert np.ptp(said, axis=0).max() > 0.02, (
        f"{name} must give different pictures different outputs"
    )
    files = [folder / f"{name}{suffix}" for suffix in suffixes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the format is old
        for file in files:
            network.save(file)
    np.save(folder / f"{name}.npy", said)
    return [*files, folder / f"{name}.npy"]


if __name__ == "__main__":
    with TemporaryDirectory() as folder, tarfile.open(ARCHIVE, "w:xz") as archive:
        for name in NAMES:
            for file in write(name, Path(folder)):
                archive.add(file, file.name)
