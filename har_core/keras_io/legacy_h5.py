"""Translating the model configuration of a Keras 2 ``.h5`` file so that Keras 3 can load it."""

import copy
import functools
import inspect
from typing import Any, Final

from har_core.errors import ModelBundleError

# Settings that Keras 2 wrote and Keras 3 no longer knows, with the values that mean the same as
# leaving them out; `None` and `False` always do. `implementation` only chose between ways to
# compute the same, and layers without weights do not care whether they are trainable.
_OBSOLETE: Final[dict[str, tuple[Any, ...]]] = {
    "groups": (1,),
    "implementation": (0, 1, 2),
    "trainable": (True,),
}
_RENAMED: Final = {("LeakyReLU", "alpha"): "negative_slope"}
_NESTED_MODELS: Final = ("Functional", "Model", "Sequential")
_WRAPPED_LAYER_KEYS: Final = ("layer", "backward_layer", "forward_layer", "cell", "cells")

Config = dict[str, Any]


def wrote_keras_2(version: str | None) -> bool:
    """Tell whether a file's ``keras_version`` asks for translation; files without one are old."""
    return version is None or version.startswith("2.")


def modernize_config(config: Config) -> Config:
    """Translate a Keras 2 model configuration into one that Keras 3 reads.

    Parameters
    ----------
    config : dict
        Parsed ``model_config`` of a file written by Keras 2 (TensorFlow ≤ 2.15 or ``tf_keras``):
        ``{"class_name": "Functional" or "Sequential", "config": {...}}``. Left unchanged.

    Returns
    -------
    dict
        The same network for Keras 3: without settings that it dropped, with its names for the
        input shape and the dtype, and with its numbering of shared and nested models' calls.

    Raises
    ------
    ModelBundleError
        If a layer uses a setting that changes its result and that Keras 3 does not have.
    """
    return _modernize_layer(copy.deepcopy(config))


def _modernize_layer(layer: Config) -> Config:
    # Without these keys Keras 3 takes its path for old files, on which class names suffice.
    for key in ("module", "registered_name", "build_config", "compile_config"):
        layer.pop(key, None)
    if layer["class_name"] in _NESTED_MODELS:
        _modernize_model(layer)
    else:
        _modernize_settings(layer["class_name"], layer["config"])
    return layer


def _modernize_model(model: Config) -> None:
    if isinstance(model["config"], list):  # a Sequential before Keras 2.2 had no name
        model["config"] = {"name": "sequential", "layers": model["config"]}
    config = model["config"]
    layers = config["layers"]
    if model["class_name"] == "Sequential":
        layers = _with_input_layer(layers)
        config.pop("build_input_shape", None)
    config["layers"] = [_modernize_layer(layer) for layer in layers]
    if "output_layers" in config:
        _renumber_calls(config)
        # A list of one tensor was a tensor to Keras 2; to Keras 3 it is a list, which the next
        # layer does not take.
        for key in ("input_layers", "output_layers"):
            if len(config[key]) == 1:
                config[key] = config[key][0]


def _with_input_layer(layers: list[Config]) -> list[Config]:
    """Put an explicit input layer in front where only the first layer holds the input shape."""
    first = layers[0]
    shape = first["config"].get("batch_input_shape")
    if first["class_name"] == "InputLayer" or shape is None:
        return layers
    input_layer = {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": shape, "name": f"{first['config']['name']}_input"},
    }
    return [input_layer, *layers]


def _renumber_calls(config: Config) -> None:
    """Let the calls of each layer count from zero.

    A reference ``[layer, call, tensor]`` names the output of the layer's n-th call. Keras 2 counted
    a nested model's own construction as its call 0, so that references to it start at 1. Every
    call in the file is referred to (others are not saved), hence the lowest number is the offset.
    """
    inbound = [r for layer in config["layers"] for r in _references(layer.get("inbound_nodes"))]
    outputs = _references(config["output_layers"])
    first_call: dict[str, int] = {}
    for reference in (*inbound, *outputs):
        name, call = reference[:2]
        first_call[name] = min(call, first_call.get(name, call))
    for reference in (*inbound, *outputs):
        reference[1] -= first_call[reference[0]]
    functional = {
        layer["name"]
        for layer in config["layers"]
        if layer["class_name"] in ("Functional", "Model")
    }
    # Only here Keras 3 itself still counts the construction (`functional_from_config`).
    for reference in outputs:
        reference[1] += reference[0] in functional


def _references(nested: Any) -> list[list[Any]]:
    """Collect the ``[layer, call, tensor, ...]`` lists of any nesting of lists and dicts."""
    if isinstance(nested, dict):
        nested = list(nested.values())
    if not isinstance(nested, list):
        return []
    if len(nested) >= 3 and isinstance(nested[0], str) and all(type(i) is int for i in nested[1:3]):
        # A fourth entry holds further arguments of the call, which may be tensors too.
        is_constant = nested[0] == "_CONSTANT_VALUE"
        return ([] if is_constant else [nested]) + _references(nested[3:])
    return [reference for item in nested for reference in _references(item)]


def _modernize_settings(class_name: str, config: Config) -> None:
    name = config.get("name", class_name)
    shape = config.pop("batch_input_shape", None)
    if class_name == "InputLayer" and shape is not None:
        config["batch_shape"] = shape
    dtype = config.get("dtype")
    if isinstance(dtype, dict):  # {"class_name": "Policy", "config": {"name": "mixed_float16"}}
        config["dtype"] = dtype["config"]["name"]
    _modernize_axis(name, config)
    for key in ("activation", "recurrent_activation"):
        if config.get(key) == "hard_sigmoid":
            raise ModelBundleError(
                f"The layer {name!r} uses hard_sigmoid, which Keras 2 computed as 0.2 x + 0.5 and "
                "Keras 3 computes as x / 6 + 0.5: its results would differ silently. Load the "
                "model with the Keras version that trained it, or train it again."
            )
    for key in _WRAPPED_LAYER_KEYS:
        wrapped = config.get(key)
        for layer in wrapped if isinstance(wrapped, list) else [wrapped]:
            if isinstance(layer, dict):
                _modernize_layer(layer)
                # Wrappers take Keras 3's path for new files, which needs the module.
                layer.update(module="keras.layers", registered_name=None)
    for (renamed_class, old), new in _RENAMED.items():
        if class_name == renamed_class and old in config:
            config[new] = config.pop(old)
    known = _constructor_arguments(class_name)
    for key in [key for key in config if known and key not in known]:
        value = config[key]
        if value is None or value is False or value in _OBSOLETE.get(key, ()):
            del config[key]


def _modernize_axis(name: str, config: Config) -> None:
    axis = config.get("axis")
    if not isinstance(axis, list):
        return
    if len(axis) != 1:
        # Keras 3's path for old files would forget the axes without a word.
        raise ModelBundleError(
            f"The layer {name!r} normalizes over the axes {axis}; Keras 3 reads only one axis from "
            "an old file. Save the model in the .keras format with the version that trained it."
        )
    config["axis"] = axis[0]


@functools.cache
def _constructor_arguments(class_name: str) -> frozenset[str]:
    """Return what Keras 3's layer of that name can be built with; empty if there is none."""
    import keras

    layer_class = getattr(keras.layers, class_name, None)
    if not inspect.isclass(layer_class):
        return frozenset()
    arguments = set(inspect.signature(layer_class.__init__).parameters)
    if "kwargs" in arguments:
        arguments |= {"name", "dtype", "trainable", "activity_regularizer"}
    return frozenset(arguments)
