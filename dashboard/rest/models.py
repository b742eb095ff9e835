"""Which models a caller can name, and what is said of each."""

from pathlib import Path

from fastapi import HTTPException

from dashboard.rest.bodies import ModelBody, ModelsBody
from har_core import ModelBundleError
from har_core.model.bundle import BundleEntry, list_bundles
from har_core.model.loading import find_model, loaded_model
from har_core.model.manifest import NOVELTY_FILE, read_manifest
from har_core.settings import MODEL
from har_core.storage.paths import is_folder


def model_named(name: str) -> Path:
    """Return where a model is; only listed names, never a path.

    Raises
    ------
    HTTPException
        404 if there is none of that name.
    """
    for entry in _entries():
        if entry.name == name:
            return entry.path
    raise HTTPException(404, f"There is no model {name!r}; GET /models lists them.")


def list_models() -> ModelsBody:
    """Describe the models folder, led by the default model if that one lies elsewhere."""
    try:
        default = find_model()
    except ModelBundleError:
        default = None
    bodies = []
    for entry in _entries():
        body = ModelBody(name=entry.name, default=entry.path.resolve() == default)
        if entry.manifest is None:
            body.error = entry.error
        else:
            body.architecture = entry.manifest.architecture
            body.created = entry.manifest.created
            body.classes = list(entry.manifest.class_names)
            body.metrics = entry.manifest.metrics
            body.abstain_below = entry.manifest.rules.abstain_below
            body.detects_foreign = NOVELTY_FILE in entry.manifest.files
        bodies.append(body)
    return ModelsBody(models=bodies)


def _entries() -> list[BundleEntry]:
    entries = list_bundles()
    elsewhere = _default_elsewhere(entries) if MODEL.value else None
    if elsewhere is None:
        return entries
    # Answers name it so; another of its name in the folder could not be told from it.
    return [elsewhere, *(entry for entry in entries if entry.name != elsewhere.name)]


def _default_elsewhere(entries: list[BundleEntry]) -> BundleEntry | None:
    """Return the default model if it is none of the listed ones: `HAR_MODEL` may be any path."""
    try:
        path = find_model()
        if path in [entry.path.resolve() for entry in entries]:
            return None
    except ModelBundleError:
        return None
    try:
        if is_folder(path):
            manifest = read_manifest(path)
            return BundleEntry(manifest.name, path, manifest)
        loaded = loaded_model(path)  # a Keras file, which only says more once it is loaded
    except ModelBundleError as error:
        return BundleEntry(path.name, path, None, str(error))
    if loaded is None:
        return BundleEntry(path.stem, path, None, "It is not loaded yet.")
    return BundleEntry(loaded.name, path, loaded.manifest)
