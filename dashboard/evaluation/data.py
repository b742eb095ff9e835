"""Cached handles for the evaluation page; keys are paths with the times of their files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import streamlit as st

from dashboard.evaluation.files import EvaluatedFiles
from dashboard.resources import file_stamp
from har_core.dataset.files import PHOTO_FOLDER, find_photographs
from har_core.errors import DatasetError
from har_core.evaluation.answers import refit_rules
from har_core.evaluation.calibration import fit_temperature
from har_core.evaluation.caveats import caveats
from har_core.evaluation.comparison import Comparison, check_common_class, compare_models
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import (
    BUNDLE_SPLITS,
    Evaluation,
    evaluation_stamp,
    list_evaluations,
    read_evaluation,
    thumbnails_path,
)
from har_core.model.manifest import read_manifest
from har_core.model.records import read_lineage, unrecorded_ancestors
from har_core.storage.paths import expanded

Stamp = tuple[int, ...]


def load_evaluation(folder: Path, name: str) -> Evaluation:
    """Read an evaluation once, and again when its files or the temperature change."""
    return _evaluation(str(folder), name, evaluation_stamp(folder, name))


@st.cache_resource(max_entries=6, show_spinner="Reading the predictions …")
def _evaluation(folder: str, name: str, stamp: Stamp) -> Evaluation:
    return read_evaluation(folder, name)


def find_caveats(folder: Path, name: str) -> list[str]:
    """Say what limits an evaluation; see `har_core.evaluation.caveats.caveats`."""
    return _caveats(str(folder), name, evaluation_stamp(folder, name))


@st.cache_data(max_entries=20, show_spinner=False)
def _caveats(folder: str, name: str, stamp: Stamp) -> list[str]:
    evaluation = load_evaluation(Path(folder), name)
    splits, unrecorded = read_lineage(folder), unrecorded_ancestors(folder)
    return caveats(evaluation, read_manifest(folder), splits, unrecorded)


def fitted_temperature(folder: Path) -> float:
    """Fit the temperature on the model's own validation split.

    Raises
    ------
    DatasetError
        If the model comes without predictions for that split.
    """
    return _fitted_temperature(str(folder), evaluation_stamp(folder, "validation"))


@st.cache_data(max_entries=20, show_spinner="Fitting the temperature …")
def _fitted_temperature(folder: str, stamp: Stamp) -> float:
    raw = load_evaluation(Path(folder), "validation").raw
    return fit_temperature(raw.labels, raw.probabilities)


def load_recalibrated(folder: Path, evaluation: Evaluation, temperature: float) -> EvaluationResult:
    """Return an evaluation as the model would answer with another temperature."""
    manifest = read_manifest(folder)
    rules = refit_rules(folder, manifest, temperature) if manifest.answers else manifest.rules
    return evaluation.raw.calibrated(temperature, rules)


def load_comparison(evaluations: Mapping[str, tuple[Path, str]]) -> Comparison:
    """Compare models by an evaluation of each: name to folder and evaluation, baseline first."""
    stamps = tuple(evaluation_stamp(*place) for place in evaluations.values())
    return _comparison(tuple((m, str(f), name) for m, (f, name) in evaluations.items()), stamps)


@st.cache_resource(max_entries=6, show_spinner="Comparing …")
def _comparison(
    evaluations: tuple[tuple[str, str, str], ...], stamps: tuple[Stamp, ...]
) -> Comparison:
    return compare_models({m: load_evaluation(Path(f), name).result for m, f, name in evaluations})


def evaluation_of_same(rival: Path, shown: Evaluation, of: str) -> str | None:
    """Return the name of a rival's evaluation that has photographs of `shown`, if it has one.

    Parameters
    ----------
    rival : Path
        Its bundle.
    shown : Evaluation
    of : str
        Name of the folder of the model that `shown` is of.

    Raises
    ------
    ModelBundleError, DatasetError
        If the rival's records cannot be read, or it has none of the classes.
    """
    manifest = read_manifest(rival)
    check_common_class({of: shown.raw.class_names, rival.name: manifest.class_names})
    kept = list_evaluations(rival, manifest)
    same = set(shown.raw.sha256) - {""}
    names = [name for name in (_other_name(shown.name, of), shown.name) if name in kept]
    return next((n for n in names if same.intersection(load_evaluation(rival, n).raw.sha256)), None)


def free_name(rival: Path, name: str, of: str) -> str:
    """Return under which name a rival's evaluation of the same photographs can be kept.

    Parameters
    ----------
    rival : Path
        Its bundle.
    name : str
        Of the evaluation of another model.
    of : str
        That model's name.
    """
    taken = (*BUNDLE_SPLITS, *list_evaluations(rival, read_manifest(rival)))
    return _other_name(name, of) if name in taken else name


def _other_name(name: str, of: str) -> str:
    return f"{name} of {of}"


def evaluated_files(evaluation: Evaluation, dataset: str | None) -> EvaluatedFiles:
    """Return where an evaluation's photographs may be: in its own folder, or else in `dataset`.

    An evaluation that was kept without a folder is of a ZIP, whose photographs are gone, but for
    thumbnails.
    """
    kept = bool(evaluation.folder) or evaluation.name in BUNDLE_SPLITS
    found: dict[str, str] = {}
    below = {name.rpartition("/")[0] for name in evaluation.raw.filenames.tolist()} | {""}
    places = sorted(below | {f"{PHOTO_FOLDER}/{place}" for place in below})
    for folder in (dataset, evaluation.folder):  # the last one wins
        if folder and kept:
            stamps = tuple(file_stamp(expanded(folder) / place) for place in places)
            identity = (evaluation.model, evaluation.name, evaluation.created, evaluation.raw.n)
            found.update(_photograph_paths(folder, identity, stamps, evaluation.raw.filenames))
    raw = evaluation.raw
    sha256 = dict(zip(raw.filenames.tolist(), raw.sha256.tolist(), strict=True))
    archive = None if kept else thumbnails_path(evaluation.model, evaluation.name)
    return EvaluatedFiles(found, sha256, kept, archive, evaluation.folder or dataset or "")


@st.cache_data(max_entries=6, show_spinner=False)
def _photograph_paths(
    folder: str,
    identity: tuple[str, str, str, int],
    stamps: tuple[tuple[int, int], ...],
    _filenames: np.ndarray,  # hashing them would take as long as all else on the page
) -> dict[str, str]:
    try:
        paths = find_photographs(folder, list(_filenames))
    except DatasetError:
        return {}
    return {name: path for name, path in zip(_filenames, paths, strict=True) if path}
