"""A legend lies over no axis' title, however narrow a page is and many lines it has."""

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
