"""The commands ``evaluate`` and ``compare``."""

import shlex
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from har_core.cli.datasets import (
    CleanedOption,
    ColumnsOption,
    OldTableOption,
    TableOption,
    as_measured,
    check_outputs,
    is_dataset_not_results,
    read_dataset,
    table_in,
)
from har_core.cli.exit_codes import ExitCode
from har_core.cli.options import ModelOption, OptionalDatasetOption, labels_option
from har_core.cli.terminal import (
    ended_by_interrupt,
    make_table,
    progress_bar,
    stderr,
    stdout,
    write_output,
)
from har_core.errors import HarError
from har_core.model import bundle
from har_core.model.loading import find_model, find_model_or_trial, load_model
from har_core.storage.names import one_line
from har_core.storage.paths import exists
from har_core.storage.spreadsheets import table_csv
from har_core.wording import are, counted

if TYPE_CHECKING:
    from har_core.dataset.table import Dataset
    from har_core.evaluation.comparison import Comparison
    from har_core.evaluation.store import Evaluation

ReportRenderer = Callable[["Evaluation", list[str], Callable[[str], bytes | None]], str]
REPORT_RENDERERS: Final = "har_core.report_renderers"
_LISTED: Final = 20  # rows left out, so that thousands do not flood the terminal

app = typer.Typer()

SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="Only the photographs of a split, train, validation or test: that which the dataset's "
        "folders say, else which the (first) model records. Default: every row of the table.",
    ),
]


def _refuse_others(named: str | None) -> str | None:
    """Tell who names a model or a folder of photographs how these are named."""
    if named and is_dataset_not_results(named):
        raise HarError(
            f"{named} holds no results of 'har score'. To run a model on a dataset's folder: "
            f"har evaluate --dataset {shlex.quote(named)}"
        )
    if named in {entry.name for entry in bundle.list_bundles()} and not exists(named):
        raise HarError(
            f"{named} is a model, not results of 'har score'. To run it: "
            f"har evaluate --model {named} --dataset DATASET"
        )
    return named


@app.command()
def evaluate(
    results: Annotated[
        str | None,
        typer.Argument(
            metavar="[RESULTS]",
            help="Answers of 'har score', which are measured by the labels of --table or of the "
            "--dataset; without it the model is run.",
            is_eager=True,  # before what else is missing
            callback=_refuse_others,
        ),
    ] = None,
    dataset: OptionalDatasetOption = None,
    model: ModelOption = None,
    table: Annotated[
        str | None,
        labels_option(
            "Table to use instead of DATASET/train.csv; of RESULTS: labels by sha256, path, URI or "
            "base name."
        ),
    ] = None,
    old_table: OldTableOption = None,
    columns: ColumnsOption = None,
    split: SplitOption = None,
    cleaned: CleanedOption = False,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="HTML report that opens without a network.")
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="[FILE]", help="Metrics, to a file or stdout.")
    ] = None,
    predictions: Annotated[
        str | None, typer.Option(metavar="FILE", help="CSV with every photograph's probabilities.")
    ] = None,
) -> None:
    """Measure a model on labelled photographs, with 95 % bootstrap intervals.

    Exit code 0: every row was evaluated; 1: some rows were left out; 2: nothing could be done.

    \b
    har evaluate --dataset DataSet --split test
    har evaluate --model mine --dataset DataSet --report report.html
    har evaluate results/ --table labels.csv --json metrics.json
    """
    from har_core.evaluation.documents import metrics_json

    if results is not None:
        if report or predictions or cleaned:
            raise typer.BadParameter(
                "of RESULTS there is no --report, no --predictions and no --cleaned."
            )
        _evaluate_results(results, dataset, table or old_table, columns, split, model, json_file)
        return
    if dataset is None:
        raise typer.BadParameter("name the --dataset, or the RESULTS of 'har score'.")
    render = _report_renderer() if report else None
    read = read_dataset(dataset, table, old_table, columns)
    check_outputs((json_file, predictions, report), [find_model(model)], read)
    read = as_measured(read, cleaned=cleaned)
    evaluation, warnings = _run(model, read, split, cleaned=cleaned)
    result = evaluation.result
    if json_file:
        write_output(json_file, metrics_json(evaluation, warnings))
    if predictions:
        write_output(predictions, table_csv(result.predictions_table()))
    if report and render:
        write_output(report, render(evaluation, warnings, _thumbnails_of(read)))
    if "-" not in (json_file, predictions, report):
        _print_metrics(evaluation)
    _print_caveats(evaluation.model, warnings)
    if len(evaluation.skipped):
        for row in evaluation.skipped.head(_LISTED).itertuples():
            stderr.print(f"{one_line(row.filename)}: {row.reason}", style="red")
        if (more := len(evaluation.skipped) - _LISTED) > 0:
            stderr.print(f"… and {more:,} more", style="red")
        raise typer.Exit(ExitCode.INCOMPLETE)


