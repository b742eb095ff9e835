"""What charts draw are the numbers that they are given, on the axes that say so."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.charts.confidence import coverage_figure, reliability_figure
from dashboard.charts.confusion import RIGHT, WRONG
from dashboard.charts.dataset import (
    chosen_points,
    class_balance,
    distribution_by_class,
    noise_by_class,
    photo_map,
    size_scatter,
)
from dashboard.charts.part import part_figure
from dashboard.charts.ranking import per_class_figure, ranking_figure
from dashboard.charts.style import ACCENT
from dashboard.charts.training import training_curves
from har_core.evaluation.calibration import ReliabilityBins
from har_core.evaluation.curves import RankingCurves
from har_core.evaluation.selective import CoverageCurve
from tests.drawing import photo_bytes

BY_SPLIT = pd.DataFrame({"train": [4, 5], "test": [4, 1]}, index=["running", "sitting"])


def drawn(trace: go.Bar) -> dict[str, float]:
    return dict(zip(trace.y, trace.x, strict=True))


def test_bars_of_classes_are_counts_or_shares_of_all_the_largest_sum_on_top() -> None:
    train, test, totals = class_balance(BY_SPLIT).data
    assert (drawn(train), drawn(test)) == (
        {"sitting": 5, "running": 4},
        {"sitting": 1, "running": 4},
    )
    assert drawn(totals) == {"sitting": 6, "running": 8}
    assert list(totals.y) == ["sitting", "running"]  # upwards
    shares = class_balance(BY_SPLIT, shares=True).data[-1]
    assert drawn(shares) == pytest.approx({"sitting": 600 / 14, "running": 800 / 14})
    assert list(class_balance(BY_SPLIT, by_name=True).data[-1].y) == ["sitting", "running"]


def test_a_highlighted_class_is_drawn_over_all_photographs() -> None:
    photographs = pd.DataFrame(
        {"width": [30, 30, 20], "height": [9, 9, 9], "label": ["a", "b", "b"]}
    )
    everything, chosen = size_scatter(photographs, "a").data
    assert list(everything.x) == [20, 30]
    assert (chosen.name, list(chosen.x), list(chosen.y)) == ("a", [30], [9])
    assert list(chosen.hovertext) == ["1 photograph"]


def test_a_box_holds_half_of_a_class_and_its_whiskers_end_at_the_5th_and_95th_percentile() -> None:
    values, labels = pd.Series(np.arange(101.0)), pd.Series(["a"] * 101)
    box = distribution_by_class(values, labels, title="Kilobytes").data[0]
    ends = [box.lowerfence, box.q1, box.median, box.q3, box.upperfence]
    assert [end[0] for end in ends] == [5, 25, 50, 75, 95]


def test_contradicted_shares_have_the_ends_of_their_intervals_the_largest_on_top() -> None:
    table = pd.DataFrame(
        {"noise": [0.3, 0.1], "noise_low": [0.2, 0.1], "noise_high": [0.7, 0.2], "photographs": 9},
        index=["a", "b"],
    )
    bars = noise_by_class(table).data[0]
    assert list(bars.y) == ["b", "a"]
    assert list(bars.error_x.array) == pytest.approx([10, 40])
    assert list(bars.error_x.arrayminus) == pytest.approx([0, 10])
    many = pd.concat([table] * 30).set_axis([f"{n}" for n in range(60)])
    assert min(noise_by_class(many).data[0].x) == pytest.approx(10)
    assert list(noise_by_class(many).data[0].x).count(30) == 30


def test_a_point_of_a_map_is_its_photograph_s_row() -> None:
    points = pd.DataFrame({"x": [1, 2], "y": [3, 4], "filename": ["a", "b"]}, index=[7, 9])
    (trace,) = photo_map(points, pd.Series("running", points.index)).data
    assert list(trace.customdata) == [7, 9]
    told = [{"customdata": 7}, {"customdata": [9]}]  # as Streamlit tells it, or has told it
    assert chosen_points({"selection": {"points": told}}) == [7, 9]


def test_what_is_outside_of_a_part_is_dark() -> None:
    figure = part_figure(photo_bytes("running"), (30, 20), (10, 60), (20, 70))
    *dark, box = [(s.x0, s.y0, s.x1, s.y1) for s in figure.layout.shapes]
    assert box == (10, 20, 60, 70)
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in dark) == 100 * 100 - 50 * 50


def test_curves_are_drawn_on_the_axes_that_name_them() -> None:
    precision, recall, x, y = (np.array([value]) for value in (0.1, 0.2, 0.3, 0.4))
    curve = RankingCurves(
        recall=recall,
        precision=precision,
        average_precision=0.5,
        false_positive_rate=x,
        true_positive_rate=y,
        roc_area=0.6,
    )
    for kind, point, titles, area in (
        ("precision_recall", (0.2, 0.1), ("recall", "precision"), "AP 0.500"),
        ("roc", (0.3, 0.4), ("false positive rate", "true positive rate"), "AUC 0.600"),
    ):
        figure = ranking_figure([curve], ["a"], curve, kind=kind, highlighted=["a"])
        chosen, pooled = figure.data[-2:]
        assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == titles
        for line in (chosen, pooled):
            assert (line.x[0], line.y[0]) == point
            assert area in line.name


def test_intervals_of_classes_end_where_they_do() -> None:
    ends = {"precision": 0.5, "precision_low": 0.4, "recall": 0.5, "recall_low": 0.4}
    table = pd.DataFrame(
        {"class": ["a"], "f1": 0.5, "f1_low": 0.4, "f1_high": 0.8, "support": 3, **ends}
    )
    error = per_class_figure(table).data[0].error_x
    assert (list(error.array), list(error.arrayminus)) == (
        [pytest.approx(0.3)],
        [pytest.approx(0.1)],
    )


def test_the_present_calibration_stands_out_and_hits_are_the_colour_of_hits() -> None:
    bins = ReliabilityBins(
        counts=np.array([3]), confidence=np.array([0.6]), accuracy=np.array([0.5])
    )
    confidence, correct = np.array([0.9, 0.9, 0.3]), np.array([True, True, False])
    figure = reliability_figure({"before": bins, "now": bins}, confidence, correct)
    _, before, now, *bars = figure.data
    assert before.line.color != now.line.color == ACCENT
    assert (now.x[0], now.y[0]) == (0.6, 0.5)
    assert {bar.name: (bar.y.sum(), bar.marker.color) for bar in bars} == {
        "right": (2, RIGHT),
        "wrong": (1, WRONG),
    }


def test_the_chosen_threshold_lies_on_its_axes() -> None:
    curve = CoverageCurve(
        thresholds=np.array([0.5]), coverage=np.array([1.0]), accuracy=np.array([0.75])
    )
    line, lines_to_axes, point = coverage_figure(curve, 0.4, 0.9).data
    assert (line.x[0], line.y[0], line.customdata[0]) == (1, 0.75, 0.5)
    assert (point.x[0], point.y[0]) == (0.4, 0.9)
    assert list(zip(lines_to_axes.x, lines_to_axes.y, strict=True)) == [
        (0.4, 0),
        (0.4, 0.9),
        (0, 0.9),
    ]


def test_a_training_is_drawn_by_its_calibrated_loss_and_by_both_accuracies() -> None:
    row = {"training_loss": 4.0, "training_top1": 0.1, "validation_top1": 0.2}
    losses = {"validation_log_loss": 3.0, "validation_calibrated_log_loss": 2.0}
    lines = training_curves([row | losses] * 2).data
    assert [(line.name, line.xaxis, line.y[-1]) for line in lines] == [
        ("training", "x", 4.0),
        ("validation", "x", 2.0),
        ("training", "x2", 0.1),
        ("validation", "x2", 0.2),
    ]
