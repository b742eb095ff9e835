"""The head of the Evaluation page, its files to download, and the section Overview."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from dashboard.charts.ranking import per_class_figure
from dashboard.charts.style import NO_TOOLBAR
from dashboard.evaluation.confusions import open_cell, show_confused_pairs
from dashboard.evaluation.report import render_report
from dashboard.evaluation.shown import Shown
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.metrics import (
    METRIC_MEANINGS,
    metric_interval,
    metric_value,
    what_was_measured,
)
from dashboard.wording.names import escape_markdown
from har_core.evaluation.documents import metrics_json
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.totals import METRIC_TITLES
from har_core.storage.spreadsheets import table_csv

# The field's short word for what would not fit; the tooltip has the long one.
_TILE_TITLES: Final = METRIC_TITLES | {"ece": "ECE"}
_TILE_HELP: Final = METRIC_MEANINGS | {"ece": f"{METRIC_TITLES['ece']}. {METRIC_MEANINGS['ece']}"}


def show_summary(shown: Shown) -> None:
    """Say in one line what was measured, and how well the model did."""
    top1 = shown.result.headline_intervals["top1"]
    st.markdown(
        f"**{metric_value('top1', top1.value)}** right, 95 % interval "
        f"{metric_interval('top1', top1)} "
        f":small[· {escape_markdown(what_was_measured(shown.evaluation))}]"
    )


def show_overview(shown: Shown) -> None:
    """Draw the headline metrics, what the model confuses, and how each class fares."""
    show_headline(shown.result)
    classes, pairs = st.columns([7, 4], gap="medium")
    with classes:
        st.markdown("## How each class fares")
        st.plotly_chart(
            per_class_figure(shown.result.per_class()),
            key="per_class",
            config=NO_TOOLBAR,
            alt="Precision and recall of every class",
        )
    with pairs:
        show_confused_pairs(shown, open_cell)


def show_headline(result: EvaluationResult) -> None:
    """Draw the five headline metrics with intervals; tooltips say what each means."""
    with st.grid(5, min_column_width=150, gap="small"):
        for name, interval in result.headline_intervals.items():
            st.metric(
                _TILE_TITLES[name],
                metric_value(name, interval.value),
                metric_interval(name, interval),
                delta_color="off",
                delta_arrow="off",
                help=_TILE_HELP[name],
                border=True,
            )
    st.caption(
        "Under each value its 95 % interval: a bootstrap over near-duplicate groups.",
        help=f"{GLOSSARY['bootstrap']} {GLOSSARY['near-duplicate group']}",
    )


def show_downloads(shown: Shown, caveats: list[str]) -> None:
    """Offer the report, the metrics and the predictions as files, made when asked for."""
    stem = f"{shown.manifest.name}_{shown.evaluation.name}"
    files: tuple[tuple[str, str, str, Callable[[], str]], ...] = (
        (
            "Report (HTML, opens offline)",
            "report.html",
            "text/html",
            lambda: render_report(shown.evaluation, caveats, shown.thumbnail_of),
        ),
        (
            "Metrics (JSON)",
            "metrics.json",
            "application/json",
            lambda: metrics_json(shown.evaluation, caveats),
        ),
        (
            "Predictions (CSV)",
            "predictions.csv",
            "text/csv",
            lambda: table_csv(shown.result.predictions_table()),
        ),
    )
    with st.popover("Download", icon=":material/download:"):
        for label, suffix, mime, make in files:
            st.download_button(
                label,
                make,
                file_name=f"{stem}_{suffix}",
                mime=mime,
                on_click="ignore",
                width="stretch",
            )
