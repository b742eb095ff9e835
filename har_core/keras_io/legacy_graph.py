"""Rebuilding the network of a Keras 2 file with the layers of Keras 3."""

from dataclasses import dataclass
from typing import Any, Final

from har_core.errors import ModelBundleError
from har_core.keras_io.legacy_layers import build_layer
from har_core.keras_io.legacy_ops import operation_named
from har_core.keras_io.safety import Config

_MODELS: Final = ("Functional", "Model", "Sequential")
_OPERATIONS: Final = ("TFOpLambda", "SlicingOpLambda")
_WRAPPED_LAYER_KEYS: Final = ("layer", "backward_layer", "forward_layer", "cell", "cells")
_CONSTANT: Final = "_CONSTANT_VALUE"
_NAMED: Final = ".operation"  # ends the names of operations


@dataclass(frozen=True)
class Rebuilt:
    """A layer or model of Keras 3 and how Keras 2 knew it.

    Parameters
    ----------
    name : str
        In the file, where it may hold a ``/``.
    layer : keras.Layer or callable
        What computes the same; of an operation a function of tensors.
    parts : tuple of Rebuilt
        The layers of a model, in the file's order; empty for a layer.
    trainable : bool
        Of a model: whether it was frozen as a whole.
    kind : str
        The name of its class in Keras 2.
    """

    name: str
    layer: Any
    parts: tuple["Rebuilt", ...] = ()
    trainable: bool = True
    kind: str = "Functional"


def rebuild_network(config: Config) -> Rebuilt:
    """Build the network that a Keras 2 configuration describes, without its weights.

    Parameters
    ----------
    config : dict
        Parsed ``model_config`` of a file written by Keras 2 (TensorFlow ≤ 2.15 or ``tf_keras``):
        ``{"class_name": "Functional" or "Sequential", "config": {...}}``, free of anything that
        `refuse_unsafe_config` refuses. Left unchanged.

    Returns
    -------
    Rebuilt
        Its ``layer`` is a ``keras.Model``.

    Raises
    ------
    ModelBundleError
        If a layer or operation has no equal in Keras 3, or a reference leads nowhere.
    """
    return _rebuild(config, "model")


def _rebuild(item: Config, name: str) -> Rebuilt:
    class_name, config = item["class_name"], item["config"]
    if class_name in _MODELS:
        if isinstance(config, list):  # a Sequential before Keras 2.2 had no name
            config = {"name": "sequential", "layers": config}
        return _sequential(config) if class_name == "Sequential" else _functional(config)
    name = item.get("name") or config.get("name") or name
    if class_name in _OPERATIONS:
        return Rebuilt(name, _operation(config, name), kind=class_name)
    if class_name == "InputLayer":
        raise ModelBundleError(f"the input {name!r} stands where no input can be")
    return _layer(class_name, config, name)


def _layer(class_name: str, config: Config, name: str) -> Rebuilt:
    settings, parts = dict(config), []
    for key in _WRAPPED_LAYER_KEYS:
        inner = settings.get(key)
        if isinstance(inner, dict):
            part = _rebuild(inner, name)
            settings[key] = part.layer
            parts.append(part)
        elif isinstance(inner, list):
            settings[key] = [_rebuild(one, name).layer for one in inner]
    built = build_layer(class_name, settings, _valid_name(name))
    # Only a model inside has an order of weights of its own.
    kind = class_name.rpartition(">")[2]
    return Rebuilt(name, built, tuple(part for part in parts if part.parts), kind=kind)


def _operation(config: Config, name: str) -> Any:
    function = config.get("function")
    compute = operation_named(function)
    if compute is None:
        raise ModelBundleError(
            f"the layer {name!r} is the TensorFlow operation {function!r}, which is not among "
            "those that are read; build the network with a layer of Keras in its place, give it "
            "the weights with set_weights(old.get_weights()) and save it again"
        )
    return compute


def _valid_name(name: str) -> str:
    """Keras 3 allows no ``/`` in a name."""
    return name.replace("/", "_")


def _input(config: Config, name: str) -> Any:
    import keras

    shape = config.get("batch_input_shape") or config.get("batch_shape")
    return keras.Input(batch_shape=shape, dtype=config.get("dtype"), name=_valid_name(name))


def _sequential(config: Config) -> Rebuilt:
    import keras

    items, name = config["layers"], config.get("name", "sequential")
    first = items[0]["config"] if items else {}
    shape = config.get("build_input_shape")
    if isinstance(first, dict):
        shape = first.get("batch_input_shape") or first.get("batch_shape") or shape
    inputs = [keras.Input(batch_shape=shape)] if shape else []
    parts = [
        _rebuild(item, f"layer_{position}")
        for position, item in enumerate(items)
        if item["class_name"] != "InputLayer"
    ]
    model = keras.Sequential([*inputs, *(part.layer for part in parts)], name=_valid_name(name))
    return _as_model(name, model, parts, config, "Sequential")


