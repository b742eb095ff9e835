"""Small networks of the families of ``keras.applications``, of Keras 2 and of Keras 3."""

from collections.abc import Callable
from typing import Any

import numpy as np

PICTURES = 4
EFFICIENT_BLOCKS = [
    {"kernel_size": 3, "filters_in": 32, "filters_out": 16, "expand_ratio": 1, "strides": 1},
    {"kernel_size": 5, "filters_in": 16, "filters_out": 16, "expand_ratio": 6, "strides": 1},
]


def mobilenet_v3(module: Any, **options: Any) -> Any:
    """Return one with a block of either activation, the second of which is added to the first."""

    def blocks(x: Any, kernel: int, activation: Any, se_ratio: float) -> Any:
        x = module._inverted_res_block(x, 1, 8, 3, 2, se_ratio, module.relu, 0)
        return module._inverted_res_block(x, 3, 8, kernel, 1, se_ratio, activation, 1)

    return module.MobileNetV3(blocks, 32, alpha=0.25, model_type="small", **options)


def efficientnet(module: Any, **options: Any) -> Any:
    same = {"repeats": 1, "id_skip": True, "se_ratio": 0.25}
    blocks = [{**block, **same} for block in EFFICIENT_BLOCKS]
    return module.EfficientNet(0.25, 1.0, 64, blocks_args=blocks, **options)


def nasnet(module: Any, input_shape: Any, classes: int, **_: Any) -> Any:
    """Return one of a cell that makes the picture smaller and one that does not."""
    layers = module.layers
    pixels = layers.Input(input_shape)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem_conv1")(pixels)
    x = layers.BatchNormalization(name="stem_bn1")(x)
    x, before = module._reduction_a_cell(x, None, 4, block_id="stem_1")
    x, _ = module._normal_a_cell(x, before, 8, block_id="0")
    x = layers.GlobalAveragePooling2D()(layers.Activation("relu")(x))
    return module.training.Model(pixels, layers.Dense(classes, name="predictions")(x))


# The functions behind the networks' names, with few and narrow blocks. Of MobileNetV2 there is a
# whole one in `test_legacy_h5`.
SMALL: dict[str, tuple[str, Callable[..., Any]]] = {
    "ConvNeXt": (
        "convnext",
        lambda module, **options: module.ConvNeXt([1] * 4, [8, 12, 16, 24], **options),
    ),
    "DenseNet": ("densenet", lambda module, **options: module.DenseNet([1] * 4, **options)),
    "EfficientNet": ("efficientnet", efficientnet),
    "NASNet": ("nasnet", nasnet),
    "MobileNet": (
        "mobilenet",
        lambda module, **options: module.MobileNet(alpha=0.1, **options),
    ),
    "MobileNetV3": ("mobilenet_v3", mobilenet_v3),
}


def pictures(side: int, dtype: str) -> np.ndarray:
    """Return pictures of different colours in [0, 255]."""
    rng = np.random.RandomState(1)  # whose numbers never change
    pixels = rng.uniform(0, 255, (PICTURES, 1, 1, 3)) + rng.normal(0, 40, (PICTURES, side, side, 3))
    return np.clip(pixels, 0, 255).astype(dtype)


def disturb(
    network: Any, pixels: np.ndarray, change: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> None:
    """Give every weight another value, so that no two can be mistaken for each other unseen.

    `change` has the last word on each.
    """
    rng = np.random.RandomState(0)
    for layer in network._flatten_layers():
        values = []
        for value in layer.get_weights() if not list(layer._flatten_layers())[1:] else []:
            if np.issubdtype(value.dtype, np.floating):
                if np.abs(value).max() < 1e-3:  # zeros, and the scales of ConvNeXt
                    value = value + rng.normal(0, 0.1, value.shape)
                value = value * rng.uniform(0.7, 1.3, value.shape)
            values.append(change(value))
        if values:
            layer.set_weights(values)
        # Keras 3 rounds these constants to float32, which deep networks would make much of.
        for name in ("mean", "variance") if getattr(layer, "input_mean", None) is not None else ():
            rounded = np.asarray(getattr(layer, name), np.float32)
            setattr(layer, name, rounded.astype(layer.compute_dtype))
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
        if hasattr(layer, "momentum"):
            layer.momentum = 0.0
    # The moving averages become these pictures' own, or deep networks would not tell them apart.
    network(pixels, training=True)
