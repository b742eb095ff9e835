"""`models`, `export` and `import-model`: the bundles there are."""

import io
import json
import zipfile
from pathlib import Path
from typing import Annotated

import typer

from har_core.cli.datasets import check_outputs
from har_core.cli.options import DatasetOption, ModelOption
from har_core.cli.terminal import progress_bar, stderr, write_output
from har_core.errors import HarError
from har_core.model import bundle
from har_core.model.loading import find_model
from har_core.model.manifest import (
    KERAS_FILE,
    MANIFEST_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    BundleManifest,
)

app = typer.Typer()


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
def calibrate(
    model: Annotated[str | None, typer.Argument(help="Bundle name or path.")] = None,
    *,
    dataset: DatasetOption,
) -> None:
    """Let a model learn what is foreign to it, and how sure it may sound.

    For models from before training did this. Looks at the photographs that the
    model was trained and validated on, never at its test split, and replaces the
    bundle in one step. Takes minutes.

    \b
    python -m har_core calibrate mine --dataset DataSet
    """  # noqa: D301 - \b keeps the lines of the examples
    # Imported here, because pandas would slow down every other command.
    from har_core.training.answering import calibrate_bundle

    folder = find_model(model)
    with progress_bar() as report:
        manifest = calibrate_bundle(folder, dataset, progress=report)
    tells = NOVELTY_FILE in manifest.files
    rules = manifest.rules
    stderr.print(
        f"Wrote {folder}: it {'can' if tells else 'cannot'} tell foreign pictures, abstains below "
        f"{rules.abstain_below:.0%}, and has {'no ' if rules.set_threshold is None else ''}answer "
        "sets."
    )


@app.command()
def models(
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="[FILE]", help="JSON, to a file or stdout.")
    ] = None,
) -> None:
    """List the model bundles; the first is the default."""
    check_outputs([json_file])
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
    check_outputs([output], [folder])
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
