"""`score` and `suspects`: answers for very many photographs, and labels that these contradict."""

import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from har_core.cli.datasets import ColumnsOption, check_outputs, is_dataset_not_results
from har_core.cli.exit_codes import ExitCode
from har_core.cli.options import (
    AddressOption,
    ColumnOption,
    Engine,
    EngineOption,
    ModelOption,
    WorkersOption,
    check_address,
    labels_option,
)
from har_core.cli.terminal import ended_by_interrupt, progress_bar, stderr, write_output
from har_core.errors import HarError, some_of
from har_core.wording import counted

if TYPE_CHECKING:
    from har_core.scale.status import JobStatus

app = typer.Typer()


class Precision(StrEnum):
    """What a network computes with."""

    FLOAT32 = "float32"
    INT8 = "int8"


@app.command()
def score(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="Folder, pattern, list (.txt), table (.csv, .parquet), WebDataset (.tar); "
            "here or at s3://, gs://, https://.",
        ),
    ],
    to: Annotated[
        str, typer.Option(metavar="RESULTS", help="Folder of Parquet parts, here or in a bucket.")
    ],
    model: ModelOption = None,
    engine: EngineOption = Engine.LOCAL,
    address: AddressOption = None,
    workers: WorkersOption = None,
    precision: Annotated[
        Precision,
        typer.Option(
            help="What the network computes with, whatever HAR_PRECISION says: int8 takes half its "
            "time, and needs a graph of 'har quantise'."
        ),
    ] = Precision.FLOAT32,
    features: Annotated[
        bool, typer.Option("--features", help="Also keep each photograph's feature vector.")
    ] = False,
    column: ColumnOption = None,
) -> None:
    """Let a model answer for very many photographs, into a folder of Parquet files.

    The same command again does only what is missing: new and changed photographs, and what a
    job that was interrupted or killed had not done. Afterwards there is one row for each
    photograph; one that cannot be used has an error instead of an answer.

    Exit code 0: all have an answer; 1: some cannot be used; 2: nothing, or not all, could be done.

    \b
    har score photos/ --to results/
    har score s3://bucket/photos --to s3://bucket/results --engine ray --address auto
    har score 'shards/*.tar' more.parquet --to results/ --features
    """
    check_address(engine, address)
    from har_core.scale.scoring import score as run

    kept = "Interrupted. What was scored is kept; the same command goes on from there."
    with ended_by_interrupt(kept), progress_bar() as report:
        status = run(
            sources,
            to,
            model=model,
            engine=engine.value,
            address=address,
            workers=workers,
            precision=precision.value,
            with_features=features,
            column=column,
            progress=report,
        )
    _print_summary(status, to, precision)
    if status.errors or status.failed_before or status.troubles:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _print_summary(status: "JobStatus", to: str, precision: Precision) -> None:
    for trouble in status.troubles:
        stderr.print(trouble, style="yellow")
    if status.answered:
        print(
            f"{counted(status.answered, 'photograph')} of {status.listed:,} had been scored before."
        )
    if status.failed_before:
        print(f"{status.failed_before:,} of them cannot be used; the column 'error' says why.")
    if status.total:
        rate = f", {status.total / status.elapsed_s:,.1f} a second" if status.elapsed_s else ""
        bits = " with 8 bits" if precision is Precision.INT8 else ""
        print(f"{counted(status.total, 'photograph')} scored by {status.model}{bits}{rate}.")
    if status.errors:
        print(f"{status.errors:,} of them cannot be used; the column 'error' says why.")
    print(f"Results: {to}")


def _refuse_dataset(named: str | None) -> str | None:
    """Tell who names a folder of photographs how their suspects are found."""
    if named and is_dataset_not_results(named):
        raise HarError(
            f"{named} holds no results of 'har score'. The labels of a dataset's folder are judged "
            f"on its page (har serve), or by: har score {shlex.quote(named)} --to RESULTS "
            "--features; har suspects RESULTS --table TABLE"
        )
    return named


