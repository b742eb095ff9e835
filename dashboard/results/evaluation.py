"""How good a model is on very many scored photographs whose labels are known."""

from typing import Final

import numpy as np
import streamlit as st

from dashboard import sidebar
from dashboard.charts.confusion import confusion_figure
from dashboard.charts.ranking import per_class_figure
from dashboard.charts.results import reliability_bars
from dashboard.charts.style import NO_TOOLBAR
from dashboard.results.opening import measured
from dashboard.results.overview import show_overview
from dashboard.results.photos import ScoredPhotos
from dashboard.widgets.confused import confused_pair
from dashboard.widgets.metric_tiles import show_metric_tiles
from dashboard.wording.metrics import cell_title, metric_interval, metric_value
from dashboard.wording.names import escape_markdown
from har_core.errors import HarError, some_of
from har_core.evaluation.confusion import Share, most_confused_pairs, similarity_order
from har_core.scale.opened.labels import JoinedLabels
from har_core.scale.opened.metrics import MassResult
from har_core.scale.opened.table import ResultsTable
from har_core.scale.sources.containers import ADDRESS_HEADINGS

LABELS_KEY: Final = "labels"
_CELL: Final = "results_cell"
_SECTIONS: Final = ("Overview", "Confusions", "Confidence", "Answers")
_SIDE_BY_SIDE_UP_TO: Final = 20
_MOST_UNKNOWN: Final = 5
_BY_ADDRESS: Final = "By path: a file that was replaced since would keep its label."
_BY_NAME: Final = (
    "**By filename**, which tells no photograph from another of the same name; a column `sha256` "
    "would."
)


def show_evaluation(table: ResultsTable) -> None:
    """Draw the metrics where labels are known, else the distributions of the answers."""
    source = _pick_labels()
    if not source:
        st.info(
            "Without labels nothing says which answers are right. Name a table of labels above, or "
            "the dataset folder in the sidebar; this is what the model said.",
            icon=":material/label_off:",
        )
        show_overview(table)
        return
    try:
        labels, result, seen_before = measured(table, source)
    except HarError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        show_overview(table)
        return
    _show_summary(labels, result)
    if seen_before:
        st.warning(seen_before, icon=":material/warning:")
    section = st.segmented_control(
        "Section",
        _SECTIONS,
        default="Overview",
        required=True,
        key="results_view",
        bind="query-params",
        label_visibility="collapsed",
    )
    if section == "Confusions":
        _show_confusions(table, labels, result)
    elif section == "Confidence":
        _show_confidence(result)
    elif section == "Answers":
        show_overview(table)
    else:
        _show_metrics(result)


def _pick_labels() -> str:
    given = st.text_input(
        "Table of labels",
        key=LABELS_KEY,
        bind="query-params",
        placeholder="/path/to/labels.parquet",
        help="CSV or Parquet on the server, with `label` and one of `sha256`, `uri`, `filename`. "
        "Empty: the labels of the dataset folder, if one is chosen.",
    ).strip()
    return given or sidebar.chosen_dataset() or ""


def _show_summary(labels: JoinedLabels, result: MassResult) -> None:
    top1 = result.headline_intervals["top1"]
    st.markdown(
        f"**{metric_value('top1', top1.value)}** right, 95 % interval "
        f"{metric_interval('top1', top1)} :small[· {result.n:,} labelled photographs · joined by "
        f"{escape_markdown(labels.key)}]"
    )
    notes = []
    if not labels.by_sha256:
        by_address = labels.key.lower() in ADDRESS_HEADINGS
        notes.append(_BY_ADDRESS if by_address else _BY_NAME)
    left_out = (
        (labels.copies, "copies of another photograph"),
        (labels.unanswered, "without an answer"),
        (labels.ambiguous, "whose name another one has"),
        (labels.contradicted, "with several labels"),
        (labels.unmatched, "not among the results"),
    )
    told = [f"{n:,} {why}" for n, why in left_out if n]
    if told:
        notes.append(f"Left out: {', '.join(told)}.")
    if labels.unknown_labels:
        names = some_of(map(escape_markdown, labels.unknown_labels), _MOST_UNKNOWN)
        notes.append(f"Labels that are no class of the model are left out: {names}.")
    if notes:
        st.caption("  \n".join(notes))


