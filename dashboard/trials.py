"""Models on trial: trained from the page, and not among the others until somebody uses them."""

from pathlib import Path

from har_core.errors import ModelBundleError
from har_core.model.bundle import BundleEntry
from har_core.model.manifest import MANIFEST_FILE, read_manifest
from har_core.storage.data import data_dir


def runs_folder() -> Path:
    """Return where the training runs of the page are kept; it may not exist yet."""
    return data_dir() / "training"


def list_trials() -> list[BundleEntry]:
    """Return the models on trial, the newest run first; `run_of` says which run is whose."""
    entries = []
    for file in sorted(runs_folder().glob(f"[!.]*/models/[!.]*/{MANIFEST_FILE}"), reverse=True):
        try:
            entries.append(BundleEntry(file.parent.name, file.parent, read_manifest(file.parent)))
        except ModelBundleError:
            continue  # the run's own page says what is wrong with it
    return entries


def run_of(trial: Path) -> str:
    """Return the id of the run that made a model on trial, from the folder of its bundle."""
    return trial.parent.parent.name
