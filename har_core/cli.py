"""The command line: predict, train, import-model, export, models; other commands are included."""

import csv
import dataclasses
import glob
import io
import json
import logging
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from har_core import cli_evaluate, cli_scan
from har_core.cli_options import EXIT_SOME_FAILED, EXIT_UNUSABLE, DatasetOption, ModelOption
from har_core.errors import HarError, InvalidImageError
from har_core.images.decoding import PHOTO_SUFFIXES
from har_core.model import bundle
from har_core.model.classifier import ImageSource
from har_core.model.loading import find_model, load_model
from har_core.model.manifest import KERAS_FILE, MANIFEST_FILE, ONNX_FILE, BundleManifest
from har_core.model.prediction import Prediction
from har_core.storage.spreadsheets import neutralise_formula
from har_core.terminal import progress_bar, stderr, write_output
from har_core.training.settings import TrainingSettings

_DEFAULTS = TrainingSettings()

app = typer.Typer(
    name="har_core",
    help="What is the person in this photograph doing? Predict, train, evaluate, scan.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_scan.app)
app.add_typer(cli_evaluate.commands)


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # What it warns of, retracing say, is for whoever writes the program.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        app(args=_with_optional_values(sys.argv[1:]))
    except HarError as error:
        stderr.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(EXIT_UNUSABLE)


def _with_optional_values(arguments: Sequence[str]) -> list[str]:
    """Let ``--json`` and ``--csv`` stand alone, meaning stdout."""
    result: list[str] = []
    for position, argument in enumerate(arguments):
        result.append(argument)
        following = arguments[position + 1 : position + 2]
        if argument in ("--json", "--csv") and (not following or following[0].startswith("--")):
            result.append("-")
    return result


@app.command()
def predict(
    photographs: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO|FOLDER|GLOB…", help="Files, folders, patterns, or - for stdin."
        ),
    ],
    model: ModelOption = None,
    top: Annotated[int, typer.Option(min=1, help="How many actions to show for each.")] = 3,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="[FILE]", help="JSON, to a file or stdout.")
    ] = None,
    csv_file: Annotated[
        str | None, typer.Option("--csv", metavar="[FILE]", help="CSV, to a file or stdout.")
    ] = None,
) -> None:
    """Say what the person in each photograph is doing.

    Exit code 0: all predicted; 1: some files were no usable photographs;
    2: nothing could be done.

    \b
    python -m har_core predict photo.jpg
    python -m har_core predict holiday/ 'more/*.png' --csv actions.csv
    curl -s https://example.org/photo.jpg | python -m har_core predict - --json
    """  # noqa: D301 - \b keeps the lines of the examples
    for destination in (json_file, csv_file):
        if destination and destination.lower().endswith(PHOTO_SUFFIXES):
            raise typer.BadParameter(
                f"{destination} looks like a photograph, not a result file; write the options "
                "behind the photographs, or - as the file for stdout."
            )
    names = _expand(photographs)
    loaded = load_model(model)
    sources: list[ImageSource] = [
        sys.stdin.buffer.read() if name == "-" else Path(name) for name in names
    ]
    with progress_bar() as report:
        results = loaded.predict_batch(
            sources, progress=lambda done, total: report("Predicting", done, total)
        )
    rows = list(zip(names, results, strict=True))
    if json_file:
        write_output(json_file, _as_json(rows, loaded.name))
    if csv_file:
        write_output(csv_file, _as_csv(rows, top))
    if not json_file and not csv_file:
        _print_predictions(rows, top)
    failed = [(name, r) for name, r in rows if isinstance(r, InvalidImageError)]
    for name, error in failed:
        stderr.print(f"{name}: {error}", style="red", markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _expand(arguments: Sequence[str]) -> list[str]:
    """Turn folders and patterns into files; a file that does not exist stays and fails later."""
    names: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if argument == "-" or path.is_file():
            found = [argument]
        elif path.is_dir():
            found = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
            if not found:
                raise HarError(f"The folder {path} holds no photographs.")
        elif glob.has_magic(argument):
            # A pattern may start anywhere, absolute paths included, which Path.glob refuses.
            matches = glob.glob(argument, recursive=True)  # noqa: PTH207
            found = sorted(match for match in matches if Path(match).is_file())
            if not found:
                raise HarError(f"Nothing matches {argument}.")
        else:
            found = [argument]
        names += found
    return names


_Rows = Sequence[tuple[str, Prediction | InvalidImageError]]


def _as_json(rows: _Rows, model_name: str) -> str:
    entries = [
        {"file": name, "error": str(result)}
        if isinstance(result, InvalidImageError)
        else {
            "file": name,
            "action": result.action,
            "confidence": result.confidence,
            "all_predictions": result.probabilities,
            "model": model_name,
        }
        for name, result in rows
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def _as_csv(rows: _Rows, top: int) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ranked = [f"{what}_{rank}" for rank in range(1, top + 1) for what in ("action", "confidence")]
    writer.writerow(["file", *ranked, "error"])
    for name, result in rows:
        if isinstance(result, InvalidImageError):
            cells: list[str] = [""] * len(ranked) + [str(result)]
        else:
            cells = [cell for action, p in result.top(top) for cell in (action, f"{p:.6f}")]
            cells += [""] * (len(ranked) - len(cells) + 1)
        writer.writerow([neutralise_formula(cell) for cell in (name, *cells)])
    return buffer.getvalue()


def _print_predictions(rows: _Rows, top: int) -> None:
    """Print a table to a terminal, tab-separated lines into a pipe."""
    good = [(name, result) for name, result in rows if isinstance(result, Prediction)]
    if not sys.stdout.isatty():
        for name, result in good:
            cells = [f"{action}\t{p:.4f}" for action, p in result.top(top)]
            print("\t".join([name, *cells]))
        return
    table = Table("photograph", "action", "confidence", "then", box=None, pad_edge=False)
    for name, result in good:
        others = ", ".join(f"{action} {p:.0%}" for action, p in result.top(top)[1:])
        table.add_row(name, result.action, f"{result.confidence:.1%}", others)
    Console(highlight=False).print(table)


@app.command()
def train(
    dataset: DatasetOption,
    name: Annotated[str, typer.Option(help="Name of the model bundle to write.")],
    csv_table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Table to use instead of DATASET/train.csv."),
    ] = None,
    backbone_weights: Annotated[
        str,
        typer.Option(
            help="'imagenet' (Keras downloads), 'random', or a file: .weights.h5, or .keras, "
            "also that of a bundle."
        ),
    ] = _DEFAULTS.backbone_weights,
    epochs: Annotated[
        int, typer.Option(min=0, help="Fine-tuning epochs of the whole network.")
    ] = _DEFAULTS.epochs,
    head_epochs: Annotated[
        int, typer.Option(min=1, help="Epochs of the head on the frozen backbone.")
    ] = _DEFAULTS.head_epochs,
    small_epochs: Annotated[
        int,
        typer.Option(min=0, help="So many of these, never the last, at SMALL_SIZE: half the cost."),
    ] = _DEFAULTS.small_epochs,
    small_size: Annotated[
        int, typer.Option(help="Side in pixels, a multiple of 32.")
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
    refit: Annotated[
        bool,
        typer.Option(
            "--refit",
            help="Train on the validation photographs as well, now that the model in "
            "BACKBONE_WEIGHTS has been chosen by them; keeps its temperature and the last epoch.",
        ),
    ] = _DEFAULTS.refit,
    temperature_of: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="With --refit: take this bundle's temperature, best that of the same run without "
            "--refit.",
        ),
    ] = _DEFAULTS.temperature_of,
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle of that name.")
    ] = False,
) -> None:
    """Train a model on your photographs and write it as a bundle.

    Splits 80/10/10 by near-duplicate group, trains the head on frozen features,
    then fine-tunes the whole network. The validation split picks the epoch;
    the test split is used once, at the end.

    \b
    python -m har_core train --dataset DataSet --name mine
    python -m har_core train --dataset DataSet --name mine --resume
    """  # noqa: D301 - \b keeps the lines of the examples
    # Imported here, because pandas would slow down every other command.
    from har_core.training.trainer import train as run_training

    settings = dataclasses.replace(
        _DEFAULTS,
        backbone_weights=backbone_weights,
        epochs=epochs,
        head_epochs=head_epochs,
        small_epochs=small_epochs,
        small_size=small_size,
        frozen_blocks=frozen_blocks,
        batch_size=batch_size,
        learning_rate=learning_rate,
        layer_decay=layer_decay,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        dropout=dropout,
        seed=seed,
        teachers=tuple(teacher or ()),
        teacher_weight=teacher_weight,
        refit=refit,
        temperature_of=temperature_of,
        notes=notes,
        augmentation=dataclasses.replace(_DEFAULTS.augmentation, mixup=mixup),
    )
    with progress_bar() as report:
        try:
            manifest = run_training(
                dataset,
                name,
                settings,
                csv=csv_table,
                runs_dir=runs_dir,
                resume=resume,
                overwrite=overwrite,
                progress=report,
                on_epoch=_print_epoch,
            )
        except KeyboardInterrupt:
            stderr.print("Interrupted. Continue with the same command and --resume.")
            raise typer.Exit(EXIT_UNUSABLE) from None
    skipped = manifest.training["skipped"]
    for row in skipped:
        stderr.print(f"skipped {row['filename']}: {row['reason']}", markup=False, soft_wrap=True)
    top1 = manifest.metrics["top1"]
    stderr.print(
        f"Wrote {bundle.models_dir() / name}: top-1 accuracy {top1['value']:.1%} "
        f"(95 % interval {top1['low']:.1%} – {top1['high']:.1%}) on {manifest.metrics['n']} test "
        f"photographs; {len(skipped)} photographs skipped."
    )


