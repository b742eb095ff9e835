"""`models`, `export` and `import-model`: the bundles there are."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from har_core.cli.datasets import check_outputs
from har_core.cli.options import DatasetOption, ModelArgument, ModelOption, OverwriteOption
from har_core.cli.terminal import progress_bar, stderr, write_output
from har_core.errors import HarError, ModelBundleError
from har_core.model import bundle
from har_core.model.loading import find_model
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    BundleManifest,
    read_manifest,
)
from har_core.settings import shipped
from har_core.storage.names import one_line
from har_core.storage.paths import is_file
from har_core.wording import counted

app = typer.Typer()


# Tried on import where no photograph is given; none where the program lies without it.
_EXAMPLE: Final = shipped("dashboard/examples/cycling.jpg")


@app.command("import-model")
def import_model_command(
    source: Annotated[Path, typer.Argument(metavar="FILE", help=".h5, .keras or .onnx.")],
    class_indices: Annotated[
        Path,
        typer.Option(
            help='The class names in their order, as JSON: {"0": "calling", …}, {"calling": 0, …} '
            'or ["calling", …]; or as .txt, one per line.'
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the model bundle to write.")],
    preprocessing: Annotated[
        str | None,
        typer.Option(
            help="The scaling that the network was trained with: none (values from 0 to 255), "
            "zero_to_one (x / 255), minus_one_to_one (x / 127.5 - 1), caffe (BGR less ImageNet's "
            "means) or torch (x / 255, ImageNet's means and deviations). Not needed where the "
            "network scales pixels itself.",
            show_default=False,
        ),
    ] = None,
    scaled_before: Annotated[
        bool,
        typer.Option(
            "--scaled-before",
            help="The network scales pixels itself, and was trained on pixels scaled before.",
        ),
    ] = False,
    photograph: Annotated[
        Path | None,
        typer.Option(
            "--try",
            metavar="PHOTO",
            help="Show what it says of this photograph, under every scaling. Default: an example.",
        ),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="The class of that photograph; unless it is in the top 3, nothing is written.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a model bundle of a network from elsewhere: a Keras file or an ONNX graph.

    Keras 2's .h5 files are read as well. The scaling must be the one that the network was trained
    with, or it is silently wrong: have it --try a photograph whose answer you know.

    \b
    har import-model old.h5 --class-indices classes.json --name old \\
        --preprocessing zero_to_one --try running.jpg --expect running
    """
    from har_core.model.importing import import_model

    if expect is not None and photograph is None:
        raise HarError("--expect needs the photograph that it is the class of: add --try PHOTO.")
    if photograph is None and _EXAMPLE.is_file():
        photograph = _EXAMPLE
    manifest = import_model(
        source,
        class_indices,
        name=name,
        preprocessing=preprocessing,
        scaled_before=scaled_before,
        photograph=photograph,
        expect=expect,
        overwrite=overwrite,
    )
    for note in manifest.training["notes"]:
        stderr.print(note)
    _print_trial(manifest)
    classes = counted(len(manifest.class_names), "class", "classes")
    stderr.print(f"Wrote {bundle.models_dir() / name} ({classes}).")
    if ONNX_FILE not in manifest.files:
        stderr.print("It has no ONNX graph and runs through Keras, which is slower.")


def _print_trial(manifest: BundleManifest) -> None:
    trial = manifest.training["trial"]
    if trial is None:
        return
    stderr.print(f"What it says of {trial['photograph']}:")
    chosen = manifest.preprocessing
    for scaling, answer in sorted(trial["answers"].items(), key=lambda item: item[0] != chosen):
        said = ", ".join(f"{label} {share:.1%}" for label, share in answer)
        what = f"scaled {scaling}, as it is now" if scaling == chosen else f"if {scaling}"
        stderr.print(f"  {what}: {said}")
    stderr.print("Is another line more right? Import it again with that --preprocessing.")


@app.command()
def calibrate(
    model: ModelArgument = None,
    *,
    dataset: DatasetOption,
) -> None:
    """Let a model learn what is foreign to it, and how sure it may sound.

    For models from before training did this. Looks at the photographs that the
    model was trained and validated on, never at its test split, and replaces the
    bundle in one step. Takes minutes.

    \b
    har calibrate mine --dataset DataSet
    """
    from har_core.training.answering import calibrate_bundle

    folder = find_model(model)
    with progress_bar() as report:
        manifest = calibrate_bundle(folder, dataset, progress=report)
    tells = NOVELTY_FILE in manifest.files
    rules = manifest.rules
    least = rules.abstain_below
    abstains = f"abstains below {least:.0%}" if least else "answers however unsure it is"
    stderr.print(
        f"Wrote {folder}: it {'can' if tells else 'cannot'} tell foreign pictures, {abstains}, and "
        f"has {'no ' if rules.set_threshold is None else ''}answer sets."
    )


