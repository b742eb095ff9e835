"""The network: MobileNetV2, its feature map read as a sequence by an LSTM, softmax."""

import re
from pathlib import Path
from typing import Any, Final

from har_core.errors import ModelBundleError
from har_core.images.preprocessing import Preprocessing
from har_core.keras_io.loading import load_network
from har_core.storage.paths import is_file

INPUT_SIZE: Final = 224
PREPROCESSING: Final[Preprocessing] = "minus_one_to_one"
LSTM_UNITS: Final = 128
ARCHITECTURE: Final = "MobileNetV2 → 49 × 1280 → LSTM(128) → dropout → softmax"
SEQUENCE_LAYER: Final = "sequence"
LSTM_LAYER: Final = "lstm"
_FEATURE_SHAPE: Final = (7, 7, 1280)
_BLOCK: Final = re.compile(r"block_(\d+)_")


def build_network(
    n_classes: int,
    *,
    backbone_weights: str | Path = "imagenet",
    dropout: float = 0.3,
    head: str = "lstm",
) -> Any:
    """Build the classifier around a pretrained backbone.

    MobileNetV2 (alpha 1.0, no top) turns 224×224 pixels into a 7×7×1280 feature map; its 49
    cells, row by row, are the sequence that LSTM(128) reads; its last state goes through dropout
    into a softmax.

    Parameters
    ----------
    n_classes : int
        Number of outputs, at least 2.
    backbone_weights : str or Path
        ``"imagenet"`` (Keras downloads them), ``"random"``, the path of a weights file for
        ``keras.applications.MobileNetV2(include_top=False)`` (``.weights.h5``), or the path of a
        ``.keras`` file: a whole backbone model with the same input and output shapes, or a network
        that this function built, whose backbone and LSTM are taken.
    dropout : float
        Rate before the softmax, in [0, 1).
    head : {"lstm", "pooled"}
        What makes one vector of the 49 cells; the mean learns faster, for teachers.

    Returns
    -------
    keras.Model
        Input float32 (N, 224, 224, 3) scaled to [-1, 1]
        (``keras.applications.mobilenet_v2.preprocess_input``); output float32 (N, n_classes).

    Raises
    ------
    ModelBundleError
        If the weights cannot be had or do not fit.
    """
    import keras

    backbone, sequence_weights = _load_backbone(backbone_weights)
    rows, columns, channels = _FEATURE_SHAPE
    x = keras.layers.Reshape((rows * columns, channels), name=SEQUENCE_LAYER)(backbone.output)
    if head == "lstm":
        lstm = keras.layers.LSTM(LSTM_UNITS, name=LSTM_LAYER)
        x = lstm(x)
        if sequence_weights is not None:
            lstm.set_weights(sequence_weights)
    else:
        x = keras.layers.GlobalAveragePooling1D(name="pooling")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(n_classes, activation="softmax", name="action")(x)
    return keras.Model(backbone.input, x, name="cnn_lstm")


def split_at_features(network: Any) -> tuple[Any, Any]:
    """Return the backbone (pixels → 49×1280) and the head (49×1280 → probabilities).

    Both share their layers with `network`: training one trains it.
    """
    import keras

    sequence = network.get_layer(SEQUENCE_LAYER).output
    return keras.Model(network.input, sequence), keras.Model(sequence, network.output)


def _load_backbone(weights: str | Path) -> tuple[Any, list[Any] | None]:
    """Return the backbone, and the weights of the LSTM that came with it, if one did."""
    import keras

    sequence_weights = None
    if str(weights).endswith(".keras"):
        backbone = load_network(weights)
        layers = {layer.name: layer for layer in backbone.layers}
        if SEQUENCE_LAYER in layers:
            if LSTM_LAYER in layers:
                sequence_weights = layers[LSTM_LAYER].get_weights()
            backbone = keras.Model(backbone.input, layers[SEQUENCE_LAYER].input)
    else:
        if weights not in ("random", "imagenet") and not is_file(weights):
            raise ModelBundleError(f"There is no backbone weights file {weights}.")
        try:
            backbone = keras.applications.MobileNetV2(
                include_top=False,
                input_shape=(INPUT_SIZE, INPUT_SIZE, 3),
                weights=None if weights == "random" else str(weights),
            )
        except Exception as error:  # Keras raises bare Exception when a download fails
            raise ModelBundleError(
                f"Cannot load the backbone weights {str(weights)!r}: {error}. Without a "
                "connection, choose the effort standard, or give har train a file with "
                "--backbone-weights PATH."
            ) from error
    shapes = backbone.input_shape[1:], backbone.output_shape[1:]
    if shapes != ((INPUT_SIZE, INPUT_SIZE, 3), _FEATURE_SHAPE):
        raise ModelBundleError(
            f"The backbone {weights} maps {shapes[0]} to {shapes[1]}; needed is "
            f"{(INPUT_SIZE, INPUT_SIZE, 3)} to {_FEATURE_SHAPE}."
        )
    return backbone, sequence_weights


def training_twin(network: Any, *, bfloat16: bool = False, fused: bool = False) -> Any:
    """Return a network of the same weights that is made for training, for pixels of any size.

    Parameters
    ----------
    network : keras.Model
        From `build_network`; the twin's weights are its own, in the same order.
    bfloat16 : bool
        Let the backbone compute in mixed precision; the head stays in float32.
    fused : bool
        Replace convolutions and LSTM by `har_core.training.learning.fast_layers`.

    Returns
    -------
    keras.Model
    """
    import keras

    from har_core.training.learning.fast_layers import fast_layers

    depths = layer_depths(network)

    def rebuild(layer: Any) -> Any:
        if layer.name == SEQUENCE_LAYER:
            return keras.layers.Reshape((-1, _FEATURE_SHAPE[-1]), name=SEQUENCE_LAYER)
        config = layer.get_config()
        if bfloat16 and depths[layer.name] > 0:
            config["dtype"] = "mixed_bfloat16"
        kind = type(layer)
        pointwise = getattr(layer, "kernel_size", None) == (1, 1)
        if fused and (kind is not keras.layers.Conv2D or pointwise):
            kind = fast_layers().get(kind, kind)
        return kind.from_config(config)

    pixels = keras.Input((None, None, 3), name="pixels")
    twin = keras.models.clone_model(network, input_tensors=pixels, clone_function=rebuild)
    twin.set_weights(network.get_weights())
    return twin


def layer_depths(network: Any) -> dict[str, int]:
    """Count the stages between each layer and the output: head 0, last block 2, …, stem.

    Parameters
    ----------
    network : keras.Model
        From `build_network`: its backbone's layers are named as in Keras' MobileNetV2.

    Returns
    -------
    dict of str to int
        Layer name to the number of stages between it and the head; 18 for the stem of MobileNetV2.
    """
    names = [layer.name for layer in network.layers]
    blocks = {name: int(match[1]) for name in names if (match := _BLOCK.match(name))}
    last = max(blocks.values(), default=0)
    depths = {}
    for name in names:
        if name in blocks:
            depths[name] = last - blocks[name] + 2
        elif name.startswith("Conv_1"):
            depths[name] = 1
        elif name in ("Conv1", "bn_Conv1") or name.startswith("expanded_conv"):
            depths[name] = last + 2
        else:
            depths[name] = 0
    return depths
