"""Time what the evaluation page computes, and simulate the coverage of its intervals.

Run: ``python -m benchmarks.large.evaluation [N] [C]``.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from dashboard.charts import ranking as charts
from dashboard.charts.confidence import coverage_figure, reliability_figure
from dashboard.charts.confusion import confusion_figure
from har_core.evaluation.calibration import reliability_bins
from har_core.evaluation.confusion import most_confused_pairs
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.selective import coverage_curve


def draw(n: int, n_classes: int, seed: int = 0) -> tuple[list[str], np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), labels] += 4
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    names = [f"action_{index:03}" for index in range(n_classes)]
    return [names[index] for index in labels], probabilities, names


def timed(what: str, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    print(f"{what:<52}{seconds:8.2f} s")
    return seconds


def time_page(n: int, n_classes: int) -> None:
    labels, probabilities, names = draw(n, n_classes)
    files = [f"Image_{index}.jpg" for index in range(n)]
    groups = np.arange(n) // 2 * 2  # half as many groups, as if every photograph had a copy
    print(f"{n:,} predictions × {n_classes} classes")
    held: list[EvaluationResult] = []
    opened = timed(
        "checking the predictions",
        lambda: held.append(
            EvaluationResult.from_predictions(labels, probabilities, names, files, groups)
        ),
    )
    result = held[0]
    opened += timed("headline with intervals (1,000 resamples)", result.headline)
    opened += timed(
        "confusion matrix by similarity, its chart and pairs",
        lambda: (
            confusion_figure(result.confusion, names, order=result.similarity_order),
            most_confused_pairs(result.confusion, names),
        ),
    )
    opened += timed("table of photographs", result.photographs)
    print(f"{'page ready after the click':<52}{opened:8.2f} s\n")
    print("Sections computed when they are opened:")
    timed("classes with intervals and average precision", result.per_class)
    timed("pooled (micro) curves over all pairs", lambda: result.micro_curves)
    timed(
        "chart of all curves",
        lambda: charts.ranking_figure(
            result.curves, names, result.micro_curves, kind="roc", highlighted=names[:3]
        ),
    )
    timed("calibration error by chance", lambda: result.calibration_error_by_chance)
    timed(
        "calibration and abstention with charts",
        lambda: (
            reliability_figure(
                {"now": reliability_bins(result.confidence, result.correct)},
                result.confidence,
                result.correct,
            ),
            coverage_figure(coverage_curve(result.confidence, result.correct), 0.5, 0.9),
        ),
    )


def simulate_coverage(n_models: int = 500, n_photographs: int = 400) -> None:
    print(f"\nShare of {n_models} simulated models whose 95 % interval holds the true accuracy:")
    for copies in (1, 2):
        rng = np.random.default_rng(3)
        groups = np.repeat(np.arange(n_photographs), copies)
        covered = 0
        for _ in range(n_models):
            truth = rng.uniform(0.5, 0.9)
            correct = np.repeat(rng.random(n_photographs) < truth, copies)
            result = EvaluationResult.from_predictions(
                np.where(correct, "b", "a").tolist(),
                np.tile([0.4, 0.6], (len(groups), 1)),
                ["a", "b"],
                groups=groups,
            )
            interval = result.headline_intervals["top1"]
            covered += interval.low <= truth <= interval.high
        what = "independent photographs" if copies == 1 else "pairs of near duplicates"
        print(f"{what:<52}{covered / n_models:8.1%}")


if __name__ == "__main__":
    sizes = [int(argument) for argument in sys.argv[1:3]] or [100_000, 100]
    time_page(*sizes)
    simulate_coverage()