@app.command()
def quantise(
    model: ModelArgument = None,
    *,
    dataset: DatasetOption,
    epochs: Annotated[
        int, typer.Option(min=0, help="Passes through the training photographs.")
    ] = 1,
) -> None:
    """Give a model a second graph, which computes with 8 bits.

    It takes about half the time wherever the processor has instructions for it (VNNI);
    elsewhere it gains little. It learns to answer as the model does; it is stored only
    if it costs no more than 0.3 points of the validation photographs. An epoch takes
    some ten minutes on two cores, seconds on a GPU.

    \b
    har quantise mine --dataset DataSet
    """
    from har_core.training.quantization.run import quantise_bundle

    folder = find_model(model)
    with progress_bar() as report:
        manifest = quantise_bundle(folder, dataset, epochs=epochs, progress=report)
    found = manifest.training["int8"]
    stderr.print(
        f"Wrote {folder}: on {counted(found['n'], 'validation photograph')} 8 bits make "
        f"{found['top1']:+.2%} right and {found['log_loss']:+.4f} log loss."
    )


@app.command()
def models(
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="[FILE]", help="JSON, to a file or stdout.")
    ] = None,
) -> None:
    """List the model bundles, the newest first, and say which is the default."""
    check_outputs([json_file])
    entries = bundle.list_bundles()
    default = _default(entries)
    if json_file:
        described = [
            {
                "name": e.name,
                "path": str(e.path),
                "default": e.path.resolve() == default,
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
        mark = "\tdefault" if entry.path.resolve() == default else ""
        print(f"{one_line(entry.name)}\t{one_line(_describe(entry))}{mark}")


def _default(entries: list[bundle.BundleEntry]) -> Path | None:
    """Return the path of the default model; say so where it is not in the list."""
    try:
        default = find_model()
    except ModelBundleError as error:
        if entries:  # else the list itself says it
            stderr.print(f"No default: {error}")
        return None
    if default not in [entry.path.resolve() for entry in entries]:
        stderr.print(f"The default is {default} (HAR_MODEL).")
    return default


def _describe(entry: bundle.BundleEntry) -> str:
    if entry.manifest is None:
        return f"unusable: {entry.error}"
    metrics = entry.manifest.metrics
    classes = counted(len(entry.manifest.class_names), "class", "classes")
    if "top1" not in metrics:
        return f"{classes}, not evaluated"
    return (
        f"{classes}, top-1 {metrics['top1']['value']:.1%} on "
        f"{counted(metrics['n'], 'photograph')} ({metrics['split']} split)"
    )


@app.command()
def export(
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT",
            help="FILE.onnx, FILE.keras, FILE.tflite or FILE.zip; for hf a new folder.",
        ),
    ],
    model: ModelOption = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="onnx, keras, litert, hf (a folder for Hugging Face's hub, with a model card) or "
            "zip (the whole bundle). Default: by the name's ending.",
            show_default=False,
        ),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(metavar="ID", help="For hf: the licence, e.g. mit or apache-2.0."),
    ] = None,
) -> None:
    """Take a model out of its bundle, for other programs.

    The networks take float32 pixels (N, size, size, 3), scaled as the bundle's
    bundle.json says, and give probabilities before the temperature. What is written
    gives the bundle's own answers: that is checked first.

    \b
    har export model.onnx
    har export model.tflite --model mine
    har export for_the_hub --format hf --license mit
    """
    from har_core.export.formats import export_model

    if str(output) == "-":
        raise HarError("A model is written to a file, not to stdout; name one, such as model.onnx.")
    folder = find_model(model)
    check_outputs([output], [folder], makes_folder=format == "hf")
    written = export_model(folder, output, format, license=license)
    equal = ""
    if written.difference is not None:
        equal = f"; its probabilities differ from the bundle's by at most {written.difference:.1g}"
    stderr.print(f"Wrote {written.path} ({written.n_bytes / 1e6:.1f} MB){equal}.")
    if equal and is_file(written.path):  # a network alone says nothing of this
        manifest = read_manifest(folder)
        stderr.print(
            f"It takes RGB of {manifest.input_size} × {manifest.input_size} pixels, scaled "
            f"{manifest.preprocessing}; its classes are in the order of "
            f"{folder / CLASS_INDICES_FILE}."
        )
