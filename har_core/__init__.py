"""What is the person in a photograph doing? The classifier behind dashboard, REST and CLI."""

import os
from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it, without 20 ms for `typing`
if TYPE_CHECKING:
    from har_core.errors import DatasetError, HarError, InvalidImageError, ModelBundleError
    from har_core.model import ActionModel, Prediction, load_model

# ONNX Runtime would tell its makers of every use, and keep a number of this machine in the home
# folder; it looks when it is imported, so this stands before everything that does.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "ActionModel",
    "DatasetError",
    "HarError",
    "InvalidImageError",
    "ModelBundleError",
    "Prediction",
    "load_model",
]

_HOMES = {name: "errors" if name.endswith("Error") else "model" for name in __all__}


def __getattr__(name: str) -> object:
    # Imported when asked for: `har_core.__main__` shall be there to catch Ctrl-C.
    if name in _HOMES.values():
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