def _show_metrics(result: MassResult) -> None:
    show_metric_tiles(result.headline_intervals)
    st.caption(
        "Under each value its 95 % interval, a bootstrap over photographs. Near duplicates are not "
        "known in such results: where there are many, the intervals are too narrow."
    )
    st.header("How each class fares", anchor=False)
    st.plotly_chart(
        per_class_figure(result.per_class),
        key="results_per_class",
        config=NO_TOOLBAR,
        alt="F1 score of every class with its interval",
    )


def _show_confidence(result: MassResult) -> None:
    ece = result.headline_intervals["ece"]
    st.markdown(
        f"The expected calibration error is **{metric_value('ece', ece.value)}**, 95 % interval "
        f"{metric_interval('ece', ece)}."
    )
    st.plotly_chart(
        reliability_bars(result.bins),
        key="results_reliability",
        config=NO_TOOLBAR,
        alt="Share of right answers by confidence",
    )
    st.caption("Fifteen groups of equally many photographs.")


def _show_confusions(table: ResultsTable, labels: JoinedLabels, result: MassResult) -> None:
    names = result.class_names
    if len(names) <= _SIDE_BY_SIDE_UP_TO:
        left, right = st.columns([7, 4], gap="medium")
    else:
        left, right = st.container(), st.container()
    cell = _chosen_cell(names)
    with left:
        share: Share = st.segmented_control(
            "Cells show",
            ["count", "row", "column"],
            default="row",
            required=True,
            key="results_cells",
            format_func={
                "count": "photographs",
                "row": "% of true class",
                "column": "% of answers",
            }.__getitem__,
        )
        st.plotly_chart(
            confusion_figure(
                result.confusion,
                names,
                share=share,
                order=similarity_order(result.confusion),
                selected=cell,
                on_dark=st.context.theme.type == "dark",
            ),
            key="results_confusion",
            on_select=_choose_clicked_cell,
            selection_mode="points",
            config=NO_TOOLBAR,
            alt="Confusion matrix: photographs by true and predicted class",
        )
        st.caption(
            "Rows are true classes, columns what the model said. Click a cell to see its "
            "photographs."
        )
    with right:
        if cell is None:
            _show_pairs(result)
        else:
            _show_cell(table, labels, names, cell)


def _chosen_cell(names: tuple[str, ...]) -> tuple[str, str] | None:
    cell = st.session_state.get(_CELL)
    return cell if cell is not None and set(cell) <= set(names) else None


def _choose_cell(cell: tuple[str, str] | None) -> None:
    st.session_state[_CELL] = cell


def _choose_clicked_cell() -> None:
    points = st.session_state["results_confusion"]["selection"]["points"]
    if points:
        _choose_cell(tuple(points[0]["customdata"][:2]))


def _show_pairs(result: MassResult) -> None:
    st.header("Most confused", anchor=False)
    pairs = most_confused_pairs(result.confusion, result.class_names, limit=8)
    if pairs.empty:
        st.caption("The model makes no mistake on these photographs.")
    for rank, pair in enumerate(pairs.itertuples()):
        with st.container(border=True, gap="xsmall"):
            n = int(pairs["count"].iloc[rank])
            args = ((pair.label, pair.prediction),)
            confused_pair(pair, n, f"results_pair_{rank}", _choose_cell, args)


def _show_cell(
    table: ResultsTable, labels: JoinedLabels, names: tuple[str, ...], cell: tuple[str, str]
) -> None:
    label, prediction = (names.index(name) for name in cell)
    rows = np.flatnonzero(labels.counted & (labels.label == label) & (table.action == prediction))
    rows = rows[np.argsort(-table.confidence[rows], kind="stable")]
    st.button(
        f"{escape_markdown(cell_title(*cell))} · {len(rows):,}",
        key="results_clear_cell",
        icon=":material/close:",
        icon_position="right",
        on_click=_choose_cell,
        args=(None,),
        help="Remove this filter",
    )
    if len(rows):
        ScoredPhotos(table, labels.label).show(rows, key=f"cell {cell}", tile_width=124)
    else:
        st.caption("No photographs.")