def _functional(config: Config) -> Rebuilt:
    import keras

    items, name = config["layers"], config.get("name", "model")
    first_call = _first_calls(config)
    parts: dict[str, Rebuilt] = {}
    # What a layer's n-th call gave, by (layer, n).
    values: dict[tuple[str, int], list[Any]] = {}
    waiting: list[tuple[str, int, Any]] = []
    for item in items:
        layer_name = item["name"]
        if item["class_name"] == "InputLayer":
            values[layer_name, first_call.get(layer_name, 0)] = [_input(item["config"], layer_name)]
            continue
        parts[layer_name] = _rebuild(item, layer_name)
        start = first_call.get(layer_name, 0)
        waiting += [(layer_name, start + n, node) for n, node in enumerate(item["inbound_nodes"])]
    while waiting:
        left = []
        for layer_name, call, node in waiting:
            if all(reference in values for reference in _references(node)):
                outputs = _flat(_call(parts[layer_name], node, values))
                _name_operations(outputs, f"{_valid_name(layer_name)}.{call}")
                values[layer_name, call] = outputs
            else:
                left.append((layer_name, call, node))
        if len(left) == len(waiting):
            raise ModelBundleError(f"the layer {left[0][0]!r} takes what no layer gives")
        waiting = left
    inputs, outputs = (
        _unwrapped(_resolve(config[key], values)) for key in ("input_layers", "output_layers")
    )
    model = keras.Model(inputs, outputs, name=_valid_name(name))
    return _as_model(name, model, list(parts.values()), config)


def _as_model(
    name: str, model: Any, parts: list[Rebuilt], config: Config, kind: str = "Functional"
) -> Rebuilt:
    trainable = config.get("trainable", True) is not False
    return Rebuilt(name, model, tuple(parts), trainable, kind)


def _first_calls(config: Config) -> dict[str, int]:
    """Return the number of each layer's first call.

    A reference ``[layer, call, tensor]`` names the output of the layer's n-th call. Keras 2 counted
    a nested model's own construction as its call 0, so that references to it start at 1. Every
    call in the file is referred to (others are not saved), hence the lowest number is the first.
    """
    referred = [r for item in config["layers"] for r in _references(item.get("inbound_nodes"))]
    referred += _references(config["output_layers"])
    first: dict[str, int] = {}
    for name, call in referred:
        first[name] = min(call, first.get(name, call))
    return first


def _is_reference(item: Any) -> bool:
    return (
        isinstance(item, list)
        and len(item) in (3, 4)
        and isinstance(item[0], str)
        and all(type(number) is int for number in item[1:3])
    )


def _is_constant(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 4 and item[0] == _CONSTANT


def _references(nested: Any) -> list[tuple[str, int]]:
    """Collect the (layer, call) pairs that any nesting of lists and dicts refers to."""
    if isinstance(nested, dict):
        nested = list(nested.values())
    if not isinstance(nested, list):
        return []
    if _is_constant(nested):
        return _references(nested[2:])
    if _is_reference(nested):
        # A fourth entry holds further arguments of the call, which may be tensors too.
        return [(nested[0], nested[1]), *_references(nested[3:])]
    return [reference for item in nested for reference in _references(item)]


def _resolve(nested: Any, values: dict[tuple[str, int], list[Any]]) -> Any:
    """Put tensors in the place of references."""
    if isinstance(nested, dict):
        return {key: _resolve(item, values) for key, item in nested.items()}
    if _is_constant(nested):
        return nested[2]
    if _is_reference(nested):
        return values[nested[0], nested[1]][nested[2]]
    return [_resolve(item, values) for item in nested] if isinstance(nested, list) else nested


def _call(part: Rebuilt, node: Any, values: dict[tuple[str, int], list[Any]]) -> Any:
    import keras

    layer, first = part.layer, node
    while isinstance(first, dict) or (isinstance(first, list) and isinstance(first[0], list)):
        first = next(iter(first.values())) if isinstance(first, dict) else first[0]
    further = _resolve(first[3] if len(first) > 3 else {}, values)
    argument = _resolve(node, values)
    if isinstance(layer, keras.Layer):
        further = {key: value for key, value in further.items() if value is not None}
        if further.get("training"):  # which Keras 3 would overrule
            raise ModelBundleError(
                f"the layer {part.name!r} is called with training=True, so that its answers depend "
                "on chance or on the other photographs; build the network without that"
            )
        return layer(_unwrapped(argument), **further)
    further.pop("name", None)
    return layer(argument, **further)


def _name_operations(outputs: list[Any], name: str) -> None:
    """Name the operations behind a call, which Keras 3 else names like layers of the file."""
    import keras

    pending, number = [*outputs], 0
    while pending:
        history = getattr(pending.pop(), "_keras_history", None)
        if history is None:
            continue
        operation = history.operation
        if isinstance(operation, keras.Layer) or operation.name.endswith(_NAMED):
            continue
        operation.name = f"{name}.{number}{_NAMED}"
        number += 1
        pending += [tensor for node in operation._inbound_nodes for tensor in node.input_tensors]


def _unwrapped(nested: Any) -> Any:
    """Keras 2 took a list of one tensor for the tensor."""
    return nested[0] if isinstance(nested, list) and len(nested) == 1 else nested


def _flat(outputs: Any) -> list[Any]:
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    return [*outputs] if isinstance(outputs, list | tuple) else [outputs]