def _print_epoch(row: dict[str, Any]) -> None:
    validation = ""
    if "validation_top1" in row:  # not when it refits
        validation = (
            f"validation top-1 {row['validation_top1']:.1%}, log loss "
            f"{row['validation_calibrated_log_loss']:.3f}, "
        )
    stderr.print(
        f"{row['stage']} epoch {row['epoch']}: training loss {row['training_loss']:.3f}, "
        f"{validation}{row['seconds']:.0f} s"
    )


@app.command("import-model")
def import_model_command(
    source: Annotated[Path, typer.Argument(help="A .h5 or .keras file.")],
    class_indices: Annotated[
        Path, typer.Option(help='JSON: {"0": "calling", …} or {"calling": 0, …}.')
    ],
    preprocessing: Annotated[
        str, typer.Option(help="zero_to_one (x / 255) or minus_one_to_one (x / 127.5 - 1).")
    ],
    name: Annotated[str, typer.Option(help="Name of the model bundle to write.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle of that name.")
    ] = False,
) -> None:
    """Make a model bundle of an older Keras file (Keras 2 .h5 files included).

    The scaling must be the one that the model was trained with: a wrong one fails silently.
    """
    from har_core.model.importing import import_model

    manifest = import_model(
        source, class_indices, preprocessing=preprocessing, name=name, overwrite=overwrite
    )
    stderr.print(f"Wrote {bundle.models_dir() / name} ({len(manifest.class_names)} classes).")
    if ONNX_FILE not in manifest.files:
        stderr.print("It has no ONNX graph and runs through Keras, which is slower.")


