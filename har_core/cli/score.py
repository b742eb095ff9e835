"""`score`: a model's answers for more photographs than fit one process, on one machine or many."""

from typing import TYPE_CHECKING, Annotated

import typer

from har_core.cli.exit_codes import ExitCode
from har_core.cli.options import (
    AddressOption,
    ColumnOption,
    Engine,
    EngineOption,
    ModelOption,
    WorkersOption,
)
from har_core.cli.terminal import progress_bar, stderr

if TYPE_CHECKING:
    from har_core.scale.status import JobStatus

app = typer.Typer()


@app.command()
def score(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
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
    """  # noqa: D301 - \b keeps the lines of the examples
    # Imported here, because pyarrow would slow down every other command.
    from har_core.scale.scoring import score as run

    try:
        with progress_bar() as report:
            status = run(
                sources,
                to,
                model=model,
                engine=engine.value,
                address=address,
                workers=workers,
                with_features=features,
                column=column,
                progress=report,
            )
    except KeyboardInterrupt:
        stderr.print("Interrupted. What was scored is kept; the same command goes on from there.")
        raise typer.Exit(ExitCode.UNUSABLE) from None
    _print_summary(status, to)
    if status.errors:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _print_summary(status: "JobStatus", to: str) -> None:
    if status.answered:
        print(f"{status.answered:,} of {status.listed:,} photographs had been scored before.")
    if status.total:
        rate = f", {status.total / status.elapsed_s:,.1f} a second" if status.elapsed_s else ""
        print(f"{status.total:,} photographs scored by {status.model}{rate}.")
    if status.errors:
        print(f"{status.errors:,} of them cannot be used; the column 'error' says why.")
    print(f"Results: {to}")
