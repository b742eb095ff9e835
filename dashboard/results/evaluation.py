"""How good a model is on very many scored photographs whose labels are known."""

from typing import Final

import numpy as np
import streamlit as st

from dashboard import sidebar
from dashboard.charts.ranking import per_class_figure
from dashboard.charts.results import reliability_bars
from dashboard.charts.style import NO_TOOLBAR
from dashboard.results.opening import measured
from dashboard.results.overview import show_overview
from dashboard.results.photos import ScoredPhotos
from dashboard.widgets.confusions import show_confusions
from dashboard.widgets.metric_tiles import show_metric_tiles
from dashboard.widgets.path_field import path_field
from dashboard.widgets.sections import choose_section
from dashboard.wording.metrics import metric_interval, metric_value
from dashboard.wording.names import escape_markdown
from har_core.errors import HarError, some_of
from har_core.scale.opened.labels import JoinedLabels
from har_core.scale.opened.metrics import MassResult
from har_core.scale.opened.table import ResultsTable
from har_core.scale.sources.containers import ADDRESS_HEADINGS
from har_core.wording import counted

LABELS_KEY: Final = "labels"
_SECTIONS: Final = ("Overview", "Confusions", "Confidence", "Answers")
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
    section = choose_section(_SECTIONS, "results_view")
    if section == "Confusions":
        show_confusions(result, _ScoredCells(table, labels, result))
    elif section == "Confidence":
        _show_confidence(result)
    elif section == "Answers":
        show_overview(table)
    else:
        _show_metrics(result)


def _pick_labels() -> str:
    given = path_field(
        "Table of labels",
        key=LABELS_KEY,
        bind="query-params",
        placeholder="/path/to/labels.parquet",
        help="CSV or Parquet on the server, with `label` and one of `sha256`, `uri`, `filename`. "
        "Empty: the labels of the dataset folder, if one is chosen.",
    )
    return given or sidebar.chosen_dataset() or ""


def _show_summary(labels: JoinedLabels, result: MassResult) -> None:
    top1 = result.headline_intervals["top1"]
    st.markdown(
        f"**{metric_value('top1', top1.value)}** right, 95 % interval "
        f"{metric_interval('top1', top1)} :small[· {counted(result.n, 'labelled photograph')} · "
        f"joined by {escape_markdown(labels.key)}]"
    )
    notes = []
    if not labels.by_sha256:
        by_address = labels.key.lower() in ADDRESS_HEADINGS
        notes.append(_BY_ADDRESS if by_address else _BY_NAME)
    left_out = (
        (labels.copies, "with the content of another one"),
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


class _ScoredCells:
    """Of results whose labels are known; see `dashboard.widgets.confusions.CellPhotos`."""

    def __init__(self, table: ResultsTable, labels: JoinedLabels, result: MassResult) -> None:
        self._table, self._labels, self._names = table, labels, result.class_names

    def find(self, label: str | None, prediction: str | None) -> np.ndarray:
        chosen = self._labels.counted
        for column, name in ((self._labels.label, label), (self._table.action, prediction)):
            if name is not None:
                chosen = chosen & (column == self._names.index(name))
        rows = np.flatnonzero(chosen)
        return rows[np.argsort(-self._table.confidence[rows], kind="stable")]

    def show(self, found: np.ndarray) -> None:
        photos = ScoredPhotos(self._table, self._labels.label)
        photos.show(found, key="cell", page_size=12, tile_width=124)

    def first(self, found: np.ndarray) -> dict[str, bytes]:
        return {}  # each may lie in another part, which would be read for it alone
