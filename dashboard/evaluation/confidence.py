"""The section Confidence: calibration, temperature, and when to abstain."""

from typing import Final

import pandas as pd
import streamlit as st

from dashboard.charts.confidence import coverage_figure, reliability_figure
from dashboard.charts.style import NO_TOOLBAR
from dashboard.evaluation import data
from dashboard.evaluation.foreign import show_foreign
from dashboard.evaluation.shown import Shown
from dashboard.widgets.messages import show_failure
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.metrics import (
    abstention_sentence,
    calibration_sentence,
    metric_value,
    scope_sentence,
)
from dashboard.wording.names import escape_markdown, threshold_percent
from har_core.errors import HarError
from har_core.evaluation.answers import store_abstention, store_temperature
from har_core.evaluation.calibration import reliability_bins
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.selective import answer_above, coverage_curve
from har_core.evaluation.store import list_evaluations
from har_core.evaluation.totals import METRIC_TITLES
from har_core.model.manifest import NOVELTY_FILE
from har_core.wording import counted

THRESHOLD_KEY: Final = "threshold"


def show_confidence(shown: Shown) -> None:
    """Draw calibration, temperature, and what a confidence threshold would do."""
    calibration, abstention = st.columns(2, gap="large")
    with calibration:
        st.header("Can its confidence be believed?", anchor=False)
        _show_calibration(shown)
    with abstention:
        st.header("When should it rather not answer?", anchor=False)
        _show_abstention(shown)
    show_foreign(shown)


def _show_calibration(shown: Shown) -> None:
    result, present = shown.result, shown.manifest.temperature
    bins = reliability_bins(result.confidence, result.correct)
    st.markdown(
        calibration_sentence(
            result.confidence.mean(),
            result.correct.mean(),
            bins.calibration_error,
            result.calibration_error_by_chance,
        )
    )
    series = {f"temperature {present:.2f}": bins}
    fitted = _offer_fitted_temperature(shown)
    if fitted is not None:
        after = data.load_recalibrated(shown.folder, shown.evaluation, fitted)
        series[f"temperature {fitted:.2f}"] = reliability_bins(after.confidence, after.correct)
        _show_temperature(shown, fitted, after)
        result = after
    st.plotly_chart(
        reliability_figure(series, result.confidence, result.correct),
        key="reliability",
        config=NO_TOOLBAR,
        alt="Share of right answers against confidence",
    )
    least, most = bins.counts.min(), bins.counts.max()
    more = counted(most, "photograph")
    each = more if least == most else f"{least:,} to {more}"
    st.caption(
        f"{counted(len(bins.counts), 'bin')} of {each}. On the dotted line confidence and "
        "share of right answers agree; below it the model is too sure of itself."
    )


def _offer_fitted_temperature(shown: Shown) -> float | None:
    """Return a temperature fitted on the model's validation split, if it is asked for."""
    if "validation" not in list_evaluations(shown.folder, shown.manifest):
        st.caption(
            "No other temperature can be fitted: the model kept no validation photographs apart."
        )
        return None
    if not st.toggle(
        "Compare with a freshly fitted temperature",
        key="fit_temperature",
        help=GLOSSARY["temperature"],
    ):
        return None
    try:
        return data.fitted_temperature(shown.folder)
    except HarError as error:
        st.info(escape_markdown(str(error)), icon=":material/info:")
        return None


def _show_temperature(shown: Shown, fitted: float, after: EvaluationResult) -> None:
    before = shown.result.totals.headline()
    then = after.totals.headline()
    rows = {
        METRIC_TITLES[name]: [metric_value(name, m[name][0]) for m in (before, then)]
        for name in ("top1", "log_loss", "ece")
    }
    columns = [f"now ({shown.manifest.temperature:.2f})", f"fitted ({fitted:.2f})"]
    st.table(pd.DataFrame(rows, index=columns).T, alt="Metrics before and after")
    if abs(fitted - shown.manifest.temperature) < 0.005:
        st.caption("The model uses the fitted temperature already.")
        return
    st.button(
        f"Use {fitted:.2f} from now on",
        key="store_temperature",
        icon=":material/thermostat:",
        on_click=_store_temperature,
        args=(shown, fitted),
        help="Stores it in the model: the Predict page and the REST API then give the calibrated "
        "probabilities. Which action comes first never changes.",
    )


def _store_temperature(shown: Shown, temperature: float) -> None:
    try:
        store_temperature(shown.folder, temperature)
    except HarError as error:
        show_failure(error)


@st.fragment
def _show_abstention(shown: Shown) -> None:
    result, present = shown.result, shown.manifest.rules.abstain_below
    threshold = st.slider(
        "Answer only from this confidence on",
        0.0,
        1.0,
        0.5,
        0.01,
        format="percent",
        key=THRESHOLD_KEY,
        bind="query-params",
    )
    confidence, correct, in_scope = result.confidence, result.correct, result.in_scope
    coverage, accuracy = answer_above(confidence, correct, threshold, in_scope)
    st.markdown(f"**{abstention_sentence(threshold, coverage, accuracy)}**")
    alone = None if in_scope is None else coverage_curve(confidence, correct)
    st.plotly_chart(
        coverage_figure(coverage_curve(confidence, correct, in_scope), coverage, accuracy, alone),
        key="coverage",
        config=NO_TOOLBAR,
        alt="Accuracy among the answered photographs against their share",
    )
    st.caption(
        "Photographs in order of confidence, the surest first. Further left the model answers less "
        "and errs less."
    )
    st.caption(
        scope_sentence(
            confidence, in_scope, threshold, can_tell=NOVELTY_FILE in shown.manifest.files
        )
    )
    says = (
        f"Now it abstains below {threshold_percent(present)}"
        if present
        else "Now it always answers"
    )
    if abs(threshold - present) < 0.005:
        st.caption(f"{says}, on the Predict page, in REST and on the command line.")
        return
    st.button(
        f"Let it abstain below {threshold_percent(threshold)}"
        if threshold
        else "Let it always answer",
        key="store_abstention",
        icon=":material/pan_tool:",
        on_click=_store_abstention,
        args=(shown, threshold),
        help=f"{says}. Stored in the model: the Predict page, REST and the command line obey it.",
    )


def _store_abstention(shown: Shown, threshold: float) -> None:
    try:
        store_abstention(shown.folder, threshold)
    except HarError as error:
        show_failure(error)
        return
    st.rerun()  # the whole page: all of it shows the model
