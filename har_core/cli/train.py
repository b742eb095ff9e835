"""`train`: a model of one's own photographs."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from har_core.cli.datasets import (
    CleanedOption,
    ColumnsOption,
    OldTableOption,
    TableOption,
    as_reviewed,
    check_outputs,
    read_dataset,
    warn_of_reviewed_spellings,
    warn_of_spellings,
)
from har_core.cli.options import DatasetOption, OverwriteOption
from har_core.cli.terminal import ended_by_interrupt, progress_bar, stderr
from har_core.errors import HarError
from har_core.extras import require_training_extra
from har_core.model import bundle
from har_core.model.loading import find_model
from har_core.model.manifest import BundleManifest, check_bundle_name
from har_core.progress import EpochReport, Progress
from har_core.storage.names import one_line
from har_core.storage.paths import exists, is_folder
from har_core.training.events import EventLog, recorded_run
from har_core.training.settings import TrainingSettings
from har_core.wording import counted

app = typer.Typer()
EffortName = StrEnum("EffortName", {"quick": "quick", "standard": "standard", "full": "full"})

LinksOption = Annotated[
    bool,
    typer.Option(
        "--follow-links/--no-follow-links",
        help="Follow links out of the dataset's folder, also where HAR_LINKED_DATASETS does "
        "not allow them.",
    ),
]
_DEFAULTS = TrainingSettings()


@app.command()
def train(
    context: typer.Context,
    dataset: DatasetOption,
    name: Annotated[str, typer.Option(help="Name of the model bundle to write.")],
    table: TableOption = None,
    old_table: OldTableOption = None,
    columns: ColumnsOption = None,
    links: LinksOption = True,
    effort: Annotated[
        EffortName | None,
        typer.Option(
            help="Go on from another model, and keep its test photographs apart: 'quick' fits a "
            "head on its features, 'standard' fine-tunes its network, 'full' begins with ImageNet "
            "weights. Each has settings of its own, which the options from EPOCHS to SEED change.",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --effort: that model. Default: HAR_MODEL, else the newest."
        ),
    ] = None,
    cleaned: CleanedOption = False,
    events: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append what happens, one JSON object a line."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with the settings of teachers and student, instead of the options from "
            "BACKBONE_WEIGHTS to SEED."
        ),
    ] = None,
    unlabelled: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Photographs without labels, to learn the teachers' opinion of them as well.",
        ),
    ] = _DEFAULTS.unlabelled,
    backbone_weights: Annotated[
        str,
        typer.Option(
            help="'shipped' (the model that came with the program, or 'imagenet' where it has "
            "seen photographs that are held out), 'imagenet' (Keras downloads), 'random', or a "
            "file: .weights.h5, or .keras, also that of a bundle."
        ),
    ] = "shipped",
    epochs: Annotated[
        int,
        typer.Option(
            min=0,
            help="Fine-tuning epochs of the whole network; by default more with few photographs.",
        ),
    ] = _DEFAULTS.epochs,
    head_epochs: Annotated[
        int, typer.Option(min=1, help="Epochs of the head on the frozen backbone.")
    ] = _DEFAULTS.head_epochs,
    small_epochs: Annotated[
        int,
        typer.Option(min=0, help="So many of these, never the last, at SMALL_SIZE: half the cost."),
    ] = _DEFAULTS.small_epochs,
    small_size: Annotated[
        int, typer.Option(help="Side in pixels, a multiple of 16.")
    ] = _DEFAULTS.small_size,
    frozen_blocks: Annotated[
        int, typer.Option(min=0, help="Blocks next to the input that are not fine-tuned.")
    ] = _DEFAULTS.frozen_blocks,
    batch_size: Annotated[int, typer.Option(min=2)] = _DEFAULTS.batch_size,
    learning_rate: Annotated[
        float, typer.Option(help="Peak while fine-tuning.")
    ] = _DEFAULTS.learning_rate,
    layer_decay: Annotated[
        float, typer.Option(help="Learning-rate factor from one stage to the one before it.")
    ] = _DEFAULTS.layer_decay,
    weight_decay: Annotated[float, typer.Option()] = _DEFAULTS.weight_decay,
    label_smoothing: Annotated[float, typer.Option()] = _DEFAULTS.label_smoothing,
    dropout: Annotated[float, typer.Option()] = _DEFAULTS.dropout,
    mixup: Annotated[
        float, typer.Option(min=0, help="Strength of mixup; 0 turns it off.")
    ] = _DEFAULTS.augmentation.mixup,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="Bundle to learn from as well (distillation); may be repeated."),
    ] = None,
    teacher_weight: Annotated[
        float, typer.Option(help="Share of the teachers' opinion in the targets.")
    ] = _DEFAULTS.teacher_weight,
    notes: Annotated[
        str, typer.Option(help="For the model card, e.g. the origin of photographs and weights.")
    ] = _DEFAULTS.notes,
    seed: Annotated[
        int, typer.Option(help="Of the split, the order and the augmentation.")
    ] = _DEFAULTS.seed,
    runs_dir: Annotated[
        Path, typer.Option(help="Checkpoints are kept in RUNS_DIR/NAME until the run is done.")
    ] = Path("runs"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run, with its settings.")
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Train a model on your photographs and write it as a bundle.

    Splits 80/10/10 by near-duplicate group, trains the head on frozen features,
    then fine-tunes the whole network. The validation split picks the epoch
    (the last one, if it has fewer than 100 photographs); the test split is used
    once, at the end.

    \b
    har train --dataset DataSet --name mine
    har train --dataset DataSet --name mine --resume
    har train --dataset DataSet --cleaned --name better --effort quick
    har train --dataset DataSet --name har15 --recipe recipes/har15.toml
    """
    if effort is not EffortName.quick:
        require_training_extra("Training")
    check_bundle_name(name)  # before the photographs are listed
    if base is not None and effort is None:
        raise typer.BadParameter("--base goes with --effort.")
    if recipe is not None and effort is not None:
        raise typer.BadParameter("--recipe and --effort exclude each other.")
    if unlabelled and not (teacher or recipe or resume):
        raise typer.BadParameter("--unlabelled goes with --teacher or --recipe.")
    if unlabelled and not is_folder(unlabelled):
        raise HarError(f"There is no folder {unlabelled} of photographs without labels.")
    settings = _settings(context)
    given = {n: v for n, v in settings.items() if _is_given(context, n)}
    if recipe is not None and set(given) - {"unlabelled"}:
        raise typer.BadParameter("--recipe has all settings; leave the options of others out.")
    if effort is not None:
        from har_core.training.efforts import check_changes

        check_changes(effort.value, given)  # before the photographs are listed
    read_too = [path for path in (recipe, table, old_table) if path is not None]
    check_outputs([events], read_too, makes_folder=True)
    from har_core.training.publication import NotPublishedError

    interrupted = "Interrupted. Continue with the same command and --resume."
    try:
        with (
            ended_by_interrupt(interrupted),
            progress_bar() as report,
            # Whatever is wrong from here on is an event, too.
            _recorded(events, runs_dir, name, report) as (progress, on_epoch),
        ):
            read = read_dataset(dataset, table, old_table, columns, follow_links=links)
            warn_of_spellings(read, dataset, table or old_table, columns)
            if cleaned:
                as_it_was, read = read, as_reviewed(read)
                warn_of_reviewed_spellings(as_it_was, read.rows)
            # A run that goes on has its base in its settings; the default may be another by now.
            if effort is not None and not (resume and effort is not EffortName.quick):
                from har_core.training.efforts import train_with_effort

                earlier = find_model(base)
                if effort is not EffortName.full:
                    stderr.print(f"Goes on from the model {earlier.name}.")
                run = partial(train_with_effort, effort.value, read, name, earlier, changes=given)
            elif recipe is not None:
                from har_core.training.distillation.recipe import read_recipe, train_recipe

                stages = read_recipe(recipe)
                if unlabelled:  # else the recipe's own
                    student = dataclasses.replace(stages.student, unlabelled=unlabelled)
                    stages = dataclasses.replace(stages, student=student)
                run = partial(train_recipe, read, name, stages)
            else:
                from har_core.training.efforts import fewest_steps
                from har_core.training.run import train as run_training

                settings |= fewest_steps(given)
                run = partial(run_training, read, name, _DEFAULTS.changed(settings))
            if resume and effort is not EffortName.quick:
                say_what_resuming_ignores(runs_dir / name, given)
            manifest = run(
                runs_dir=runs_dir,
                resume=resume,
                overwrite=overwrite,
                progress=progress,
                on_epoch=on_epoch,
            )
    except NotPublishedError as done:
        stderr.print(f"{done}")
        return
    _say_what_was_written(name, manifest)


