"""Metrics in documents: the JSON file of an evaluation, and what a bundle's README says of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from har_core.dataset.splits import SPLITS
from har_core.evaluation.store import Evaluation
from har_core.evaluation.totals import HEADLINE_METRICS, METRIC_TITLES
from har_core.model.answers import AnswerRules
from har_core.model.manifest import BundleManifest
from har_core.wording import counted

# The heading before which a README says how the model answers.
_TRAINED: Final = "## How it was trained"


def metrics_json(evaluation: Evaluation, caveats: Sequence[str]) -> str:
    """Return the metrics of an evaluation as JSON.

    Parameters
    ----------
    evaluation : Evaluation
    caveats : sequence of str
        From `har_core.evaluation.caveats.caveats`.

    Returns
    -------
    str
        An object with ``model``, ``evaluation`` (its name), ``created``, ``dataset`` (the folder,
        null if it is not known), ``split`` (its name; null for another set), ``temperature``, the
        fields of `EvaluationResult.metrics`, ``skipped`` (``filename``, ``label`` and
        ``reason`` of each row) and ``caveats``.
    """
    body = {
        "model": evaluation.model,
        "evaluation": evaluation.name,
        "created": evaluation.created,
        "dataset": evaluation.folder or None,
        "split": evaluation.name if evaluation.name in SPLITS else None,
        "temperature": evaluation.temperature,
        **evaluation.result.metrics(),
        "skipped": evaluation.skipped.to_dict("records"),
        "caveats": list(caveats),
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def metric_rows(metrics: Mapping[str, Any]) -> str:
    """Return the rows of a Markdown table: each headline metric with its interval.

    Parameters
    ----------
    metrics : mapping
        As in a manifest: by metric ``value``, ``low`` and ``high``.
    """
    return "\n".join(_metric_row(name, metrics[name]) for name in HEADLINE_METRICS)


def _metric_row(name: str, metric: Mapping[str, float]) -> str:
    form = ".3f" if name in ("log_loss", "ece") else ".1%"
    value, low, high = (format(metric[key], form) for key in ("value", "low", "high"))
    title = METRIC_TITLES[name]
    return f"| {title[0].lower()}{title[1:]} | {value} ({low} – {high}) |"


def temperature_words(temperature: float) -> str:
    """Return how a README names the temperature."""
    return f"a temperature of {temperature:.3f} (on the logits)"


def answers_text(rules: AnswerRules) -> str:
    """Return how a README says that a model abstains; empty for one that never does."""
    text = ""
    if rules.abstain_below:
        text += f"It abstains below a confidence of {rules.abstain_below:.0%}. "
    if rules.confidence:
        text += (
            "The confidence shown goes through a monotone map, fitted like the temperature on the "
            f"{counted(rules.n, 'photograph')} of the {rules.fitted_on} split. "
        )
    if rules.set_threshold is not None:
        text += (
            f"Its answer sets hold every action of at least {rules.set_threshold:.1%}: they aim to "
            f"hold the right one in {rules.set_coverage:.0%} of cases."
        )
    return text.strip()


def updated_card(card: str, before: BundleManifest, after: BundleManifest) -> str:
    """Return a README with the temperature, answers and metrics of a changed manifest.

    Whatever else is in it, by hand or by another version, stays.
    """
    card = card.replace(temperature_words(before.temperature), temperature_words(after.temperature))
    if old_answers := answers_text(before.rules):
        card = card.replace(old_answers, answers_text(after.rules))
    elif new_answers := answers_text(after.rules):
        card = card.replace(_TRAINED, f"{new_answers}\n\n{_TRAINED}", 1)
    for name in HEADLINE_METRICS:
        if name in before.metrics and name in after.metrics:
            old, new = (_metric_row(name, m.metrics[name]) for m in (before, after))
            card = card.replace(old, new)
    return card
