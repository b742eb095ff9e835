"""A training run from a dataset to a bundle: started, resumed, published, cleared away."""

import dataclasses
from pathlib import Path
from shlex import quote
from typing import Final

from har_core.dataset.table import Location
from har_core.errors import DatasetError, HarError
from har_core.extras import require_training_extra
from har_core.model.bundle import new_bundle_folder
from har_core.model.manifest import BundleManifest
from har_core.progress import EpochReport, Progress, silent
from har_core.training.ancestry import SHIPPED, shipped_backbone
from har_core.training.learning.stages import is_trained
from har_core.training.preparation import prepare_dataset
from har_core.training.publication import NotPublishedError, package_versions, runs_tensorflow
from har_core.training.run_folder import RunFolder
from har_core.training.settings import TrainingSettings
from har_core.training.trainer import Trainer

# What a run that goes on may not find changed, and what then to say of it.
_CHANGED: Final = {
    "dataset": "is not the dataset that the run in {run} was started on: photographs or labels "
    "changed",
    "split": "is not split as it was when the run in {run} was started, so that what was learned "
    "from would measure the model",
    "unlabelled": "does not hold the photographs that it did when the run in {run} was started",
}


def train(
    dataset: Location,
    name: str,
    settings: TrainingSettings | None = None,
    *,
    csv: str | Path | None = None,
    runs_dir: str | Path = "runs",
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
    on_epoch: EpochReport = silent,
) -> BundleManifest:
    """Train the network on a dataset folder and write it as a model bundle.

    The photographs are split by near-duplicate group. The validation split selects the
    epoch, by its log loss after the temperature that suits it best, and fits the temperature;
    the test split is used once, at the end, for the metrics in the bundle.

    Parameters
    ----------
    dataset : str, Path or Dataset
        Dataset folder, see `har_core.dataset.table.open_dataset`.
    name : str
        Name of the bundle, written into `har_core.model.bundle.models_dir`.
    settings : TrainingSettings, optional
        Default settings if None; a resumed run keeps the recorded ones.
    csv : str or Path, optional
        Table to use instead of ``train.csv``.
    runs_dir : str or Path
        The run keeps its checkpoints in ``runs_dir/name``, and removes them when it is done.
    resume : bool
        Continue an interrupted run of that name; at most one epoch is repeated.
    overwrite : bool
        Replace a bundle of that name.
    progress : callable, optional
        Called with (what is being done, done, total).
    on_epoch : callable, optional
        Called with each row of the log.

    Returns
    -------
    BundleManifest
        Of the bundle that was written.

    Raises
    ------
    DatasetError
        If the dataset cannot be trained on, or changed since the interrupted run.
    ModelBundleError
        If the backbone cannot be loaded, the bundle exists, or its ONNX graph disagrees with Keras.
    NotPublishedError
        If the training is done, but its ONNX graph needs Keras to run on TensorFlow.
    HarError
        If there is nothing to resume, or something that was not asked to be resumed.
    """
    require_training_extra("Training")
    run = RunFolder(Path(runs_dir) / name)
    # A run goes by its folder's name: under another one there is nothing to resume.
    kept = (
        f"overwrite it (--overwrite), rename {run.path} for a bundle of another name, or remove it "
        "if it is the run that the bundle was made of"
    )
    destination = new_bundle_folder(name, overwrite=overwrite, instead=kept if resume else "")
    with run.begun(resume):
        trainer = _started(dataset, run, settings, csv, progress, on_epoch)
        trainer.learn()
        if not runs_tensorflow():
            raise NotPublishedError(
                "The training is done. Its ONNX graph needs TensorFlow; publish the model with the "
                "same options of the dataset by KERAS_BACKEND=tensorflow "
                f"har publish {quote(str(run.path))} --dataset {quote(str(dataset))}"
            )
        manifest = trainer.write_bundle(destination, overwrite)
        run.remove()
    return manifest


def train_network(
    dataset: Location,
    run: RunFolder,
    settings: TrainingSettings,
    *,
    csv: str | Path | None = None,
    progress: Progress = silent,
    on_epoch: EpochReport = silent,
) -> None:
    """Train a network that is only to teach: nothing is measured on the test split.

    Its folder keeps the network and which photographs it has seen; a run that was interrupted goes
    on, one that is done is left alone.

    Parameters
    ----------
    dataset, settings, csv, progress, on_epoch
        As of `train`.
    run : RunFolder
        May hold an earlier run.
    """
    if run.has_network:
        return
    with run.begun(resume=run.read_settings() is not None):
        trainer = _started(dataset, run, settings, csv, progress, on_epoch)
        trainer.learn()
        trainer.keep_network()


def check_trained(run: RunFolder) -> None:
    """Refuse to publish a run that was interrupted, instead of training it on.

    Parameters
    ----------
    run : RunFolder
        That holds one.

    Raises
    ------
    HarError
        With what to do.
    """
    settings, reached = _recorded_settings(run), run.read_checkpoint()
    if settings is None or (reached is not None and is_trained(reached, settings)):
        return
    said = "no epoch" if reached is None else f"epoch {reached.epochs_done} of its {reached.stage}"
    raise HarError(
        f"{run.path} is not trained to its end: {said} is done. Train on by the command that began "
        "it and --resume."
    )


def _recorded_settings(run: RunFolder) -> TrainingSettings | None:
    """Return the settings that a run began with, None where there is no run."""
    recorded = run.read_settings()
    try:
        return None if recorded is None else TrainingSettings.from_dict(recorded["settings"])
    except (KeyError, TypeError) as error:
        raise HarError(
            f"{run.path} was recorded by another version of this program ({error}). Remove the "
            "folder to start anew."
        ) from error


def _started(
    dataset: Location,
    run: RunFolder,
    settings: TrainingSettings | None,
    csv: str | Path | None,
    progress: Progress,
    on_epoch: EpochReport,
) -> Trainer:
    """Return the trainer of a new run, or of the one that the folder holds."""
    recorded = run.read_settings()
    settings = _recorded_settings(run) or settings or TrainingSettings()
    try:
        prepared = prepare_dataset(
            dataset,
            run.path,
            csv=csv,
            seed=settings.seed,
            splits_of=settings.splits_of,
            shares=(settings.validation, settings.test),
            progress=progress,
        )
        if settings.backbone_weights == SHIPPED:
            weights = shipped_backbone(prepared)
            settings = dataclasses.replace(settings, backbone_weights=weights)
        settings = settings.for_photographs(len(prepared.rows_of("train")))
        trainer = Trainer(prepared, settings, run, progress, on_epoch)
        found = {
            "dataset": prepared.fingerprint,
            "split": prepared.split_fingerprint,
            "unlabelled": trainer.views.unlabelled.fingerprint,
        }
        if recorded is None:
            run.write_settings(
                {"settings": dataclasses.asdict(settings), **found, **package_versions()}
            )
    except BaseException:
        if recorded is None:  # nothing to resume yet
            run.remove()
        raise
    for what, changed in _CHANGED.items():
        # Runs of before it was recorded may go on.
        if recorded is not None and recorded.get(what, found[what]) != found[what]:
            place = settings.unlabelled if what == "unlabelled" else dataset
            raise DatasetError(
                f"{place} {changed.format(run=run.path)}. Remove the run folder to start anew."
            )
    return trainer
