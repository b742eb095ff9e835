"""A thousand classes make no figure that nobody scrolls through, and none is left out unsaid."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.charts.bars import even_bars, probability_bars
from dashboard.charts.confusion import confusion_figure
from dashboard.charts.dataset import (
    class_balance,
    distribution_by_class,
    noise_by_class,
    photo_map,
)
from dashboard.charts.ranking import per_class_figure
from har_core import Prediction

NAMES = [f"class {n:04d}" for n in range(1000)]
RISING = np.arange(1, 1001)


def counts() -> pd.DataFrame:
    return pd.DataFrame({"": RISING}, index=NAMES)


def per_class() -> pd.DataFrame:
    shares = RISING / 1000
    metrics = [f"{m}{end}" for m in ("f1", "precision", "recall") for end in ("", "_low", "_high")]
    columns = dict.fromkeys(metrics, shares)
    return pd.DataFrame({"class": NAMES, "support": 1, "predicted": 1, **columns})


def noise() -> pd.DataFrame:
    shares = RISING / 2000
    columns = {"noise": shares, "noise_low": shares, "noise_high": shares, "photographs": 9}
    return pd.DataFrame(columns, index=NAMES)


FIGURES = {
    "probabilities": (
        lambda: probability_bars(Prediction.from_probabilities(NAMES, RISING / RISING.sum())),
        "960 less probable classes are not drawn",
    ),
    "even": (lambda: even_bars(NAMES), "960 more classes are not drawn"),
    "balance": (lambda: class_balance(counts()), "960 smaller classes are not drawn"),
    "balance by name": (
        lambda: class_balance(counts(), by_name=True),
        "960 more classes are not drawn",
    ),
    "distribution": (
        lambda: distribution_by_class(
            pd.Series(RISING.astype(float)), pd.Series(NAMES), title="width"
        ),
        "960 classes between these are not drawn",
    ),
    "noise": (
        lambda: noise_by_class(noise()),
        "960 classes with fewer are not drawn",
    ),
    "per class": (lambda: per_class_figure(per_class()), "960 classes between these are not drawn"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_a_thousand_classes_is_short_and_says_so(name: str) -> None:
    draw, says = FIGURES[name]
    figure: go.Figure = draw()
    assert figure.layout.height < 1300
    said = [a.text for a in figure.layout.annotations if a.name == "left out"]
    assert said == [says]


@pytest.mark.parametrize("name", ["distribution", "per class", "noise", "even"])
def test_what_is_left_out_is_said_below_the_axis_up_to_the_figures_edge(name: str) -> None:
    figure: go.Figure = FIGURES[name][0]()
    (note,) = figure.select_annotations({"name": "left out"})
    has_axis = name in ("distribution", "per class")
    assert note.yshift <= (-50 if has_axis else -4)
    assert figure.layout.margin.b + note.yshift >= 20  # there is room for it
    assert (note.x, note.xanchor, note.xshift) == (1, "right", figure.layout.margin.r)


def test_one_class_that_is_not_drawn_is_one() -> None:
    (note,) = class_balance(counts().head(41)).layout.annotations
    assert note.text == "1 smaller class is not drawn"


def test_classes_as_large_as_the_others_are_not_called_smaller() -> None:
    (note,) = class_balance(counts().assign(**dict.fromkeys(counts(), 3))).layout.annotations
    assert note.text == "960 more classes are not drawn"


def test_the_largest_and_the_first_classes_are_drawn() -> None:
    assert "class 0999" in class_balance(counts()).data[0].y[-1]
    assert "class 0000" in class_balance(counts(), by_name=True).data[0].y[-1]
    assert class_balance(counts(), shares=True).data[0].x[-1] == pytest.approx(100 * 1000 / 500500)
    worst_and_best = per_class_figure(per_class()).data[0].y
    assert "class 0000" in worst_and_best[0]
    assert "class 0999" in worst_and_best[-1]


def test_few_classes_leave_nothing_out() -> None:
    figure = class_balance(counts().head(40))
    assert len(figure.data[0].y) == 40
    assert not [a for a in figure.layout.annotations if a.name == "left out"]


def test_a_confusion_matrix_of_a_thousand_classes_fits_a_page() -> None:
    confusion = np.eye(1000, dtype=np.int64)
    figure = confusion_figure(confusion, NAMES, order=np.arange(1000))
    assert figure.layout.height < 1500
    assert len(figure.layout.yaxis.tickvals) <= 120


def test_a_map_of_a_thousand_classes_colours_the_largest_and_shows_every_photograph() -> None:
    names = pd.Series(np.repeat(NAMES, RISING // 100 + 1))
    points = pd.DataFrame({"x": 0.0, "y": 0.0, "filename": names}, index=names.index)
    figure = photo_map(points, names)
    assert len(figure.data) == 41
    assert figure.data[-1].name == "960 smaller classes"
    drawn = np.concatenate([trace.customdata for trace in figure.data])
    assert sorted(drawn) == list(names.index)
    assert "class 0999" in {trace.name.lower() for trace in figure.data}
