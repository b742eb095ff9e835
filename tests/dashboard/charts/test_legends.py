"""A legend fits a phone and lies over no axis' title, however many lines and letters it has."""

from html import unescape

import pandas as pd

from dashboard.charts.dataset import photo_map
from dashboard.charts.ranking import ranking_figure
from dashboard.charts.training import training_curves
from har_core.evaluation.result import EvaluationResult


def test_legends_stand_above_what_they_explain() -> None:
    names = ("dog", "cat")
    result = EvaluationResult.from_predictions(names, [[0.8, 0.2], [0.3, 0.7]], names)
    figures = (
        ranking_figure(result.curves, names, result.micro_curves, kind="roc", highlighted=names),
        training_curves([{"training_loss": 1.0}, {"training_loss": 0.5}]),
    )
    for figure in figures:
        assert figure.layout.legend.y >= 1
    assert figures[1].layout.margin.t >= 55  # for the legend and the charts' titles


def test_a_legend_keeps_the_area_of_a_long_name_in_view_and_the_mouse_tells_it_whole() -> None:
    dog = "African hunting dog, hyena dog, Cape hunting dog, Lycaon pictus"
    names = (dog, f"{dog} < & >")
    result = EvaluationResult.from_predictions(names, [[0.8, 0.2], [0.3, 0.7]], names)
    curves = ranking_figure(
        result.curves, names, result.micro_curves, kind="roc", highlighted=names
    )
    points = pd.DataFrame({"x": 0.0, "y": 0.0, "filename": ["a", "b"]})
    for figure in (curves, photo_map(points, pd.Series(names))):
        lines = [trace for trace in figure.data if (trace.name or "").startswith("African")]
        assert all(len(unescape(line.name)) <= 32 + len(" (AUC 0.123)") for line in lines)
        assert [line.meta for line in lines] == [dog, f"{dog} &lt; &amp; &gt;"]
        assert all("%{meta}" in line.hovertemplate for line in lines)
