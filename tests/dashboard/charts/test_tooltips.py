"""What is told below the mouse: names as they are, numbers as people write them."""

import json

import numpy as np
import pandas as pd
import pytest

from dashboard.charts.confidence import reliability_figure
from dashboard.charts.dataset import distribution_by_class, size_scatter
from dashboard.charts.explanation import explanation_figure
from dashboard.charts.ranking import per_class_figure, ranking_figure
from dashboard.charts.results import reliability_bars
from har_core.evaluation.calibration import reliability_bins
from har_core.evaluation.result import EvaluationResult
from har_core.model.explanation import Explanation

NAMES = ("100 %{x} sure", "dog", "cow")  # Plotly would put a number into the first


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    """One photograph each of two classes, none of the third."""
    return EvaluationResult.from_predictions(
        list(NAMES[:2]), [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]], NAMES
    )


def test_a_name_is_no_part_of_a_template(result: EvaluationResult) -> None:
    cells = Explanation(NAMES[0], "occlusion", np.zeros((7, 7)))
    for figure in (
        ranking_figure(
            result.curves, NAMES, result.micro_curves, kind="roc", highlighted=NAMES[:1]
        ),
        explanation_figure(np.full((224, 224, 3), 90, np.uint8), cells),
    ):
        templates = [trace.hovertemplate or "" for trace in figure.data]
        assert not [template for template in templates if "sure" in template]
        assert [trace for trace in figure.data if NAMES[0] in (trace.name or "")]


@pytest.mark.parametrize("kind", ["precision_recall", "roc"])
def test_a_curve_that_is_undefined_has_no_area(result: EvaluationResult, kind: str) -> None:
    figure = ranking_figure(
        result.curves, NAMES, result.micro_curves, kind=kind, highlighted=NAMES[2:]
    )
    assert "cow (undefined)" in [trace.name for trace in figure.data]


def test_one_photograph_is_no_photographs(result: EvaluationResult) -> None:
    bins = reliability_bins(result.confidence, result.correct)
    sizes = pd.DataFrame({"width": [300, 400, 400], "height": 200, "label": "dog"})
    for figure in (
        size_scatter(sizes),
        per_class_figure(result.per_class()),
        reliability_figure({"now": bins}, result.confidence, result.correct),
        reliability_bars(bins),
    ):
        assert '"1 photograph"' in json.dumps(figure.to_dict(), default=list)
        assert not [t for t in figure.data if "} photographs" in (t.hovertemplate or "")]


def test_large_values_have_no_exponent() -> None:
    figure = distribution_by_class(
        pd.Series([4321.0]), pd.Series(["dog"]), title="Kilobytes", unit=" KB"
    )
    (template,) = [t.hovertemplate for t in figure.data if t.hovertemplate]
    assert "median %{x:,.3~r} KB" in template  # d3-format: "g" would write 4.32e+3
