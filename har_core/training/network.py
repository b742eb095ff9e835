"""The network: MobileNetV2, its feature map read as a sequence by an LSTM, softmax."""

from pathlib import Path
from typing import Any, Final

from har_core.errors import ModelBundleError
from har_core.keras_io.loading import load_network
from har_core.storage.paths import is_file

INPUT_SIZE: Final = 224
LSTM_UNITS: Final = 128
ARCHITECTURE: Final = "MobileNetV2 → 49 × 1280 → LSTM(128) → dropout → softmax"
SEQUENCE_LAYER: Final = "sequence"
_FEATURE_SHAPE: Final = (7, 7, 1280)


def build_network(
    n_classes: int, *, backbone_weights: str | Path = "imagenet", dropout: float = 0.3
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
        that this function built, whose backbone is taken.
    dropout : float
        Rate before the softmax, in [0, 1).

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

    backbone = _load_backbone(backbone_weights)
    rows, columns, channels = _FEATURE_SHAPE
    x = keras.layers.Reshape((rows * columns, channels), name=SEQUENCE_LAYER)(backbone.output)
    x = keras.layers.LSTM(LSTM_UNITS, name="lstm")(x)
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


def resize_input(network: Any, size: int) -> Any:
    """Return the same network, sharing all layers, for pixels of another size.

    The convolutions fit any size, and the LSTM any number of cells: training one trains both.

    Parameters
    ----------
    network : keras.Model
        From `build_network`.
    size : int
        Side of the input in pixels, a multiple of 32; at 160, the sequence has 25 cells.

    Returns
    -------
    keras.Model
    """
    import keras

    def share(layer: Any) -> Any:
        if layer.name == SEQUENCE_LAYER:
            return keras.layers.Reshape((-1, _FEATURE_SHAPE[-1]), name=SEQUENCE_LAYER)
        return layer

    pixels = keras.Input((size, size, 3), name="pixels")
    return keras.models.clone_model(network, input_tensors=pixels, clone_function=share)


def _load_backbone(weights: str | Path) -> Any:
    import keras

    if str(weights).endswith(".keras"):
        backbone = load_network(weights)
        if any(layer.name == SEQUENCE_LAYER for layer in backbone.layers):
            backbone = keras.Model(backbone.input, backbone.get_layer(SEQUENCE_LAYER).input)
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
                "connection, give a file with --backbone-weights PATH."
            ) from error
    shapes = backbone.input_shape[1:], backbone.output_shape[1:]
    if shapes != ((INPUT_SIZE, INPUT_SIZE, 3), _FEATURE_SHAPE):
        raise ModelBundleError(
            f"The backbone {weights} maps {shapes[0]} to {shapes[1]}; needed is "
            f"{(INPUT_SIZE, INPUT_SIZE, 3)} to {_FEATURE_SHAPE}."
        )
    return backbone
