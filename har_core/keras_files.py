"""Loading Keras model files without executing anything that they contain."""

from pathlib import Path
from typing import Any

from har_core.errors import ModelBundleError


def load_network(path: str | Path) -> Any:
    """Load a ``.keras`` or ``.h5`` file as an uncompiled Keras model.

    Raises
    ------
    ModelBundleError
        If the file is missing, damaged, or refused.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError) as error:
        raise ModelBundleError(f"Keras cannot load {path}: {error}.") from error