def _evaluate_results(
    location: str,
    dataset: Path | None,
    table: str | Path | None,
    columns: str | None,
    split: str | None,
    model: str | None,
    json_file: str | None,
) -> None:
    from har_core.dataset.columns import parse_columns
    from har_core.evaluation.documents import metrics_json
    from har_core.scale.analyses import followed
    from har_core.scale.evaluating import evaluate_results
    from har_core.scale.results import Results

    if table is None and dataset is None:
        raise typer.BadParameter("name the --table of the labels, or the --dataset.")
    labels = table or table_in(dataset or Path(), columns)
    check_outputs([json_file], [labels])
    results = Results(location)
    with (
        ended_by_interrupt("Interrupted; nothing is kept of it."),
        progress_bar() as bar,
        followed(results, "evaluate", labels, bar) as analysis,
    ):
        evaluation, warnings = evaluate_results(
            results,
            labels,
            columns=parse_columns(columns),
            split=split,
            model=model,
            progress=analysis.report,
        )
        analysis.report("Computing intervals", 0, 1)
        analysis.status.found = _found(evaluation)
    if json_file:
        write_output(json_file, metrics_json(evaluation, warnings))
    if json_file != "-":
        _print_metrics(evaluation)
    _print_caveats(evaluation.model, warnings)
    if len(evaluation.skipped):
        raise typer.Exit(ExitCode.INCOMPLETE)


def _found(evaluation: "Evaluation") -> str:
    from har_core.evaluation.totals import METRIC_TITLES

    result = evaluation.result
    name, top_1 = next(iter(result.headline_intervals.items()))
    return (
        f"{METRIC_TITLES[name]} {top_1.value:.1%} ({top_1.low:.1%} to {top_1.high:.1%}) on "
        f"{counted(result.n, 'photograph')}."
    )


@app.command()
def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="A B…",
            help="Bundle names, those on trial included, or paths; the first is the baseline.",
        ),
    ],
    dataset: OptionalDatasetOption = None,
    table: TableOption = None,
    old_table: OldTableOption = None,
    columns: ColumnsOption = None,
    split: SplitOption = None,
    cleaned: CleanedOption = False,
    verdict: Annotated[
        bool,
        typer.Option(
            "--verdict",
            help="Is the second one better? By the predictions that both record of the test "
            "photographs that neither has learned from; needs no dataset.",
        ),
    ] = False,
) -> None:
    """Compare models on the same photographs: paired differences and a permutation test.

    Exit codes as of evaluate.

    \b
    har compare old new --dataset DataSet --split test
    har compare old new --verdict
    """
    if len(models) < 2:
        raise typer.BadParameter("name at least two models to compare.")
    if len(set(models)) != len(models):
        raise typer.BadParameter("the models must differ.")
    if verdict:
        if table or old_table or columns or split or cleaned:
            raise typer.BadParameter(
                "--verdict goes by the predictions that the models record; leave out --split, "
                "--cleaned and the options of tables."
            )
        _print_verdict(models)
        return
    if dataset is None:
        raise typer.BadParameter("name the --dataset, or ask for the --verdict.")
    # Says that there is none before the others are run.
    folders = {name: str(find_model_or_trial(name)) for name in models}
    from har_core.evaluation.comparison import compare_models

    evaluations: dict[str, Evaluation] = {}
    read = as_measured(read_dataset(dataset, table, old_table, columns), cleaned=cleaned)
    first = folders[models[0]]
    for name, folder in folders.items():
        evaluations[name], warnings = _run(folder, read, split, splits_of=first, cleaned=cleaned)
        _print_caveats(name, warnings)
    comparison = compare_models({name: e.result for name, e in evaluations.items()})
    _print_comparison(comparison)
    if any(len(e.skipped) for e in evaluations.values()):
        raise typer.Exit(ExitCode.INCOMPLETE)


