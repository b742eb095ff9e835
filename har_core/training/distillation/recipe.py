"""A recipe in one file: networks that learn the labels, a model that learns their opinion."""

import dataclasses
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from har_core.dataset.table import Location
from har_core.errors import HarError
from har_core.model.bundle import new_bundle_folder
from har_core.model.manifest import BundleManifest
from har_core.progress import EpochReport, Progress, silent
from har_core.storage.paths import is_folder
from har_core.training.learning.augmentation import AugmentationSettings
from har_core.training.run import train, train_network
from har_core.training.run_folder import RunFolder, check_resume
from har_core.training.settings import TrainingSettings

_USUAL: Final = TrainingSettings()
# What TOML may have in the place of some types.
_STAND_INS: Final[dict[Any, Any]] = {float: (int, float), tuple: list}


@dataclass(frozen=True)
class Recipe:
    """One stage of teachers, which may be left out, and one student.

    Parameters
    ----------
    teachers : tuple of TrainingSettings
        Trained first, one after another.
    student : TrainingSettings
        Trained last, by their mean opinion and that of the bundles that it names itself.
    """

    teachers: tuple[TrainingSettings, ...]
    student: TrainingSettings


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path : str or Path
        TOML: a table ``student``, any number of tables ``teacher``, and ``shared``, whose settings
        hold for all that do not give their own; each of `TrainingSettings`' parameters.
        ``expected`` is for people.

    Raises
    ------
    HarError
        If it cannot be read, or a setting is unknown or impossible; the message names it.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HarError(f"Cannot read the recipe {path}: {error}.") from error
    unknown = sorted(set(content) - {"shared", "teacher", "student", "expected"})
    shared, teachers = content.get("shared", {}), content.get("teacher", [])
    student: Any = content.get("student")
    tables = [shared, student, *teachers] if isinstance(teachers, list) else [None]
    if unknown or not all(isinstance(table, dict) for table in tables):
        raise HarError(
            f"{path} is no recipe: it needs a table [student], and may have [[teacher]], [shared] "
            "and [expected]" + (f", but not [{unknown[0]}]." if unknown else ".")
        )
    return Recipe(
        tuple(
            _settings(_merged(shared, values), f"{path}, teacher {number}")
            for number, values in enumerate(teachers, start=1)
        ),
        _settings(_merged(shared, student), f"{path}, student"),
    )


def train_recipe(
    dataset: Location,
    name: str,
    recipe: Recipe,
    *,
    csv: str | Path | None = None,
    runs_dir: str | Path = "runs",
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
    on_epoch: EpochReport = silent,
) -> BundleManifest:
    """Train a recipe's teachers, then its student, and write that as a model bundle.

    Teachers that are done are left alone; the network in training when the run was interrupted
    goes on where it was.

    Parameters
    ----------
    dataset, name, csv, runs_dir, resume, overwrite, progress, on_epoch
        As of `har_core.training.run.train`; the teachers' runs are ``name-teacher1`` and so on.
    recipe : Recipe
        From `read_recipe`.

    Returns
    -------
    BundleManifest
        Of the bundle that was written.

    Raises
    ------
    HarError
        See `har_core.training.run.train`.
    """
    named, unlabelled = recipe.student.teachers, recipe.student.unlabelled
    if unlabelled and not (recipe.teachers or named):
        raise HarError(
            f"Only teachers say what is in the photographs of {unlabelled}: the recipe needs one."
        )
    if unlabelled and not is_folder(unlabelled):  # before the teachers are trained
        raise HarError(f"There is no folder {unlabelled} of photographs without labels.")
    # Its runs go by the name: under another one there is nothing to resume.
    overwritten = "overwrite it (--overwrite)"
    new_bundle_folder(name, overwrite=overwrite, instead=overwritten if resume else "")
    numbers = range(1, len(recipe.teachers) + 1)
    runs = [RunFolder(Path(runs_dir) / f"{name}-teacher{number}") for number in numbers]
    student_run = RunFolder(Path(runs_dir) / name)
    with ExitStack() as at_work:  # one that another process is at work on is not interrupted
        for run in (*runs, student_run):
            at_work.enter_context(run.alone())
        check_resume([*runs, student_run], resume)
    for run, settings in zip(runs, recipe.teachers, strict=True):
        train_network(dataset, run, settings, csv=csv, progress=progress, on_epoch=on_epoch)
    teachers = (*named, *(str(run.path) for run in runs))
    manifest = train(
        dataset,
        name,
        dataclasses.replace(recipe.student, teachers=teachers),
        csv=csv,
        runs_dir=runs_dir,
        resume=student_run.read_settings() is not None,
        overwrite=overwrite,
        progress=progress,
        on_epoch=on_epoch,
    )
    for run in runs:
        run.remove()
    return manifest


def _merged(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of one network; of the augmentation, too, it may give some alone."""
    merged = {**shared, **own}
    changes = [table.get("augmentation", {}) for table in (shared, own)]
    if all(isinstance(change, dict) for change in changes):
        merged["augmentation"] = {**changes[0], **changes[1]}
    return merged


def _settings(values: dict[str, Any], where: str) -> TrainingSettings:
    augmentation = values.pop("augmentation", {})
    if not isinstance(augmentation, dict):
        raise HarError(f"{where}: the setting 'augmentation' cannot be {augmentation!r}.")
    for given, usual in ((values, vars(_USUAL)), (augmentation, vars(_USUAL.augmentation))):
        for name, value in given.items():
            if name not in usual:
                raise HarError(f"{where}: there is no setting {name!r}.")
            kind = type(usual[name])
            fits = isinstance(value, _STAND_INS.get(kind, kind))
            if kind is tuple:  # of names
                fits = fits and all(isinstance(item, str) for item in value)
            # True and false are whole numbers to Python.
            if not fits or isinstance(value, bool) is not (kind is bool):
                raise HarError(f"{where}: the setting {name!r} cannot be {value!r}.")
    try:
        return TrainingSettings(**values, augmentation=AugmentationSettings(**augmentation))
    except HarError as error:
        raise HarError(f"{where}: {error}") from error
