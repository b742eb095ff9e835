"""`predict`: what the person in each photograph is doing."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from har_core.cli.datasets import ColumnsOption, check_outputs
from har_core.cli.exit_codes import ExitCode
from har_core.cli.inputs import find_photographs
from har_core.cli.options import ModelOption
from har_core.cli.terminal import make_table, progress_bar, stderr, stdout, write_output
from har_core.errors import HarError, InvalidImageError
from har_core.images.decoding import MAX_BYTES
from har_core.model.classifier import ActionModel, ImageSource
from har_core.model.fields import (
    ACTION,
    CONFIDENCE,
    ERROR,
    FILENAME,
    VERDICT_FIELDS,
    WARNING,
)
from har_core.model.loading import find_model, load_model
from har_core.model.prediction import Prediction, prediction_record, verdict_cells
from har_core.storage.files import write_atomically
from har_core.storage.names import one_line, printable
from har_core.storage.paths import exists, is_folder
from har_core.storage.spreadsheets import escape_formula
from har_core.wording import counted

app = typer.Typer()


@app.command()
def predict(
    photographs: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO|FOLDER|GLOB|TABLE…",
            help="Files, folders, patterns, tables that list photographs, or - for stdin.",
        ),
    ],
    model: ModelOption = None,
    columns: ColumnsOption = None,
    top: Annotated[int, typer.Option(min=1, help="How many actions to show for each.")] = 3,
    abstain_below: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="No answer below this confidence. Default: the model's own; 0: always.",
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also write a picture for each photograph that shows which part decided: hiding "
            "the bright area changes the answer most. Takes 50 times as long.",
        ),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="[FILE]", help="JSON, to a file or stdout.")
    ] = None,
    csv_file: Annotated[
        str | None, typer.Option("--csv", metavar="[FILE]", help="CSV, to a file or stdout.")
    ] = None,
) -> None:
    """Say what the person in each photograph is doing.

    Where the model abstains, the table says why: "foreign" (unlike anything that
    it learned from) or "unsure". A pipe gets a tab-separated line for each: the
    name, the actions with their confidences, and "answered", "foreign" or "unsure".

    Exit code 0: all predicted; 1: some files were no usable photographs;
    2: nothing could be done.

    \b
    har predict photo.jpg
    har predict holiday/ 'more/*.png' --csv actions.csv
    curl -s https://example.org/photo.jpg | har predict - --json
    """
    check_outputs((json_file, csv_file))
    names, notes = find_photographs(photographs, columns)
    for note in notes:
        stderr.print(note)
    check_outputs((json_file, csv_file), (*names, *photographs, find_model(model)))
    pictures = [] if explain is None else _explanation_files(explain, names)
    loaded = load_model(model)
    sources: list[ImageSource] = [
        sys.stdin.buffer.read(MAX_BYTES + 1) if name == "-" else Path(name) for name in names
    ]
    with progress_bar() as report:
        results = loaded.predict_batch(
            sources, progress=lambda done, total: report("Predicting", done, total)
        )
    rows: _Rows = [
        (
            printable(name),
            r if isinstance(r, InvalidImageError) else r.abstaining_below(abstain_below),
        )
        for name, r in zip(names, results, strict=True)
    ]
    if json_file:
        write_output(json_file, _as_json(rows, loaded.name))
    if csv_file:
        write_output(csv_file, _as_csv(rows, top))
    if not json_file and not csv_file:
        _print_predictions(rows, top)
    if explain is not None:
        _write_explanations(explain, loaded, pictures, sources, rows)
    for name, result in rows:
        if isinstance(result, Prediction) and result.warning:
            warning = f"{one_line(name)}: {result.warning}"
            stderr.print(warning, style="yellow")
    failed = [(name, r) for name, r in rows if isinstance(r, InvalidImageError)]
    for name, error in failed:
        stderr.print(f"{one_line(name)}: {error}", style="red")
    if failed:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _explanation_files(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return a file for each photograph, named like it; a second one of a name gets a number.

    Raises
    ------
    HarError
        If it is there already, and no such picture: it may be a photograph; or the folder is none.
    """
    from har_core.model.explanation import is_overlay

    if exists(folder) and not is_folder(folder):
        raise HarError(f"{folder} is no folder; name one for the pictures of --explain.")
    files: list[Path] = []
    taken: set[str] = set()
    for number, name in enumerate(names, start=1):
        stem = unique = "stdin" if name == "-" else Path(name).stem
        while unique in taken:
            unique, number = f"{stem}_{number}", number + 1
        taken.add(unique)
        files.append(folder / f"{unique}.png")
        if exists(files[-1]) and not is_overlay(files[-1]):
            raise HarError(f"{files[-1]} was not written by --explain; name another folder.")
    return files


def _write_explanations(
    folder: Path,
    model: ActionModel,
    files: Sequence[Path],
    sources: Sequence[ImageSource],
    rows: "_Rows",
) -> None:
    from har_core.model.explanation import explain as explain_photo
    from har_core.model.explanation import overlay

    good = [i for i, (_, result) in enumerate(rows) if isinstance(result, Prediction)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with progress_bar() as report:
            for done, i in enumerate(good, start=1):
                picture = overlay(model.prepare(sources[i]), explain_photo(model, sources[i]))
                write_atomically(files[i], picture)
                report("Explaining", done, len(good))
    except OSError as error:
        raise HarError(f"Cannot write {folder}: {error.strerror or error}.") from error
    stderr.print(f"Wrote {counted(len(good), 'picture')} to {folder}.")


_Rows = Sequence[tuple[str, Prediction | InvalidImageError]]


def _as_json(rows: _Rows, model_name: str) -> str:
    entries = [prediction_record(name, result, model_name) for name, result in rows]
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def _as_csv(rows: _Rows, top: int) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ranked = [f"{what}_{rank}" for rank in range(1, top + 1) for what in (ACTION, CONFIDENCE)]
    writer.writerow([FILENAME, *ranked, *VERDICT_FIELDS, ERROR, WARNING])
    for name, result in rows:
        if isinstance(result, InvalidImageError):
            cells = [""] * (len(ranked) + len(VERDICT_FIELDS)) + [str(result), ""]
        else:
            cells = [cell for action, p in result.top(top) for cell in (action, f"{p:.6f}")]
            cells += [""] * (len(ranked) - len(cells))
            cells += [*verdict_cells(result), "", result.warning]
        writer.writerow([escape_formula(cell) for cell in (name, *cells)])
    return buffer.getvalue()


def _print_predictions(rows: _Rows, top: int) -> None:
    """Print a table to a terminal, tab-separated lines into a pipe."""
    good = [(name, result) for name, result in rows if isinstance(result, Prediction)]
    if not sys.stdout.isatty():
        for name, result in good:
            cells = [f"{action}\t{p:.4f}" for action, p in result.top(top)]
            print("\t".join([one_line(name), *cells, result.verdict]))
        return
    if not good:
        return
    table = make_table("photograph", "action", "confidence", "then", "abstains")
    for name, result in good:
        others = ", ".join(f"{action} {p:.0%}" for action, p in result.top(top)[1:])
        why = "" if result.verdict == "answered" else result.verdict
        table.add_row(one_line(name), result.action, f"{result.confidence:.1%}", others, why)
    stdout().print(table)
