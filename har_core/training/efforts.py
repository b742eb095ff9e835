"""How much work a training may be: a new head, fine-tuning, or everything from the beginning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from har_core.dataset.table import Location
from har_core.errors import HarError, ModelBundleError
from har_core.model.loading import find_model
from har_core.model.manifest import KERAS_FILE, BundleManifest, read_manifest
from har_core.progress import EpochReport, Progress, silent
from har_core.storage.paths import is_folder
from har_core.training.settings import TrainingSettings

Effort = Literal["quick", "standard", "full"]
EFFORTS: Final[tuple[Effort, ...]] = ("quick", "standard", "full")
NO_CHANGES: Final[Mapping[str, Any]] = {}
# Options of `har train` that have another name than their setting.
OPTIONS: Final = {"teachers": "teacher"}
# Five new actions, 100 photographs of each: 70 % by 100 steps of head and network each, 76 % by 156
# of each; the usual epochs of thousands of photographs are 52 there, and gave 67 %.
FEWEST_STEPS: Final = 200


def train_with_effort(
    effort: Effort,
    dataset: Location,
    name: str,
    base: Path,
    *,
    changes: Mapping[str, Any] = NO_CHANGES,
    csv: str | Path | None = None,
    runs_dir: str | Path = "runs",
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
    on_epoch: EpochReport = silent,
) -> BundleManifest:
    """Train a model that goes on from another one, in one of three efforts.

    All of them keep the other model's test photographs apart, so that the two can be compared.

    Parameters
    ----------
    effort : {"quick", "standard", "full"}
        A linear head on the other model's features; fine-tuning of its network; or the default
        settings, from ImageNet weights.
    dataset, name, csv, runs_dir, resume, overwrite, progress, on_epoch
        As of `har_core.training.run.train`. A quick run that is resumed begins anew: it has
        lost only seconds, as features are remembered.
    base : Path
        Bundle of the other model.
    changes : mapping of str to object
        See `effort_settings`.

    Returns
    -------
    BundleManifest
        Of the bundle that was written.

    Raises
    ------
    HarError
        See `har_core.training.run.train` and `har_core.training.quick.run.train_quick`.
    """
    check_changes(effort, changes)
    if effort == "quick":
        from har_core.training.quick.run import train_quick

        return train_quick(
            dataset,
            name,
            base,
            csv=csv,
            overwrite=overwrite,
            seed=changes.get("seed", 0),
            progress=progress,
            on_epoch=on_epoch,
        )
    from har_core.training.run import train

    return train(
        dataset,
        name,
        effort_settings(effort, base, changes),
        csv=csv,
        runs_dir=runs_dir,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        on_epoch=on_epoch,
    )


def effort_settings(
    effort: Effort, base: Path, changes: Mapping[str, Any] = NO_CHANGES
) -> TrainingSettings:
    """Return the settings of a standard or full training that goes on from a model.

    Parameters
    ----------
    effort : {"standard", "full"}
    base : Path
        Bundle of the model.
    changes : mapping of str to object
        Values that replace the effort's own, see `TrainingSettings.changed`.

    Raises
    ------
    HarError
        If a value cannot be used, or has no meaning for this effort.
    ModelBundleError
        If the model's network cannot be fine-tuned.
    """
    check_changes(effort, changes)
    own: dict[str, Any] = {**fewest_steps(changes), "splits_of": str(base)}
    if effort == "full":
        return TrainingSettings().changed({**own, **changes})
    network = fine_tunable(base)
    own |= {
        "backbone_weights": str(network / KERAS_FILE),
        "head_epochs": 1,
        "epochs": 4,
        "small_epochs": 2,
        "learning_rate": 1e-4,
        "splits_of": str(network),
    }
    return TrainingSettings().changed({**own, **changes})


def fewest_steps(given: Mapping[str, Any]) -> dict[str, int]:
    """Return the settings of how many steps each stage has at least.

    None are added to a stage whose epochs somebody gave. The head keeps its own: 44 photographs of
    four new actions, 8 epochs of the network, had a validation log loss of 0.215 after one epoch of
    the head, 0.021 after 100.
    """
    stages = {"fewest_head_steps": "head_epochs", "fewest_steps": "epochs"}
    return {fewest: 0 if own in given else FEWEST_STEPS for fewest, own in stages.items()}


def check_changes(effort: Effort, changes: Mapping[str, Any]) -> None:
    """Refuse settings that have no meaning for an effort, and values that cannot be used.

    Raises
    ------
    HarError
        With the options of `har train` that they are.
    """
    if effort == "quick":
        useless = [name for name in changes if name != "seed"]
    else:
        useless = ["backbone_weights"] if effort == "standard" else []
        useless = [name for name in useless if name in changes]
    if useless:
        what = {
            "quick": "fits a head on what the other model sees",
            "standard": "goes on from the other model's network",
        }[effort]
        options = ", ".join(f"--{OPTIONS.get(name, name).replace('_', '-')}" for name in useless)
        raise HarError(f"A {effort} training {what}; it takes no {options}.")
    TrainingSettings().changed(changes)


def fine_tunable(base: Path, behind: str = "") -> Path:
    """Return the bundle whose network fine-tuning goes on from: a model's own, or its base's.

    A quick model has the network of the model that it goes on from.

    Parameters
    ----------
    base : Path
        Bundle.
    behind : str
        Name of the model that was asked for, if it is another one.

    Raises
    ------
    ModelBundleError
        If there is none.
    """
    manifest = read_manifest(base)
    if KERAS_FILE in manifest.files:
        return base
    origin = manifest.training.get("base")
    if not origin:
        named = f"{manifest.name!r}, behind {behind!r}," if behind else f"{manifest.name!r}"
        raise ModelBundleError(
            f"The model {named} has no {KERAS_FILE}, so it cannot be fine-tuned; choose "
            "quick training or another model."
        )
    beside = base.parent / str(origin)
    network = beside if is_folder(beside) else find_model(str(origin))
    return fine_tunable(network, behind or manifest.name)
