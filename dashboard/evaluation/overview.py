"""The head of the evaluation page: what is shown, headline metrics, files to take away."""

import json
from collections.abc import Callable

import streamlit as st

from dashboard.evaluation.report import render_report
from dashboard.evaluation.shown import Shown
from dashboard.wording.metrics import METRIC_MEANINGS, METRIC_TITLES, metric_interval, metric_value
from har_core.evaluation.result import EvaluationResult
from har_core.storage.spreadsheets import table_csv


def show_headline(result: EvaluationResult) -> None:
    """Draw the five headline metrics with intervals; tooltips say what each means."""
    with st.grid(5, min_column_width=150, gap="small"):
        for name, interval in result.headline_intervals.items():
            st.metric(
                METRIC_TITLES[name],
                metric_value(name, interval.value),
                metric_interval(name, interval),
                delta_color="off",
                delta_arrow="off",
                help=METRIC_MEANINGS[name],
                border=True,
            )
    st.caption(
        "Under each value its 95 % interval: a bootstrap over groups of near-duplicate photographs."
    )


def show_downloads(shown: Shown, caveats: list[str]) -> None:
    """Offer the report, the metrics and the predictions as files, made when asked for."""
    stem = f"{shown.manifest.name}_{shown.evaluation.name}"
    files: tuple[tuple[str, str, str, Callable[[], str]], ...] = (
        (
            "Report (HTML, opens offline)",
            "report.html",
            "text/html",
            lambda: render_report(shown.evaluation, caveats),
        ),
        (
            "Metrics (JSON)",
            "metrics.json",
            "application/json",
            lambda: metrics_json(shown),
        ),
        (
            "Predictions (CSV)",
            "predictions.csv",
            "text/csv",
            lambda: table_csv(shown.result.predictions_table()),
        ),
    )
    with st.popover("Take it away", icon=":material/download:"):
        for label, suffix, mime, make in files:
            st.download_button(
                label,
                make,
                file_name=f"{stem}_{suffix}",
                mime=mime,
                on_click="ignore",
                width="stretch",
            )


def metrics_json(shown: Shown) -> str:
    """Return the metrics of an evaluation as JSON, with the fields of the command line's file."""
    body = {
        "model": shown.manifest.name,
        "evaluation": shown.evaluation.name,
        "created": shown.evaluation.created,
        "temperature": shown.manifest.temperature,
        **shown.result.metrics(),
        "skipped": shown.evaluation.skipped.to_dict("records"),
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"