@app.command()
def publish(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run that is trained to its end.")
    ],
    dataset: DatasetOption,
    table: TableOption = None,
    columns: ColumnsOption = None,
    links: LinksOption = True,
    cleaned: CleanedOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a model bundle of a run that was trained where there is no TensorFlow.

    The ONNX graph needs TensorFlow; the training itself runs on JAX and PyTorch as well.
    The dataset's options are those of the training.

    \b
    KERAS_BACKEND=jax har train --dataset DataSet --name mine
    KERAS_BACKEND=tensorflow har publish runs/mine --dataset DataSet
    """
    require_training_extra("Publishing")
    from har_core.training.run import check_trained
    from har_core.training.run import train as run_training
    from har_core.training.run_folder import RunFolder

    if RunFolder(run).read_settings() is None:
        if exists(written := bundle.models_dir() / run.name):
            raise HarError(
                f"{written} exists already, and there is no run in {run}: it is deleted once its "
                "bundle is written."
            )
        raise HarError(f"There is no run in {run}; name the folder that `har train` wrote.")
    check_trained(RunFolder(run))
    read = read_dataset(dataset, table, None, columns, follow_links=links)
    if cleaned:
        read = as_reviewed(read)
    with progress_bar() as report:
        manifest = run_training(
            read,
            run.name,
            runs_dir=run.parent,
            resume=True,
            overwrite=overwrite,
            progress=report,
            on_epoch=_print_epoch,
        )
    _say_what_was_written(run.name, manifest)


def say_what_resuming_ignores(run: Path, given: dict[str, Any]) -> None:
    """Name the numbers that are others than those that an interrupted run began with."""
    from har_core.training.run_folder import RunFolder

    recorded = (RunFolder(run).read_settings() or {}).get("settings", {})
    began = {**recorded, **recorded.get("augmentation", {})}
    ignored = [
        f"--{name.replace('_', '-')} {value:g} (it has {began[name]:g})"
        for name, value in given.items()
        if isinstance(value, int | float) and name in began and began[name] != value
    ]
    if ignored:
        note = f"{run} goes on as it began, without {', '.join(ignored)}."
        stderr.print(note, style="yellow")


def _settings(context: typer.Context) -> dict[str, Any]:
    """Return the values of the options that are called like a setting."""
    from har_core.training.efforts import OPTIONS

    names = [*vars(_DEFAULTS), *vars(_DEFAULTS.augmentation)]
    options = {name: OPTIONS.get(name, name) for name in names}
    values = {n: context.params[o] for n, o in options.items() if o in context.params}
    return {**values, "teachers": tuple(values["teachers"] or ())}


def _is_given(context: typer.Context, setting: str) -> bool:
    """Tell whether a setting was given on the command line, be it at its default."""
    from har_core.training.efforts import OPTIONS

    source = context.get_parameter_source(OPTIONS.get(setting, setting))
    return source is not None and source.name == "COMMANDLINE"


def _say_what_was_written(name: str, manifest: BundleManifest) -> None:
    skipped = manifest.training["skipped"]
    for row in skipped:
        stderr.print(f"skipped {one_line(row['filename'])}: {row['reason']}")
    top1 = manifest.metrics["top1"]
    stderr.print(
        f"Wrote {bundle.models_dir() / name}: top-1 accuracy {top1['value']:.1%} "
        f"(95 % interval {top1['low']:.1%} – {top1['high']:.1%}) on "
        f"{counted(manifest.metrics['n'], 'test photograph')}; "
        f"{counted(len(skipped), 'photograph')} skipped."
    )


@contextmanager
def _recorded(
    events: Path | None, runs_dir: Path, name: str, report: Progress
) -> Iterator[tuple[Progress, EpochReport]]:
    """Yield what a run reports to: the terminal, and the file of events if there is one."""
    if events is None:
        yield report, _print_epoch
        return
    with recorded_run(EventLog(events), runs_dir, name) as log:

        def progress(what: str, done: int, total: int) -> None:
            report(what, done, total)
            log.progress(what, done, total)

        def on_epoch(row: dict[str, Any]) -> None:
            _print_epoch(row)
            log.write("epoch", **row)

        yield progress, on_epoch


def _print_epoch(row: dict[str, Any]) -> None:
    validation = ""
    if "validation_top1" in row:
        loss = row.get("validation_calibrated_log_loss", row["validation_log_loss"])
        validation = f"validation top-1 {row['validation_top1']:.1%}, log loss {loss:.3f}, "
    stderr.print(
        f"{row['stage']} epoch {row['epoch']}: training loss {row['training_loss']:.3f}, "
        f"{validation}{row['seconds']:.0f} s"
    )
