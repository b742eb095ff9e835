"""Saying where Keras 3 finds the operations and layers that its own ``.h5`` files only name."""

import copy
import functools
import inspect
from typing import Final

from har_core.keras_io.safety import Config

# Where Keras 3 keeps the classes of its operations, and of the layers of its own networks.
_MODULES: Final = (
    "keras.src.ops.numpy",
    "keras.src.ops.nn",
    "keras.src.ops.core",
    "keras.src.ops.math",
    "keras.src.ops.image",
    "keras.src.ops.linalg",
    "keras.src.applications.convnext",
    "keras.src.applications.inception_resnet_v2",
)


def with_modules(config: Config) -> Config:
    """Complete the configuration of a Keras 3 ``.h5`` file so that arithmetic in it is found.

    ``x + 1`` is saved there as an ``Add`` without a module, which Keras 3 then takes for the layer
    of that name.

    Parameters
    ----------
    config : dict
        Parsed ``model_config``. Left unchanged.

    Returns
    -------
    dict
    """
    completed = copy.deepcopy(config)
    pending = [completed]
    while pending:
        item = pending.pop()
        settings = item["config"]
        if isinstance(settings.get("layers"), list):
            pending.extend(settings["layers"])
        elif "module" not in item:
            module = _module_of(item["class_name"], is_layer="trainable" in settings)
            if module is not None:
                item.update(module=module, registered_name=item["class_name"])
    return completed


@functools.cache
def _module_of(class_name: str, is_layer: bool) -> str | None:
    """Return the module of an operation, or of a layer that is not in ``keras.layers``."""
    import importlib

    import keras

    if is_layer and hasattr(keras.layers, class_name):
        return None
    for name in _MODULES:
        found = getattr(importlib.import_module(name), class_name, None)
        if (
            inspect.isclass(found)
            and found.__module__ == name
            and issubclass(found, keras.Operation)
            and issubclass(found, keras.Layer) is is_layer
        ):
            return name
    return None
