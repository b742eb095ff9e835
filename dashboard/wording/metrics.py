"""What the numbers of an evaluation mean, in one sentence each."""

from typing import Final

import numpy as np
import pandas as pd

from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.names import counted_share, name_in_text, threshold_percent
from har_core.evaluation.bootstrap import Interval
from har_core.evaluation.store import BUNDLE_SPLITS, Evaluation
from har_core.wording import counted

METRIC_MEANINGS: Final = {
    "top1": "The share of photographs whose most likely action is the true one.",
    "top3": "The share of photographs whose true action is among the three most likely ones.",
    "macro_f1": GLOSSARY["macro F1"],
    "log_loss": "How surprised the model is by the true action, on average; 0 is perfect, and "
    "confident mistakes cost most.",
    "ece": GLOSSARY["expected calibration error"] + " 15 bins of equally many photographs.",
}
_ROUNDED_AWAY: Final = 0.0005  # a gap that one decimal of a percentage does not show
_SHARES: Final = ("top1", "top3", "macro_f1", "ece")


def metric_value(name: str, value: float) -> str:
    """Return a metric as a percentage, or the log loss as a number."""
    return f"{value:.1%}".replace("%", "\N{NO-BREAK SPACE}%") if name in _SHARES else f"{value:.3f}"


def metric_interval(name: str, interval: Interval) -> str:
    """Return the ends of a 95 % interval."""
    if name in _SHARES:
        return f"{100 * interval.low:.1f} – {100 * interval.high:.1f}\N{NO-BREAK SPACE}%"
    return f"{interval.low:.3f} – {interval.high:.3f}"


def class_metric(table: pd.DataFrame, name: str) -> pd.Series:
    """Return a metric of every class from `EvaluationResult.per_class`, NaN where undefined."""
    return table[name].where(table[f"{name}_low"].notna())


def class_share(share: float) -> str:
    """Return a share as a percentage, or a dash if it is undefined."""
    return "–" if pd.isna(share) else f"{share:.1%}"


def class_interval(low: float, high: float) -> str:
    """Return the ends of a class's 95 % interval, or a dash if there are none."""
    return "–" if pd.isna(low) else f"{100 * low:.0f} – {100 * high:.0f}\N{NO-BREAK SPACE}%"


def signed_difference(name: str, interval: Interval) -> str:
    """Return a difference with its interval; shares in percentage points."""
    if name in _SHARES:
        value, low, high = (f"{100 * number:+.1f}" for number in interval)
        told = f"{value} ({low} … {high}) points"
    else:
        value, low, high = (f"{number:+.3f}" for number in interval)
        told = f"{value} ({low} … {high})"
    return told.replace("-", "−")


def evaluation_title(name: str) -> str:
    """Return an evaluation's name for people."""
    return f"the model's {name} split" if name in BUNDLE_SPLITS else name


def what_was_measured(evaluation: Evaluation) -> str:
    """Return model, set, number of photographs and date in a line."""
    return (
        f"{evaluation.model} · {evaluation_title(evaluation.name)} · "
        f"{counted(evaluation.raw.n, 'photograph')} · "
        f"{counted(len(evaluation.raw.class_names), 'class', 'classes')} · "
        f"{evaluation.created[:10]}"
    )


def abstention_sentence(threshold: float, coverage: float, accuracy: float) -> str:
    """Return what a confidence threshold does."""
    if coverage == 0:
        return f"From {threshold_percent(threshold)} on the model answers no photograph at all."
    return (
        f"From {threshold_percent(threshold)} on the model answers {counted_share(coverage)} of "
        f"the photographs and is right on {counted_share(accuracy)} of those."
    )


def scope_sentence(
    confidence: np.ndarray, in_scope: np.ndarray | None, threshold: float, *, can_tell: bool
) -> str:
    """Return how many photographs the model does not answer for which reason.

    Parameters
    ----------
    confidence : ndarray of float, shape (N,)
    in_scope : ndarray of bool, shape (N,), or None
        As `har_core.evaluation.result.EvaluationResult` has them.
    threshold : float
        The model does not answer below.
    can_tell : bool
        Whether the model can tell foreign pictures at all.
    """
    if in_scope is None:
        why = "this evaluation did not record it" if can_tell else "this model cannot tell"
        return f"Whether a photograph looks foreign is not counted: {why}."
    foreign, unsure = (~in_scope).mean(), (in_scope & (confidence < threshold)).mean()
    return (
        f"Not answered: {counted_share(foreign)} because they look foreign, "
        f"{counted_share(unsure)} more because the model is not sure enough. The pale line takes "
        "confidence alone."
    )


def calibration_sentence(
    confidence: float, accuracy: float, error: float, chance: tuple[float, float]
) -> str:
    """Return whether the model's confidence can be believed.

    One rule decides: a calibration error within what a perfectly calibrated model would measure
    19 times out of 20 is chance; above that, the sign of the gap says which way it errs.

    Parameters
    ----------
    confidence, accuracy : float
        Mean confidence and share of right answers, in [0, 1].
    error : float
        Expected calibration error, in [0, 1].
    chance : tuple of float
        Its mean and 95th percentile for a perfectly calibrated model, from
        `EvaluationResult.calibration_error_by_chance`.
    """
    mean, most = chance
    sure, right, now, typical, limit = (
        metric_value("ece", share) for share in (confidence, accuracy, error, mean, most)
    )
    if error <= most:
        verdict = "its confidence can be taken at its word"
    elif abs(confidence - accuracy) < _ROUNDED_AWAY:
        verdict = "right on average, but too sure at some levels and too modest at others"
    elif confidence > accuracy:
        verdict = "it is surer than it should be"
    else:
        verdict = "it is more modest than it should be"
    return (
        f"On average the model is {sure} sure and right on {right}: {verdict}. Its calibration "
        f"error is {now}; chance alone gives {typical}, at most {limit} in 19 of 20 cases."
    )


def cell_title(label: str | None, prediction: str | None) -> str:
    """Return what a filter by true and predicted class shows."""
    if label and label == prediction:
        return f"{name_in_text(label)}, recognised"
    if label and prediction:
        return f"{name_in_text(label)} taken for {name_in_text(prediction)}"
    if label:
        return f"every {name_in_text(label)}"
    return f"everything taken for {name_in_text(prediction or '')}"
