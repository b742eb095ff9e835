"""Which loaded model answers a request that names none."""

import time
from pathlib import Path
from typing import Final, NamedTuple

from har_core import ActionModel, ModelBundleError
from har_core.model.loading import find_model, loaded_model
from har_core.settings import MODEL, MODELS_DIR

# Finding the default model are ten questions to the file system, after each of which a worker waits
# for Python's interpreter. A model that takes its place is served so much later.
ASK_EVERY_S: Final = 0.2


class _Found(NamedTuple):
    when: float
    settings: tuple[str, str]
    model: ActionModel


_latest: _Found | None = None


def model_or_path(bundle: Path | None) -> ActionModel | Path:
    """Return a model if it is loaded, else where it is.

    Parameters
    ----------
    bundle : Path or None
        Folder of a bundle; None: the default model.

    Raises
    ------
    ModelBundleError
        If there is no such model, or none at all.
    """
    global _latest
    settings, now = (MODEL.value, MODELS_DIR.value), time.monotonic()
    latest = _latest if bundle is None else None
    if latest and latest.settings == settings and now - latest.when < ASK_EVERY_S:
        return latest.model
    path = find_model(bundle)
    model = loaded_model(path)
    if model is not None and bundle is None:
        _latest = _Found(now, settings, model)
    return path if model is None else model


def loaded_default_name() -> str | None:
    """Return the name of the default model; None without one, or while it is not loaded."""
    try:
        model = loaded_model(find_model())
    except ModelBundleError:
        return None
    return None if model is None else model.name
