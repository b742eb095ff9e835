"""`suspects`: labels that the photographs contradict, of a folder of scored photographs."""

from pathlib import Path
from typing import Annotated

import typer

from har_core.cli.datasets import ColumnsOption, check_outputs
from har_core.cli.exit_codes import ExitCode
from har_core.cli.terminal import progress_bar, stderr, write_output

app = typer.Typer()


@app.command()
def suspects(
    results: Annotated[
        str, typer.Argument(metavar="RESULTS", help="Made by 'har score --features'.")
    ],
    table: Annotated[
        Path,
        typer.Option(
            "--table",
            metavar="FILE",
            help="Table of labels by sha256, path, URI or base name.",
        ),
    ],
    columns: ColumnsOption = None,
    csv_file: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="[FILE]", help="The suspects, worst first, to a file or stdout."
        ),
    ] = None,
) -> None:
    """Find labels that the photographs contradict, by features that are there already.

    Says of each suspect which label would fit better, which label its nearest neighbours have, and
    which photograph is nearest. A dataset's folder has the same on the Dataset page.

    Exit code 0: nothing found; 1: something found; 2: the labels cannot be judged.

    \b
    har score photos/ --to results/ --features
    har suspects results/ --table labels.csv --csv suspects.csv
    """  # noqa: D301 - \b keeps the lines of the examples
    # Imported here, because pandas would slow down every other command.
    from har_core.dataset.columns import parse_columns
    from har_core.scale.labels import read_label_table
    from har_core.scale.opened.suspects import find_suspects
    from har_core.scale.opened.table import results_at
    from har_core.storage.spreadsheets import table_csv

    check_outputs([csv_file], [table])
    labels = read_label_table(table, parse_columns(columns))
    with progress_bar() as report:
        found = find_suspects(results_at(results), labels, report)
    if csv_file:
        write_output(csv_file, table_csv(found.suspects))
    if csv_file != "-":
        n = len(found.suspects)
        print(f"{found.judged:,} labels judged, {n:,} of them doubtful")
        for row in found.found.by_class.itertuples():
            if row.suspects:
                print(f"{row.suspects:7,d}  of {row.photographs:,} {row.Index}")
    if found.fitted < found.judged:
        stderr.print(f"Judged by regressions on a sample of {found.fitted:,}.", style="yellow")
    if found.unmatched:
        note = f"{found.unmatched:,} labels are of photographs that are not among these."
        stderr.print(note, style="yellow")
    if len(found.suspects):
        raise typer.Exit(ExitCode.INCOMPLETE)