@app.command()
def models(
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="[FILE]", help="JSON, to a file or stdout.")
    ] = None,
) -> None:
    """List the model bundles; the first is the default."""
    entries = bundle.list_bundles()
    if json_file:
        described = [
            {
                "name": e.name,
                "path": str(e.path),
                "error": e.error,
                **(
                    {"metrics": e.manifest.metrics, "created": e.manifest.created}
                    if e.manifest
                    else {}
                ),
            }
            for e in entries
        ]
        write_output(json_file, json.dumps(described, indent=2, ensure_ascii=False) + "\n")
        return
    if not entries:
        raise HarError(f"There is no model in {bundle.models_dir()}; train or import one.")
    for entry in entries:
        print(f"{entry.name}\t{_describe(entry)}")


def _describe(entry: bundle.BundleEntry) -> str:
    if entry.manifest is None:
        return f"unusable: {entry.error}"
    metrics = entry.manifest.metrics
    classes = f"{len(entry.manifest.class_names)} classes"
    if "top1" not in metrics:
        return f"{classes}, not evaluated"
    return (
        f"{classes}, top-1 {metrics['top1']['value']:.1%} on {metrics['n']} "
        f"photographs ({metrics['split']} split)"
    )


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="FILE.onnx, FILE.keras or FILE.zip.")],
    model: ModelOption = None,
) -> None:
    """Copy a model out of its bundle: ONNX graph, Keras file, or the whole bundle as a ZIP.

    The ONNX graph and the Keras file take float32 pixels (N, size, size, 3), scaled as the bundle's
    bundle.json says, and give probabilities before the temperature.
    """
    folder = find_model(model)
    manifest = bundle.verify_bundle(folder)
    wanted = {".onnx": ONNX_FILE, ".keras": KERAS_FILE}.get(output.suffix)
    if output.suffix == ".zip":
        content = _zip_of(folder, manifest)
    elif wanted is None:
        raise HarError(f"Cannot export to {output}: the name must end in .onnx, .keras or .zip.")
    elif wanted not in manifest.files:
        raise HarError(f"The model {manifest.name!r} holds no {wanted}.")
    else:
        content = (folder / wanted).read_bytes()
    try:
        bundle.write_atomically(output, content)
    except OSError as error:
        raise HarError(f"Cannot write {output}: {error.strerror or error}.") from error
    stderr.print(f"Wrote {output} ({len(content) / 1e6:.1f} MB).")


def _zip_of(folder: Path, manifest: BundleManifest) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for relative in (MANIFEST_FILE, *manifest.files):
            archive.write(folder / relative, f"{manifest.name}/{relative}")
    return buffer.getvalue()
