"""What a Keras model's configuration may ask for: nothing in a model file is executed."""

from pathlib import Path
from typing import Any, Final

from har_core.errors import ModelBundleError

# Layers that run code or read files from outside the network when they are built or called.
_REFUSED: Final = {
    "Lambda": "a Lambda layer, which holds Python code",
    "__lambda__": "a Python lambda",
    "TFSMLayer": "a TFSMLayer, which runs a TensorFlow graph of another file",
    "TorchModuleWrapper": "a TorchModuleWrapper, which holds pickled code",
    "JaxLayer": "a JaxLayer, which holds code",
    "FlaxLayer": "a FlaxLayer, which holds code",
    "StringLookup": "a StringLookup, which reads files outside the network",
    "IntegerLookup": "an IntegerLookup, which reads files outside the network",
    "TextVectorization": "a TextVectorization, which reads files outside the network",
    "TensorFlowOpLayer": "a bare TensorFlow operation in the form of TensorFlow ≤ 2.3",
}
_KERAS_2_OPERATIONS: Final = ("TFOpLambda", "SlicingOpLambda")
# Of Keras' own networks (ConvNeXt, InceptionResNetV2), but written like a user's.
KERAS_OWN: Final = ("Custom>CustomScaleLayer", "Custom>LayerScale", "Custom>StochasticDepth")

# What Keras 2 wrote for training that starts anew or goes on. It is neither built nor looked at,
# because what a trained layer computes does not depend on it.
OF_TRAINING: Final = ("_initializer", "_regularizer", "_constraint")

Config = dict[str, Any]


def refuse_unsafe_config(config: Config, source: str | Path, *, keras_2: bool = False) -> None:
    """Refuse a model configuration that asks for anything but Keras' own objects.

    Parameters
    ----------
    config : dict
        Parsed ``config.json`` or ``model_config``.
    source : str or Path
        What to call it in the error message.
    keras_2 : bool, default False
        Whether Keras 2 wrote it: what it calls TensorFlow operations and custom layers may be among
        those that `har_core.keras_io.legacy_graph` replaces by Keras 3's; it refuses others.

    Raises
    ------
    ModelBundleError
        Naming the layer, and why it is refused.
    """
    # A list of work instead of recursion: the nesting is the file's choice.
    pending: list[tuple[Any, str]] = [
        # How the model was compiled is not loaded; a custom loss there does no harm.
        ({k: v for k, v in config.items() if k != "compile_config"}, "the model")
    ]
    while pending:
        item, owner = pending.pop()
        if isinstance(item, list):
            pending.extend((value, owner) for value in item)
        elif isinstance(item, dict):
            if "class_name" in item:
                owner = _owner(item, owner)
                reason = _reason_to_refuse(item, keras_2)
                if reason:
                    raise ModelBundleError(
                        f"{source} is refused: {owner} is {reason}. Nothing in a model file is "
                        "executed; rebuild the model from Keras' own layers and save it again."
                    )
            pending.extend(
                (value, owner)
                for key, value in item.items()
                if not (keras_2 and key.endswith(OF_TRAINING))
            )


def _owner(item: Config, owner: str) -> str:
    inner = item.get("config")
    name = item.get("name") or (inner.get("name") if isinstance(inner, dict) else None)
    return f"the layer {name!r}" if isinstance(name, str) else owner


def _reason_to_refuse(item: Config, keras_2: bool) -> str | None:
    class_name, module = item["class_name"], item.get("module")
    registered = item.get("registered_name")
    if not isinstance(class_name, str):
        return "not a valid configuration"
    if class_name in _REFUSED:
        return _REFUSED[class_name]
    if class_name in _KERAS_2_OPERATIONS:
        return None if keras_2 else "a bare TensorFlow operation of Keras 2"
    if keras_2 and (registered or class_name) in KERAS_OWN:
        return None
    if ">" in class_name or (isinstance(registered, str) and ">" in registered):
        return f"custom code ({registered or class_name})"
    # What Keras 2 wrote is rebuilt by its class names; nothing is looked up in these modules.
    own_modules = ("keras", "builtins", *(("tf_keras",) if keras_2 else ()))
    if module is not None and (
        not isinstance(module, str) or module.partition(".")[0] not in own_modules
    ):
        return f"code from the module {module!r}"
    own_names = (None, "", "function", class_name, item.get("config"))
    if "registered_name" in item and registered not in own_names:
        return f"custom code ({registered})"
    # Keras writes the module of its own classes; only functions are from "builtins".
    own_module = class_name == "function" or class_name.startswith("__")
    if "module" in item and module in (None, "builtins") and not own_module:
        return f"custom code ({class_name})"
    return None
