import numpy as np
import pytest

from dashboard.charts import bars as charts
from dashboard.charts.style import ACCENT, MUTED
from har_core import Prediction

NAMES = ["calling", "listening_to_music", "running", "using_laptop"]


@pytest.fixture
def bars():
    probabilities = np.array([0.004, 0.2, 0.716, 0.08])
    return charts.probability_bars(Prediction.from_probabilities(NAMES, probabilities)).data[0]


def test_bars_are_sorted_with_the_most_probable_on_top(bars):
    assert list(bars.y) == ["calling", "using laptop", "listening to music", "running"]
    assert list(bars.x) == [0.004, 0.08, 0.2, 0.716]


def test_only_the_most_probable_bar_stands_out(bars):
    colours = list(bars.marker.color)
    assert colours[-1] == ACCENT
    assert set(colours[:-1]) == {MUTED}


def test_every_bar_carries_its_percentage(bars):
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in bars.text] == [
        "< 1 %",
        "8 %",
        "20 %",
        "72 %",
    ]
    assert bars.textposition == "outside"


def test_longest_bar_leaves_room_for_its_label_and_names_are_not_cut():
    certain = Prediction.from_probabilities(NAMES, np.array([0, 0, 1.0, 0]))
    figure = charts.probability_bars(certain)
    assert figure.layout.margin.r >= 6 * len("> 99 %")
    assert figure.layout.yaxis.automargin


def test_chart_takes_its_background_from_the_page():
    figure = charts.even_bars(NAMES)
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"


def test_chart_before_a_photograph_has_the_size_of_the_one_after():
    after = charts.probability_bars(Prediction.from_probabilities(NAMES, np.ones(4) / 4))
    before = charts.even_bars(NAMES)
    assert before.layout.height == after.layout.height
    assert set(before.data[0].y) == set(after.data[0].y)
    assert before.data[0].y[-1] == "calling"
    assert before.data[0].text is None