def _run(
    model: str | None,
    dataset: "Dataset",
    split: str | None,
    *,
    splits_of: str | None = None,
    cleaned: bool = False,
) -> tuple["Evaluation", list[str]]:
    from har_core.dataset.splits import rows_of_own_split
    from har_core.dataset.table import load_dataset
    from har_core.evaluation.caveats import caveats
    from har_core.evaluation.run import evaluate_dataset
    from har_core.model.records import (
        missing_of_split,
        read_lineage,
        rows_of_split,
        unrecorded_ancestors,
    )

    loaded, folder = load_model(model), find_model(model)
    table, notes = load_dataset(dataset), []
    with progress_bar() as report:
        if split and "split" in table:
            table = rows_of_own_split(table, split)
            split = str(table["split"].iloc[0])  # not a variant of its name, such as val
        elif split:
            recorded_by = find_model(splits_of) if splits_of else folder
            table = rows_of_split(table, recorded_by, split, report)
            missing, recorded = missing_of_split(table, recorded_by, split)
            if missing:
                notes.append(
                    f"{missing:,} of the {counted(recorded, 'photograph')} of {recorded_by.name}'s "
                    f"{split} split {are(missing)} not in this dataset"
                    + (" as the review left it." if cleaned else ".")
                )
        evaluation = evaluate_dataset(
            loaded,
            table,
            name=split or "all",
            folder=str(dataset.folder),
            progress=lambda done, total: report(f"Evaluating {loaded.name}", done, total),
        )
    splits, unrecorded = read_lineage(folder), unrecorded_ancestors(folder)
    return evaluation, notes + caveats(evaluation, loaded.manifest, splits, unrecorded)


def _thumbnails_of(dataset: "Dataset") -> Callable[[str], bytes | None]:
    from har_core.images.thumbnails import thumbnail

    table = dataset.rows.dropna(subset="path")
    paths = dict(zip(table["filename"], table["path"], strict=True))
    return lambda filename: thumbnail(paths[filename]) if filename in paths else None


def _report_renderer() -> ReportRenderer:
    """Return the renderer that the dashboard registers; this package draws nothing itself."""
    for entry_point in entry_points(group=REPORT_RENDERERS):
        return entry_point.load()
    raise HarError("--report needs the installed dashboard; run 'make install' or leave it out.")


def _print_metrics(evaluation: "Evaluation") -> None:
    from har_core.evaluation.totals import METRIC_TITLES

    result = evaluation.result
    table = make_table("metric", "value", "95 % interval")
    for name, interval in result.headline_intervals.items():
        table.add_row(
            METRIC_TITLES[name],
            f"{interval.value:.4f}",
            f"{interval.low:.4f} – {interval.high:.4f}",
        )
    console = stdout()
    console.print(f"{evaluation.model} on {counted(result.n, 'photograph')}")
    console.print(table)


def _print_caveats(model: str, warnings: list[str]) -> None:
    for warning in warnings:
        stderr.print(f"{model}: {warning}", style="yellow")


def _print_verdict(models: list[str]) -> None:
    if len(models) != 2:
        raise typer.BadParameter("a verdict is about two models.")
    from har_core.training.verdict import judge_models

    old, new = map(find_model_or_trial, models)
    found = judge_models(old, new)
    print(found.sentence)
    if found.n_relabelled:
        other = old.name if found.labels == new.name else new.name
        print(
            f"{found.whose_labels} By those for {other}: "
            f"{judge_models(old, new, labels=other).sentence} Where only labels that a model "
            "contradicts are corrected, it looks better than it is."
        )
    _print_comparison(found.comparison)


def _print_comparison(comparison: "Comparison") -> None:
    from har_core.evaluation.comparison import SEVERAL_TESTS
    from har_core.evaluation.totals import METRIC_TITLES

    first, *others = comparison.results
    console = stdout()
    console.print(
        f"{counted(comparison.results[first].n, 'photograph')} that every model was evaluated on"
    )
    for name in others:
        table = make_table("metric", first, name, "difference", "95 % interval")
        for metric, title in METRIC_TITLES.items():
            difference = comparison.differences[name][metric]
            table.add_row(
                title,
                f"{comparison.results[first].headline_intervals[metric].value:.4f}",
                f"{comparison.results[name].headline_intervals[metric].value:.4f}",
                f"{difference.value:+.4f}",
                f"{difference.low:+.4f} – {difference.high:+.4f}",
            )
        console.print(table)
        console.print(comparison.tests[name].describe(first, name))
    if len(others) > 1:
        console.print(SEVERAL_TESTS)
