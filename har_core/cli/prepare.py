"""What makes a dataset ready: `unpack` photographs inside tables, `merge-labels`."""

import shutil
import tempfile
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from har_core.cli.datasets import ColumnsOption, TableOption, check_outputs, read_dataset
from har_core.cli.options import DatasetOption
from har_core.cli.terminal import ended_by_interrupt, progress_bar, stderr, write_output
from har_core.errors import DatasetError
from har_core.storage.paths import exists
from har_core.wording import counted

app = typer.Typer()


@app.command()
def unpack(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of Parquet tables.")],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Dataset's folder to write.")],
) -> None:
    """Write the photographs inside Parquet tables as files, with their labels in train.csv.

    Reads what the library datasets of Hugging Face writes: pictures in a column of
    bytes, classes as numbers with their names, splits in the tables' names.

    \b
    har unpack hub/my-dataset --output DataSet
    """
    from har_core.dataset.embedded import tables_with_photographs, unpack_photographs
    from har_core.dataset.files import find_dataset
    from har_core.dataset.table import open_dataset

    if exists(output):
        raise DatasetError(f"{output} exists already; name a new folder.")
    tables = tables_with_photographs(find_dataset(folder))
    if not tables:
        raise DatasetError(f"No Parquet table in {folder} holds photographs.")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # It appears whole or not at all.
        staging = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=output.parent))
        try:
            with ended_by_interrupt("Interrupted; nothing is written."), progress_bar() as report:
                unpack_photographs(tables, staging, progress=report)
            n_rows = len(open_dataset(staging).rows)
            staging.chmod(0o755)
            staging.rename(output)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise DatasetError(f"Cannot write {output}: {error.strerror or error}.") from error
    stderr.print(f"Wrote {output}: {counted(n_rows, 'row')}.")


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
    """
    from har_core.dataset.decisions import labels_csv
    from har_core.dataset.slips import find_label_slips, suggest_spellings

    read = read_dataset(dataset, table, columns=columns)
    check_outputs([output], dataset=read, is_table=True)
    variants = find_label_slips(read.table).variants
    merged = read.table.assign(
        label=read.table["label"].map(suggest_spellings(read.table["label"]))
    )
    write_output(output, labels_csv(merged, read.columns))
    for row in variants.itertuples():
        stderr.print(f"{row.label!r} is now {row.suggested!r} ({counted(row.rows, 'row')})")
    if not len(variants):
        stderr.print("Every label is spelled in one way already.")
    if columns:
        stderr.print(f"Its headings are as they were: read it with --columns {quote(columns)}")
