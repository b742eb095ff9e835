"""The results as a table: how right each variant is, and how it differs from the recipe."""

from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from benchmarks.learning.packing import RESULTS
from har_core.evaluation.bootstrap import Interval, percentile_interval, resampled_totals
from har_core.evaluation.calibration import fit_temperature, negative_log_likelihood
from har_core.model.temperature import apply_temperature

_HEADINGS: Final = ("variant", "seeds", "top-1", "difference", "log loss", "difference")
_FIRST: Final = "the recipe"


def markdown(runs: Path) -> str:
    """Return the table; differences are paired by photograph and seed, intervals by group.

    The log loss is that at the temperature that suits best.
    """
    with np.load(runs / RESULTS) as kept:
        results = dict(kept)
    labels, groups = results.pop("labels"), results.pop("groups")
    qualities: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for key, answers in results.items():
        name, seed = key.split("|")
        qualities[name][seed] = _quality(labels, answers.astype(np.float64))
    lines = [f"| {' | '.join(_HEADINGS)} |", "|" + " --- |" * len(_HEADINGS)]
    for name, quality in qualities.items():
        values = _intervals(np.mean(list(quality.values()), axis=0), groups)
        paired = [
            q - qualities[_FIRST][seed] for seed, q in quality.items() if seed in qualities[_FIRST]
        ]
        differences = _intervals(np.mean(paired, axis=0), groups) if paired else [None, None]
        cells = [name, str(len(quality))]
        for value, difference, (factor, digits) in zip(
            values, differences, ((100, 1), (1, 3)), strict=True
        ):
            cells.append(_text(value, factor, digits))
            cells.append(_text(difference, factor, digits, "+") if difference else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _quality(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return whether each answer is right, and its log loss, float64 (N, 2)."""
    # As they were kept, in float16, rows do not sum to 1.
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    temperature = fit_temperature(labels, probabilities, negative_log_likelihood)
    calibrated = apply_temperature(probabilities, temperature)
    right = probabilities.argmax(axis=1) == labels
    return np.stack([right, negative_log_likelihood(labels, calibrated)], axis=1)


def _intervals(values: np.ndarray, groups: np.ndarray) -> list[Interval]:
    totals = resampled_totals(csr_array(np.c_[values, np.ones(len(values))]), groups)
    return [
        percentile_interval(values[:, i].mean(), totals[i] / totals[-1], lowest=-np.inf)
        for i in range(values.shape[1])
    ]


def _text(interval: Interval, factor: int, digits: int, sign: str = "") -> str:
    value, low, high = (f"{factor * x:{sign}.{digits}f}" for x in interval)
    return f"{value} ({low} – {high})"
