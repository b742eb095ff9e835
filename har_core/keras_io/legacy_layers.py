"""Building one layer of Keras 3 from what a Keras 2 file says of it."""

import functools
import inspect
from typing import Any, Final

from har_core.errors import ModelBundleError, on_one_line
from har_core.keras_io.safety import KERAS_OWN, OF_TRAINING, Config

# Settings that Keras 2 wrote and Keras 3 no longer knows, with the values that mean the same as
# leaving them out; `None` and `False` always do. `implementation` only chose between ways to
# compute the same, and layers without weights do not care whether they are trainable.
_OBSOLETE: Final[dict[str, tuple[Any, ...]]] = {
    "groups": (1,),
    "implementation": (0, 1, 2),
    "trainable": (True,),
}
# `MultiHeadAttention` learns them from its inputs.
_SHAPES_OF_INPUTS: Final = ("query_shape", "key_shape", "value_shape")
_RENAMED: Final = {("LeakyReLU", "alpha"): "negative_slope"}
_RENAMED_CLASSES: Final = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "RandomCrop": "Resizing",  # which is what it does when predicting
    "RandomHeight": "Identity",
    "RandomWidth": "Identity",
}
# Layers that vary pictures while training; what they do then does not matter here.
_AUGMENTATION: Final = "Random"


def build_layer(class_name: str, config: Config, name: str) -> Any:
    """Build a layer, without weights, that computes what Keras 2's layer computed.

    Parameters
    ----------
    class_name : str
        As in the file. Only Keras' own layers are found.
    config : dict
        Its settings as in the file, layers inside it built already. Left unchanged.
    name : str
        What to call the layer.

    Returns
    -------
    keras.Layer

    Raises
    ------
    ModelBundleError
        If Keras 3 has no such layer, or lacks a setting that changes its result.
    """
    layer_class = _layer_class(class_name)
    if layer_class is None:
        raise ModelBundleError(
            f"the layer {name!r} is of the kind {class_name}, which Keras 3 does not have; replace "
            "it in the code that builds the network and train that again"
        )
    settings = _settings(class_name, config, layer_class) | {"name": name}
    try:
        return layer_class(**settings)
    except (TypeError, ValueError) as error:
        cause = on_one_line(error)
        raise ModelBundleError(
            f"the layer {name!r} ({class_name}) has settings that Keras 3 does not take: {cause}"
        ) from error


def _layer_class(class_name: str) -> Any:
    import keras

    if f"Custom>{class_name.removeprefix('Custom>')}" in KERAS_OWN:
        return _keras_own_layer(class_name.removeprefix("Custom>"))
    found = getattr(keras.layers, _RENAMED_CLASSES.get(class_name, class_name), None)
    return found if inspect.isclass(found) and issubclass(found, keras.Layer) else None


def _keras_own_layer(class_name: str) -> Any:
    """Return a layer that Keras defines beside one of its networks, not in ``keras.layers``."""
    from keras.src.applications import convnext, inception_resnet_v2

    module = inception_resnet_v2 if class_name == "CustomScaleLayer" else convnext
    return getattr(module, class_name)


def _settings(class_name: str, config: Config, layer_class: Any) -> Config:
    name = config.get("name", class_name)
    settings = {
        key: value
        for key, value in config.items()
        if key != "batch_input_shape" and not key.endswith(OF_TRAINING)
    }
    dtype = settings.get("dtype")
    if isinstance(dtype, dict):  # {"class_name": "Policy", "config": {"name": "mixed_float16"}}
        settings["dtype"] = dtype["config"]["name"]
    axis = settings.get("axis")
    if isinstance(axis, list) and "Normalization" in class_name:
        if len(axis) == 1:
            settings["axis"] = axis[0]
        elif _RENAMED_CLASSES.get(class_name, class_name) == "BatchNormalization":
            raise ModelBundleError(
                f"the layer {name!r} normalizes over the axes {axis}, Keras 3 over one axis only; "
                "replace it in the code that builds the network and train that again"
            )
    for key in ("activation", "recurrent_activation"):
        if settings.get(key) == "hard_sigmoid":
            raise ModelBundleError(
                f"the layer {name!r} uses hard_sigmoid, which Keras 2 computed as 0.2 x + 0.5 and "
                "Keras 3 computes as x / 6 + 0.5: its results would differ silently; train the "
                "network with another activation there"
            )
    if class_name == "RandomCrop":
        settings["crop_to_aspect_ratio"] = True
    for (renamed_class, old), new in _RENAMED.items():
        if class_name == renamed_class and old in settings:
            settings[new] = settings.pop(old)
    known, any_may_go = _constructor_arguments(layer_class), class_name.startswith(_AUGMENTATION)
    return {
        key: value
        for key, value in settings.items()
        if key in known or not (any_may_go or _may_go(key, value))
    }


def _may_go(key: str, value: Any) -> bool:
    """Tell whether a setting that Keras 3's layer does not know can be left out."""
    if value is None or value is False or key in _SHAPES_OF_INPUTS:
        return True
    return value in _OBSOLETE.get(key, ())


@functools.cache
def _constructor_arguments(layer_class: Any) -> frozenset[str]:
    arguments = set(inspect.signature(layer_class.__init__).parameters)
    if "kwargs" in arguments:
        arguments |= {"name", "dtype", "trainable", "activity_regularizer"}
    return frozenset(arguments)
