"""Every class has a row of its own that can be read, whatever its name is and on a phone, too."""

from collections.abc import Callable
from html import unescape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.charts.bars import even_bars, probability_bars
from dashboard.charts.confusion import confusion_figure
from dashboard.charts.dataset import (
    class_balance,
    distribution_by_class,
    issue_counts,
    noise_by_class,
)
from dashboard.charts.ranking import per_class_figure
from dashboard.wording.names import tick_names
from har_core import Prediction
from har_core.evaluation.result import EvaluationResult
from tests.evaluated import draw_predictions

# Plotly takes the first for numbers, the second for days, on an axis that is not told better.
NUMBERS, DAYS = ("10", "2", "1"), ("2024-02-01", "2024-01-01", "2023-05-05")
HUNTING_DOG = "African hunting dog, hyena dog, Cape hunting dog, Lycaon pictus"
LONG = (HUNTING_DOG, f"{HUNTING_DOG} < & >", "cat")
CHINESE = "在公园里一边走路一边看手机的年轻人和他们的小狗在阳光下慢慢前行"  # as wide as 64 letters


def noise(names: tuple[str, ...]) -> go.Figure:
    shares = {key: [0.1, 0.2, 0.3] for key in ("noise", "noise_low", "noise_high")}
    return noise_by_class(pd.DataFrame({"photographs": 30, **shares}, index=list(names)))


def per_class(names: tuple[str, ...]) -> go.Figure:
    labels = np.arange(60) % 3
    result = EvaluationResult.from_predictions(
        np.asarray(names)[labels].tolist(), draw_predictions(labels, 3), names
    )
    return per_class_figure(result.per_class())


FIGURES: dict[str, Callable[[tuple[str, ...]], go.Figure]] = {
    "probabilities": lambda names: probability_bars(
        Prediction.from_probabilities(list(names), np.array([0.2, 0.5, 0.3]))
    ),
    "even": even_bars,
    "balance": lambda names: class_balance(pd.DataFrame({"n": [1, 2, 3]}, index=list(names))),
    "distribution": lambda names: distribution_by_class(
        pd.Series([1.0, 2.0, 3.0]), pd.Series(names), title="Kilobytes"
    ),
    "noise": noise,
    "per class": per_class,
}


@pytest.mark.parametrize("names", [NUMBERS, DAYS])
@pytest.mark.parametrize("figure", FIGURES)
def test_names_that_are_numbers_or_days_are_names(figure: str, names: tuple[str, ...]) -> None:
    axis = FIGURES[figure](names).layout.yaxis
    assert axis.type == "category"
    assert sorted(axis.tickvals) == sorted(axis.ticktext) == sorted(names)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_long_name_leaves_room_for_its_bar_and_is_told_whole_below_the_mouse(figure: str) -> None:
    drawn = FIGURES[figure](LONG)
    assert all(len(unescape(text)) <= 32 for text in drawn.layout.yaxis.ticktext)
    assert len(set(drawn.layout.yaxis.tickvals)) == len(LONG)
    told = [text for trace in drawn.data for text in trace.hovertext or ()]
    assert figure == "even" or f"{HUNTING_DOG} &lt; &amp; &gt;" in told


CUP = "young person sitting in the {} and holding a {} cup in both hands"
SERIES = "the same beginning of a name, then {} and the same end again"


def test_long_names_that_differ_in_their_middle_are_told_apart() -> None:
    short = tick_names([CUP.format("kitchen", "red"), CUP.format("garden", "red"), "cat"])
    assert short == ["young pers…kitchen and holding …", "young pers…garden and holding a…", "cat"]


@pytest.mark.parametrize(
    "names",
    [
        [CUP.format(where, what) for where in ("kitchen", "garden") for what in ("red", "blue")],
        [SERIES.format(number) for number in range(1200)],
        [f"{CHINESE[:20]}{letter}{CHINESE[20:]}" for letter in "一二三"],
        [f"{HUNTING_DOG}{number * ' and so on'}{HUNTING_DOG}" for number in range(12)],
    ],
)
def test_no_two_long_names_of_an_axis_are_shortened_to_the_same(names: list[str]) -> None:
    short = tick_names(names)
    assert len(set(short)) == len(names)
    assert all(len(name) <= 32 for name in short)


def test_a_long_name_leaves_room_for_the_matrix() -> None:
    axes = confusion_figure(np.eye(3, dtype=np.int64), LONG).layout
    assert all(len(unescape(text)) <= 32 for text in (*axes.xaxis.ticktext, *axes.yaxis.ticktext))


@pytest.mark.parametrize("name", [CHINESE, CHINESE[:17]])
def test_a_name_of_wide_letters_is_as_wide_as_another(name: str) -> None:
    figure = even_bars(["cat", name, CHINESE[:16]])
    assert set(figure.layout.yaxis.ticktext) == {"cat", f"{name[:8]}…{name[-7:]}", CHINESE[:16]}


def test_beside_a_list_names_are_shorter() -> None:
    names = [CUP.format("kitchen", "red"), CUP.format("garden", "red"), "cat"]
    short = noise(names).layout.yaxis.ticktext
    assert set(short) == {"young …kitchen an…", "young …garden and…", "cat"}


@pytest.mark.parametrize("figure", ["probabilities", "balance", "noise", "issues"])
def test_the_number_at_the_end_of_the_longest_bar_is_not_cut(figure: str) -> None:
    """A share of the width is less than a number needs on a phone."""
    if figure == "issues":
        drawn = issue_counts([("Blurred", 1_234_567)])
    elif figure == "balance":
        drawn = class_balance(pd.DataFrame({"n": [12_345_678]}, index=["cat"]))
    else:
        drawn = FIGURES[figure](("cat", "dog", "cow"))
    texts = [text for trace in drawn.data for text in trace.text or ()]
    texts += [note.text for note in drawn.layout.annotations]
    assert drawn.layout.margin.r >= 6 * max(map(len, texts))


def test_names_that_read_alike_keep_their_bars() -> None:
    for figure in ("probabilities", "even"):
        assert sorted(FIGURES[figure](("a b", "a_b", "c")).data[0].y) == ["a b", "a_b", "c"]


def test_the_share_of_a_class_stands_in_its_own_row() -> None:
    """Plotly takes a number for the place on an axis of names, also where a class is called so."""
    drawn = noise(NUMBERS)
    shares = dict(zip(drawn.data[0].y, drawn.data[0].x, strict=True))
    for note in drawn.layout.annotations:
        assert note.text.startswith(f"{shares[drawn.data[0].y[note.y]]:.0f}\N{NO-BREAK SPACE}%")
