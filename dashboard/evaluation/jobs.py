"""Evaluating another set in the background: a folder on the server, or an uploaded ZIP."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dashboard.evaluation.files import EvaluatedFiles
from dashboard.jobs.registry import Job, start_job
from har_core import load_model
from har_core.dataset.table import Location, load_dataset
from har_core.dataset.zipped import unpack_dataset
from har_core.evaluation.run import evaluate_dataset
from har_core.evaluation.store import Evaluation, check_evaluation_name, keep_evaluation
from har_core.images.thumbnails import make_thumbnail
from har_core.model.fields import check_class_names
from har_core.model.manifest import read_manifest

JOB_PREFIX = "evaluate/"
SAME_PREFIX = "same/"  # shown where models are compared


def start_folder_evaluation(model: Path, name: str, folder: Location, csv: str | None) -> Job:
    """Evaluate a dataset and keep the result under `name`.

    The job's result is the name of the model's folder, and `name`.

    Raises
    ------
    HarError
        If the name or the folder cannot be used, or a set is being evaluated under the name; later
        errors fail the job.
    """
    _check(model, name)
    table = load_dataset(folder, csv)

    def work(job: Job) -> tuple[str, str]:
        evaluation = evaluate_dataset(
            load_model(model), table, name=name, folder=str(folder), progress=job.report
        )
        keep_evaluation(evaluation)
        return model.name, name

    return _start(model, name, work)


def start_zip_evaluation(model: Path, name: str, archive: bytes) -> Job:
    """Evaluate an uploaded ZIP and keep the result with small pictures, not the photographs.

    They are unpacked into a private temporary folder that is removed when the job ends. Its result
    is as of `start_folder_evaluation`.

    Raises
    ------
    HarError
        If the name cannot be used, or a set is being evaluated under it; later errors fail the job.
    """
    _check(model, name)

    def work(job: Job) -> tuple[str, str]:
        with tempfile.TemporaryDirectory(prefix="har-evaluate-") as folder:
            table = load_dataset(unpack_dataset(io.BytesIO(archive), folder))
            evaluation = evaluate_dataset(load_model(model), table, name=name, progress=job.report)
            pictures = _thumbnails(evaluation, table, job)
        keep_evaluation(evaluation, pictures)
        return model.name, name

    return _start(model, name, work)


def start_same_evaluation(model: Path, name: str, shown: Evaluation, files: EvaluatedFiles) -> Job:
    """Evaluate another model on the photographs, and under the labels, of an evaluation.

    Parameters
    ----------
    model : Path
        The other one's bundle.
    name : str
        To keep it under.
    shown : Evaluation
    files : EvaluatedFiles
        Where its photographs are.

    Raises
    ------
    DatasetError
        If the name cannot be used; later errors fail the job.
    """
    _check(model, name)
    raw = shown.raw

    def work(job: Job) -> tuple[str, str]:
        paths = []
        for done, filename in enumerate(raw.filenames, 1):
            paths.append(files.get(filename))
            job.report_step("Finding the photographs", done, raw.n)
        table = pd.DataFrame({"filename": raw.filenames, "label": raw.label_names, "path": paths})
        evaluation = evaluate_dataset(
            load_model(model),
            table,
            name=name,
            folder=files.folder,
            progress=lambda done, total: job.report_step(f"Evaluating {model.name}", done, total),
        )
        keep_evaluation(evaluation)
        return model.name, name

    return start_job(f"{SAME_PREFIX}{model}/{name}", _title(model, name), work)


def _thumbnails(evaluation: Evaluation, table: pd.DataFrame, job: Job) -> dict[str, bytes]:
    """Make thumbnails of the evaluated photographs, by sha256."""
    raw = evaluation.raw
    paths = table.drop_duplicates("filename").set_index("filename")["path"]
    made = {}
    for done, (name, sha256) in enumerate(zip(raw.filenames, raw.sha256, strict=True), 1):
        if (picture := make_thumbnail(paths[name])) is not None:
            made[sha256] = picture
        job.report_step("Keeping small pictures", done, raw.n)
    return made


def _check(model: Path, name: str) -> None:
    check_evaluation_name(name)
    check_class_names(read_manifest(model).class_names)  # or nothing could be kept at the end


def _start(model: Path, name: str, work: Callable[[Job], tuple[str, str]]) -> Job:
    # What is being evaluated under this name may be another set.
    key = f"{JOB_PREFIX}{model.name}/{name}"
    return start_job(key, _title(model, name), work, shared=False)


def _title(model: Path, name: str) -> str:
    return f"Evaluating {model.name} on {name}"
