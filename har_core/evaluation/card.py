"""The lines of a bundle's README that follow from its metrics and its temperature."""

from collections.abc import Mapping
from typing import Any

from har_core.evaluation.totals import HEADLINE_METRICS, METRIC_TITLES
from har_core.model.manifest import BundleManifest


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


def updated_card(card: str, before: BundleManifest, after: BundleManifest) -> str:
    """Return a README with the temperature and the metrics of a changed manifest.

    Whatever else is in it, by hand or by another version, stays.
    """
    card = card.replace(temperature_words(before.temperature), temperature_words(after.temperature))
    for name in HEADLINE_METRICS:
        if name in before.metrics and name in after.metrics:
            old, new = (_metric_row(name, m.metrics[name]) for m in (before, after))
            card = card.replace(old, new)
    return card
