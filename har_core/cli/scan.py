"""The command ``scan``: look for what is wrong with a dataset, or with photographs anywhere."""

import glob
import shlex
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from har_core.cli.datasets import (
    ColumnsOption,
    check_outputs,
    read_dataset,
    warn_of_spellings,
)
from har_core.cli.exit_codes import ExitCode
from har_core.cli.options import (
    AddressOption,
    ColumnOption,
    Engine,
    EngineOption,
    WorkersOption,
    check_address,
    labels_option,
)
from har_core.cli.terminal import ended_by_interrupt, progress_bar, stderr, write_output
from har_core.errors import NoTableError
from har_core.scale.sources.locations import is_remote, local_path
from har_core.settings import DATASET
from har_core.storage.paths import expanded, is_file, is_folder
from har_core.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from har_core.dataset.table import Dataset
    from har_core.scale.jobs import Where

app = typer.Typer()


@app.command()
def scan(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE…]",
            help="Dataset folder (default: HAR_DATASET); or other folders, patterns, lists (.txt), "
            "tables (.csv, .parquet), WebDatasets (.tar); here or at s3://, gs://, https://.",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        str | None,
        typer.Option("--json", metavar="[FILE]", help="Counts by issue, to a file or stdout."),
    ] = None,
    csv_file: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="[FILE]", help="Findings by photograph, to a file or stdout."
        ),
    ] = None,
    table: Annotated[
        str | None,
        labels_option(
            "Table to use instead of DATASET/train.csv; of other sources: labels by sha256, path, "
            "URI or base name. Tables as sources bring their own."
        ),
    ] = None,
    columns: ColumnsOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Measurements and findings as Parquet files, here or in a bucket.",
            show_default="in the cache",
        ),
    ] = None,
    engine: EngineOption = Engine.LOCAL,
    address: AddressOption = None,
    workers: WorkersOption = None,
    column: ColumnOption = None,
    dataset: Annotated[  # as most commands want it
        str | None, typer.Option(metavar="FOLDER", hidden=True)
    ] = None,
) -> None:
    """Find unreadable, duplicate, dark, blurry and other odd photographs.

    Measurements are remembered: only new and changed photographs are read again, and an
    interrupted scan goes on where it stopped.

    Exit code 0: nothing found; 1: something found; 2: the photographs cannot be scanned.

    \b
    har scan DataSet
    har scan DataSet --csv findings.csv --json counts.json
    har scan s3://bucket/photos --to s3://bucket/scan --engine ray --address auto
    har scan 'shards/*.tar' more.parquet --table labels.csv
    """
    if sources and dataset is not None:
        raise typer.BadParameter("name all that is to be scanned without --dataset.")
    sources = sources or ([dataset] if dataset else [])
    given = list(map(local_path, sources or ([DATASET.value] if DATASET.value else [])))
    if not given:
        raise typer.BadParameter(f"name what to scan, or set {DATASET.name}.")
    check_address(engine, address)
    outputs = (csv_file, json_file)
    elsewhere = to or column or engine is not Engine.LOCAL or (table and is_remote(table))
    with ended_by_interrupt("Interrupted. What was measured is kept; scan again to go on."):
        if len(given) == 1 and not elsewhere and (read := _as_dataset(given[0], table, columns)):
            warn_of_spellings(read, Path(given[0]), table, columns)
            photographs = _scan_dataset(read, workers, outputs)
        else:
            from har_core.scale.jobs import Where

            where = Where(engine.value, address, workers)
            photographs = _scan_sources(given, to, where, column, table, columns, outputs)
    _write(photographs, csv_file, json_file)


def _as_dataset(source: str, table: str | None, columns: str | None) -> "Dataset | None":
    """Open a dataset's folder; return None for a source of another kind.

    Raises
    ------
    HarError
        If there is nothing of that name, or the folder holds no photographs, or is a dataset that
        cannot be read.
    """
    path = expanded(source)
    there = is_file(path) or glob.has_magic(source) or "://" in source
    if there and not is_folder(path):
        return None
    try:
        return read_dataset(Path(source), table, columns=columns)
    except NoTableError:
        from har_core.scale.sources.listing import list_sources

        next(list_sources([str(path)]))  # raises where there are no photographs
        note = f"{source} is no dataset, with a table or a folder for each class: no labels."
        stderr.print(note, style="yellow")
        return None


def _scan_dataset(
    read: "Dataset", workers: int | None, outputs: tuple[str | None, ...]
) -> "pd.DataFrame":
    from har_core.scan.scanning import scan_dataset

    check_outputs(outputs, dataset=read)
    with progress_bar() as report:
        return scan_dataset(read, workers=workers, progress=report)


def _scan_sources(
    sources: list[str],
    to: str | None,
    where: "Where",
    column: str | None,
    table: str | None,
    columns: str | None,
    outputs: tuple[str | None, ...],
) -> "pd.DataFrame":
    from har_core.dataset.columns import parse_columns
    from har_core.dataset.layouts import CSV_FILE
    from har_core.scale.labels import read_label_table
    from har_core.scale.scanned.scanning import scan_sources
    from har_core.scale.sources.listing import files_among

    check_outputs(outputs, chain([table] if table else [], files_among(sources)))
    headings = parse_columns(columns)
    labels = None if table is None else read_label_table(table, headings)
    for own in (Path(source, CSV_FILE) for source in sources):
        if table is None and is_file(own):
            note = f"The labels in {own} are not used; --table {shlex.quote(str(own))} uses them."
            stderr.print(note, style="yellow")
    with progress_bar() as report:
        found = scan_sources(
            sources,
            to,
            where=where,
            column=column,
            labels=labels,
            columns=headings,
            progress=report,
        )
    if found.unmatched:
        note = f"Labels of photographs that are not among these: {found.unmatched:,}."
        stderr.print(note, style="yellow")
    for trouble in found.troubles:
        stderr.print(trouble, style="yellow")
    if to:
        stderr.print(f"Measurements and findings: {found.folder}")
    return found.photographs


def _write(photographs: "pd.DataFrame", csv_file: str | None, json_file: str | None) -> None:
    from har_core.scan.issues import any_issue, findings_csv, findings_json

    if csv_file:
        write_output(csv_file, findings_csv(photographs))
    if json_file:
        write_output(json_file, findings_json(photographs))
    if "-" not in (csv_file, json_file):
        _print_summary(photographs)
        if not csv_file and any_issue(photographs).any():
            stderr.print("Which photographs they are: --csv FILE, or har serve's Dataset page.")
    if any_issue(photographs).any():
        raise typer.Exit(ExitCode.INCOMPLETE)


def _print_summary(photographs: "pd.DataFrame") -> None:
    from har_core.scan.issues import ISSUE_KINDS, any_issue, count_issues

    affected = int(any_issue(photographs).sum())
    print(f"{counted(len(photographs), 'photograph')}, {affected:,} with findings")
    for name, count in count_issues(photographs).items():
        if count:
            print(f"{count:7d}  {name:<18}{ISSUE_KINDS[name].meaning}")