@app.command()
def suspects(
    results: Annotated[
        str,
        typer.Argument(
            metavar="RESULTS",
            help="Made by 'har score --features'.",
            is_eager=True,  # before what else is missing
            callback=_refuse_dataset,
        ),
    ],
    table: Annotated[str, labels_option("Table of labels by sha256, path, URI or base name.")],
    columns: ColumnsOption = None,
    csv_file: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="[FILE]",
            help="The suspects, worst first, to a file or stdout; with new_label or decision "
            "filled in, 'har review --import' takes it.",
        ),
    ] = None,
    scan: Annotated[
        str | None,
        typer.Option(
            "--scan",
            metavar="FOLDER",
            help="Made by 'har scan --to' of the same photographs: its near duplicates count, too.",
        ),
    ] = None,
    neighbours: Annotated[
        int,
        typer.Option(
            "--neighbours", min=0, metavar="N", help="Look for neighbours of the N worst suspects."
        ),
    ] = 2_000,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", hidden=True, is_eager=True, callback=_refuse_dataset),
    ] = None,
) -> None:
    """Find labels that the photographs contradict, by features that are there already.

    Says of each suspect which label would fit better, which label its nearest neighbours have, and
    which photograph is nearest. A dataset's folder has the same on the Dataset page.

    No photograph is judged by a copy or near duplicate of it: one with the same sha256; among up to
    100,000 one with almost the same features (a cosine similarity of 0.98); or one of the same
    group in the --scan.

    Exit code 0: nothing found; 1: something found; 2: the labels cannot be judged.

    \b
    har score photos/ --to results/ --features
    har suspects results/ --table labels.csv --csv suspects.csv
    """
    if dataset is not None:
        raise typer.BadParameter("results are named without --dataset.")
    from har_core.dataset.columns import parse_columns
    from har_core.scale.analyses import followed
    from har_core.scale.labels import read_label_table
    from har_core.scale.opened.suspects import find_suspects
    from har_core.scale.opened.table import results_at
    from har_core.scale.scanned.folder import ScanFolder
    from har_core.storage.spreadsheets import table_csv

    check_outputs([csv_file], [table])
    answers = results_at(results)
    folder = None if scan is None else ScanFolder(scan)
    with (
        ended_by_interrupt("Interrupted; nothing is kept of it."),
        progress_bar() as bar,
        followed(answers, "suspects", table, bar) as analysis,
    ):
        labels = read_label_table(table, parse_columns(columns))
        found = find_suspects(answers, labels, analysis.report, scan=folder, neighbours=neighbours)
        judged = (
            f"{counted(found.judged, 'label')} judged, {len(found.suspects):,} of them doubtful"
        )
        if csv_file:
            places = found.suspects.columns.get_loc("label") + 1
            for column in ("new_label", "decision"):  # for people to fill in, see `review --import`
                found.suspects.insert(places, column, "")
            write_output(csv_file, table_csv(found.suspects))
        analysis.status.found = f"{judged}."
    if csv_file != "-":
        print(judged)
        if found.alike:
            alike = counted(found.alike, "copy or near duplicate", "copies or near duplicates")
            print(f"{alike} of other photographs")
        for row in found.found.by_class.itertuples():
            if row.suspects:
                print(f"{row.suspects:7,d}  of {row.photographs:,} {row.Index}")
    if found.fitted < found.judged:
        stderr.print(f"Judged by regressions on a sample of {found.fitted:,}.", style="yellow")
    if not (found.compared or scan):
        note = "Near duplicates are not looked for among so many; --scan brings those of a scan."
        stderr.print(note, style="yellow")
    if found.unmatched:
        note = f"Labels of photographs that are not among these: {found.unmatched:,}."
        stderr.print(note, style="yellow")
    if found.left_out:
        some = some_of(found.left_out, 5)
        note = f"Not judged, for they have fewer than five different photographs: {some}."
        stderr.print(note, style="yellow")
    if len(found.suspects):
        raise typer.Exit(ExitCode.INCOMPLETE)
