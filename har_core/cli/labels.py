"""`merge-labels`: one spelling for each label of a table."""

from typing import Annotated

import typer

from har_core.cli.datasets import ColumnsOption, TableOption, check_outputs, read_dataset
from har_core.cli.options import DatasetOption
from har_core.cli.terminal import stderr, write_output

app = typer.Typer()


@app.command("merge-labels")
def merge_labels(
    dataset: DatasetOption,
    output: Annotated[str, typer.Option(metavar="FILE", help="Table to write, or - for stdout.")],
    table: TableOption = None,
    columns: ColumnsOption = None,
) -> None:
    """Write a table in which labels that differ only in spelling are one.

    Labels count as the same when they agree but for capital letters, spaces, hyphens and
    underscores; the most frequent spelling is kept. The table that is read stays as it is.

    \b
    har merge-labels --dataset DataSet --output DataSet/merged.csv
    har train --dataset DataSet --table DataSet/merged.csv --name mine
    """  # noqa: D301 - \b keeps the lines of the examples
    from har_core.dataset.decisions import labels_csv
    from har_core.dataset.slips import find_label_slips, suggest_spellings

    read = read_dataset(dataset, table, columns=columns)
    check_outputs([output], dataset=read)
    variants = find_label_slips(read.table).variants
    merged = read.table.assign(
        label=read.table["label"].map(suggest_spellings(read.table["label"]))
    )
    write_output(output, labels_csv(merged))
    for row in variants.itertuples():
        stderr.print(
            f"{row.label!r} is now {row.suggested!r} ({row.rows:,} rows)",
            markup=False,
            soft_wrap=True,
        )
    if not len(variants):
        stderr.print("Every label is spelled in one way already.")
