"""The head of the Evaluation page, its files to download, and the section Overview."""

from collections.abc import Callable

import streamlit as st

from dashboard.charts.ranking import per_class_figure
from dashboard.charts.style import NO_TOOLBAR
from dashboard.evaluation.confusions import show_confused_pairs
from dashboard.evaluation.report import render_report
from dashboard.evaluation.shown import Shown
from dashboard.widgets.metric_tiles import show_metric_tiles
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.metrics import metric_interval, metric_value, what_was_measured
from dashboard.wording.names import escape_markdown
from har_core.evaluation.documents import metrics_json
from har_core.storage.spreadsheets import table_csv


def show_summary(shown: Shown) -> None:
    """Say in one line what was measured, and how well the model did."""
    top1 = shown.result.headline_intervals["top1"]
    st.markdown(
        f"**{metric_value('top1', top1.value)}** right, 95 % interval "
        f"{metric_interval('top1', top1)} "
        f":small[· {escape_markdown(what_was_measured(shown.evaluation))}]"
    )


def show_overview(shown: Shown) -> None:
    """Draw the headline metrics, how each class fares, and what the model confuses."""
    show_metric_tiles(shown.result.headline_intervals)
    st.caption(
        "Under each value its 95 % interval: a bootstrap over near-duplicate groups.",
        help=f"{GLOSSARY['bootstrap']} {GLOSSARY['near-duplicate group']}",
    )
    st.header("How each class fares", anchor=False)
    st.plotly_chart(
        per_class_figure(shown.result.per_class()),
        key="per_class",
        config=NO_TOOLBAR,
        alt="F1 score of every class with its interval",
    )
    show_confused_pairs(shown)


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
