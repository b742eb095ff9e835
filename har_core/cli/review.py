"""`review`: what people decided about a dataset's photographs, taken out and taken over."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from har_core.cli.datasets import (
    ColumnsOption,
    TableOption,
    check_outputs,
    read_dataset,
    warn_of_reviewed_spellings,
)
from har_core.cli.exit_codes import ExitCode
from har_core.cli.options import DatasetOption, ModelOption
from har_core.cli.terminal import progress_bar, stderr, write_output
from har_core.errors import some_of
from har_core.model.fields import check_class_names
from har_core.model.loading import find_model
from har_core.wording import counted

if TYPE_CHECKING:
    from har_core.dataset.decisions import Decisions
    from har_core.dataset.table import Dataset

app = typer.Typer()
_LISTED = 5


@app.command()
def review(
    dataset: DatasetOption,
    export: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the decisions as CSV, - for stdout."),
    ] = None,
    import_file: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE",
            help="Take over decisions from such a CSV: columns filename, decision ('right as it "
            "is', 'relabel' or 'exclude') and new_label; a row with neither is not decided yet. "
            "One of 'har suspects --csv' is such a table, too.",
        ),
    ] = None,
    next_file: Annotated[
        str | None,
        typer.Option(
            "--next",
            metavar="FILE",
            help="Write the photographs without a label that would teach most, - for stdout: fill "
            "in new_label and --import it.",
        ),
    ] = None,
    table: TableOption = None,
    columns: ColumnsOption = None,
    number: Annotated[
        int, typer.Option(min=1, help="With --next: at most so many photographs.")
    ] = 50,
    model: ModelOption = None,
) -> None:
    """Say what was decided about photographs; take the decisions along or over.

    The photographs and train.csv are never changed: 'train --cleaned' learns from what the
    decisions leave. What one import took over, one undo on the Dataset page takes back.

    Exit code 0: all well; 1: some rows name photographs that are not here; 2: nothing was done.

    \b
    har review --dataset DataSet --export decisions.csv
    har review --dataset DataSet --import decisions.csv
    har review --dataset DataSet --next next.csv
    """
    from har_core.dataset.decision_tables import (
        decisions_about,
        decisions_csv,
        named_as_in,
        new_labels,
        read_decisions_csv,
    )
    from har_core.dataset.decisions import cleaned_table, decide_together

    read = read_dataset(dataset, table, columns=columns)
    check_outputs([export, next_file], [import_file] if import_file else [], read)
    if next_file is not None:
        find_model(model)  # says that there is none before anything is taken over or scanned
    known = set(read.rows["filename"]) | set(read.unlisted)
    strangers: list[str] = []
    with progress_bar() as report:
        if import_file is not None:
            steps = read_decisions_csv(import_file)
            check_class_names(step.label for step in steps)
            steps = named_as_in(read, steps, report)
            strangers = [name for step in steps for name in step.filenames if name not in known]
            kept = [step.among(known) for step in steps]
            decide_together(read.folder, [step for step in kept if step.filenames], report)
        decisions = decisions_about(read, report)
    if export is not None:
        given = read.rows.drop_duplicates("filename").set_index("filename")["label"]
        write_output(export, decisions_csv(decisions, given.to_dict()))
    if next_file is not None:
        _write_next(read, decisions, next_file, number, model)
    if "-" not in (export, next_file):
        relabelled, labelled = new_labels(read.rows, decisions, read.unlisted)
        right = (decisions.confirmed | set(decisions.relabelled)).difference(relabelled, labelled)
        newly = f", {len(labelled)} newly labelled" if labelled else ""
        print(
            f"{len(relabelled)} relabelled, {len(known & decisions.excluded)} excluded{newly}, "
            f"{len(known & right)} right as they are; kept in {decisions.path}"
        )
    warn_of_reviewed_spellings(read, cleaned_table(read.rows, decisions, read.unlisted))
    if strangers:
        stderr.print(
            f"{counted(len(strangers), 'row names', 'rows name')} no photograph in {read.folder}: "
            f"{some_of(strangers, _LISTED)}",
            style="yellow",
        )
        raise typer.Exit(ExitCode.INCOMPLETE)


def _write_next(
    read: "Dataset", decisions: "Decisions", destination: str, number: int, model: str | None
) -> None:
    from har_core.analysis.labelling import photographs_to_label
    from har_core.scan.scanning import scan_dataset
    from har_core.storage.spreadsheets import table_csv

    with progress_bar() as report:
        photographs = scan_dataset(read, progress=report)
        present = photographs.loc[photographs["sha256"].fillna("").ne(""), ["filename", "sha256"]]
        decisions = decisions.about(dict(present.to_numpy()))
        given = zip(photographs["filename"], photographs["label"], strict=True)
        labels = [decisions.relabelled.get(name, label) for name, label in given]
        photographs = photographs.assign(label=labels)
        # What somebody has looked at and left without a label is not asked about again.
        seen = photographs["filename"].isin(decisions.confirmed) & photographs["label"].eq("")
        photographs = photographs[~(seen | photographs["filename"].isin(decisions.excluded))]
        chosen = photographs_to_label(find_model(model), photographs, n=number, progress=report)
    blank = {"label": "", "decision": "", "new_label": ""}
    columns = ["filename", *blank, "suggested", "margin"]
    table = chosen.assign(**blank, margin=chosen["margin"].round(4).astype(str))
    write_output(destination, table_csv(table[columns]))
    if chosen.empty:
        stderr.print("Every photograph has a label, or looks like one that has one.")
