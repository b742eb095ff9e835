import numpy as np
import pytest

from dashboard.charts.confidence import coverage_figure, reliability_figure
from dashboard.charts.confusion import confusion_figure
from dashboard.charts.ranking import per_class_figure, ranking_figure
from dashboard.charts.results import reliability_bars
from dashboard.charts.style import TRANSPARENT
from dashboard.wording.metrics import metric_value
from dashboard.wording.names import tick_names
from har_core.evaluation.calibration import reliability_bins
from har_core.evaluation.curves import DRAWN_POINTS
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.selective import coverage_curve
from har_core.wording import counted
from tests.evaluated import HAR_CLASSES, draw_predictions


def evaluate(n: int, class_names=HAR_CLASSES, seed: int = 0) -> EvaluationResult:
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(class_names), size=n)
    return EvaluationResult.from_predictions(
        np.asarray(class_names)[labels].tolist(),
        draw_predictions(labels, len(class_names), seed=seed),
        class_names,
    )


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    return evaluate(600)


def bars(figure) -> list:
    return [trace for trace in figure.data if trace.type == "bar"]


def cells(figure) -> dict[tuple[str, str], int]:
    """Return the clickable cells: what a click reports, with the count it tells."""
    found = [point for trace in bars(figure) for point in trace.customdata]
    assert len({(label, prediction) for label, prediction, *_ in found}) == len(found)
    return {(label, prediction): count for label, prediction, count in found}


def drawn_points(figure) -> int:
    return sum(len(trace.x) for trace in figure.data if trace.type == "scatter")


@pytest.mark.parametrize("share", ["count", "row", "column"])
def test_every_cell_with_photographs_can_be_clicked_and_tells_its_count(result, share):
    figure = confusion_figure(
        result.confusion, HAR_CLASSES, share=share, order=result.similarity_order
    )
    rows, columns = np.nonzero(result.confusion)
    assert cells(figure) == {
        (HAR_CLASSES[r], HAR_CLASSES[c]): result.confusion[r, c]
        for r, c in zip(rows, columns, strict=True)
    }


def test_bars_lie_on_the_cells_they_report(result):
    figure = confusion_figure(result.confusion, HAR_CLASSES)
    for trace in bars(figure):
        assert (trace.width, trace.offset, set(trace.y)) == (1, -0.5, {1})
        for x, top, (label, prediction, _) in zip(
            trace.x, trace.base, trace.customdata, strict=True
        ):
            assert (HAR_CLASSES[x], HAR_CLASSES[int(top + 0.5)]) == (prediction, label)


def test_right_answers_can_be_hidden(result):
    figure = confusion_figure(result.confusion, HAR_CLASSES, hide_diagonal=True)
    assert cells(figure)
    assert all(label != prediction for label, prediction in cells(figure))


def test_classes_stand_in_the_given_order(result):
    order = np.arange(len(HAR_CLASSES))[::-1]
    figure = confusion_figure(result.confusion, HAR_CLASSES, order=order)
    readable = [name.replace("_", " ") for name in reversed(HAR_CLASSES)]
    assert list(figure.layout.yaxis.ticktext) == readable
    assert list(figure.layout.xaxis.ticktext) == readable


def test_classes_that_read_alike_stay_apart():
    figure = confusion_figure(np.array([[3, 1], [0, 4]]), ["a_b", "a b"])
    assert list(figure.layout.xaxis.ticktext) == ["a_b", "a b"]


def test_no_number_is_wider_than_two_large_digits_for_which_a_phone_s_cells_have_room():
    figure = confusion_figure(np.diag([7, 42, 100]), ["eating", "running", "texting"])
    widths = [
        len(text) * size
        for trace in bars(figure)
        for text, size in zip(trace.text, trace.textfont.size, strict=True)
    ]
    assert sorted(widths) == [12, 24, 24]
    assert figure.layout.margin.pad == 0


def test_a_cell_below_half_a_percent_has_no_number():
    figure = confusion_figure(np.array([[199, 1], [0, 200]]), ["a", "b"], share="row")
    assert sorted(text for trace in bars(figure) for text in trace.text) == ["", "100", "100"]


def test_a_hundred_classes_have_all_row_labels_and_no_cell_texts():
    names = tuple(f"action_{i}" for i in range(100))
    result = evaluate(3000, names)
    figure = confusion_figure(result.confusion, names)
    assert len(figure.layout.yaxis.tickvals) == 100
    assert list(figure.layout.xaxis.labelalias.values()) == tick_names(names)
    assert all(trace.text is None for trace in bars(figure))
    assert figure.layout.height >= 1000


@pytest.mark.parametrize("kind", ["precision_recall", "roc"])
def test_curves_of_a_hundred_classes_stay_light(kind):
    names = tuple(f"action_{i}" for i in range(100))
    result = evaluate(20_000, names)
    figure = ranking_figure(
        result.curves, names, result.micro_curves, kind=kind, highlighted=names[:3]
    )
    assert drawn_points(figure) <= 4000 + 100 + 4 * (DRAWN_POINTS + 2) + 2
    areas = [c.roc_area if kind == "roc" else c.average_precision for c in result.curves[:3]]
    for name, area in zip(names, areas, strict=False):
        label = f"{name.replace('_', ' ')} ({'AUC' if kind == 'roc' else 'AP'} {area:.3f})"
        assert label in [trace.name for trace in figure.data]


def test_reliability_and_coverage_show_every_photograph_once(result):
    bins = reliability_bins(result.confidence, result.correct)
    figure = reliability_figure({"now": bins}, result.confidence, result.correct)
    assert sum(trace.y.sum() for trace in figure.data if trace.type == "bar") == result.n
    series = next(trace for trace in figure.data if trace.name.startswith("now"))
    assert list(series.hovertext) == [counted(n, "photograph") for n in bins.counts]
    assert series.name == f"now (ECE {metric_value('ece', bins.calibration_error)})"
    curve = coverage_curve(result.confidence, result.correct)
    assert len(coverage_figure(curve, 0.5, 0.9).data) == 3
    assert len(coverage_figure(curve, 0.0, float("nan")).data) == 1
    both = coverage_figure(curve, 0.5, 0.9, confidence_alone=curve)
    assert [line.name for line in both.data[:2]] == ["confidence alone", "both reasons"]


def test_a_point_at_a_hundred_percent_is_drawn_whole(result):
    bins = reliability_bins(result.confidence, result.correct)
    curve = coverage_curve(result.confidence, result.correct)
    figures = (
        per_class_figure(result.per_class()),
        reliability_figure({"now": bins}, result.confidence, result.correct),
        reliability_bars(bins),
        coverage_figure(curve, 1.0, 0.9),
    )
    for figure in figures:
        points = [
            trace for trace in figure.data if trace.type == "scatter" and "markers" in trace.mode
        ]
        assert [trace.cliponaxis for trace in points] == [False]


def test_figures_have_transparent_backgrounds_for_light_and_dark(result):
    curve = coverage_curve(result.confidence, result.correct)
    for figure in (
        confusion_figure(result.confusion, HAR_CLASSES, on_dark=True),
        per_class_figure(result.per_class()),
        coverage_figure(curve, 0.5, 0.9),
    ):
        assert figure.layout.paper_bgcolor == TRANSPARENT


def test_coverage_without_an_answer_is_an_empty_chart():
    nothing = coverage_curve(np.array([0.9]), np.array([True]), np.array([False]))
    figure = coverage_figure(nothing, 0.0, float("nan"))
    assert len(figure.data[0].x) == 0
    assert figure.layout.yaxis.range[1] > 1
