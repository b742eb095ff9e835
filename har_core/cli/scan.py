"""The command ``scan``: look for what is wrong with a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from har_core.cli.datasets import (
    ColumnsOption,
    TableOption,
    check_outputs,
    read_dataset,
    warn_of_spellings,
)
from har_core.cli.exit_codes import ExitCode
from har_core.cli.terminal import progress_bar, stderr, write_output
from har_core.settings import DATASET

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()


@app.command()
def scan(
    dataset: Annotated[
        Path,
        typer.Argument(
            envvar=DATASET.name,
            metavar="DATASET",
            help="Folder with train.csv (filename,label) and the photographs in train/.",
        ),
    ],
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
    table: TableOption = None,
    columns: ColumnsOption = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Parallel workers.", show_default="one per processor"),
    ] = None,
) -> None:
    """Find unreadable, duplicate, mislabelled, dark, blurry and other odd photographs.

    Measurements are remembered by content: only new and changed photographs are read again, and an
    interrupted scan goes on where it stopped.

    Exit code 0: nothing found; 1: something found; 2: the dataset cannot be scanned.

    \b
    har scan DataSet
    har scan DataSet --csv findings.csv --json counts.json
    """  # noqa: D301 - \b keeps the lines of the examples
    # Imported here, because pandas would slow down every other command's help.
    from har_core.scan.issues import any_issue, findings_csv, findings_json
    from har_core.scan.scanning import scan_dataset

    read = read_dataset(dataset, table, columns=columns)
    warn_of_spellings(read, dataset, table)
    check_outputs((csv_file, json_file), dataset=read)
    try:
        with progress_bar() as report:
            photographs = scan_dataset(read, workers=workers, progress=report)
    except KeyboardInterrupt:
        stderr.print("Interrupted. What was measured is kept; scan again to go on.")
        raise typer.Exit(ExitCode.UNUSABLE) from None
    if csv_file:
        write_output(csv_file, findings_csv(photographs))
    if json_file:
        write_output(json_file, findings_json(photographs))
    if "-" not in (csv_file, json_file):
        _print_summary(photographs)
    if any_issue(photographs).any():
        raise typer.Exit(ExitCode.INCOMPLETE)


def _print_summary(photographs: "pd.DataFrame") -> None:
    from har_core.scan.issues import ISSUE_KINDS, any_issue, count_issues

    affected = int(any_issue(photographs).sum())
    print(f"{len(photographs)} photographs, {affected} with findings")
    for name, count in count_issues(photographs).items():
        if count:
            print(f"{count:7d}  {name:<18}{ISSUE_KINDS[name].meaning}")
