"""Figures of what a model said of very many photographs."""

import numpy as np
import pandas as pd
import pytest

from dashboard.charts.results import answer_bars, confidence_bars, rate_line
from har_core.scale.opened.table import VERDICTS


def test_answers_are_stacked_by_verdict_the_most_frequent_on_top() -> None:
    counts = pd.DataFrame([[5, 1, 0], [1, 0, 0]], index=["running", "a_b"], columns=list(VERDICTS))
    figure = answer_bars(counts)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [bar.name for bar in bars] == ["clear", "unsure"]  # none is foreign
    assert list(bars[0].y) == ["a b", "running"]
    many = pd.DataFrame(1, index=[f"class_{i}" for i in range(90)], columns=list(VERDICTS))
    assert any("rarer answers" in note.text for note in answer_bars(many).layout.annotations)


def test_every_confidence_is_in_a_bar() -> None:
    confidence = np.array([0.0, 0.04, 0.5, 1.0, 0.97])
    figure = confidence_bars(confidence, np.array([1, 1, 2, 0, 0]), list(VERDICTS))
    assert sum(np.sum(bar.y) for bar in figure.data) == 5
    assert {bar.name: int(np.sum(bar.y)) for bar in figure.data}["clear"] == 2


def test_rate_is_that_of_the_rows_between_the_first_and_the_last_part() -> None:
    start = pd.Timestamp("2026-01-01", tz="UTC")
    times = [start + pd.Timedelta(seconds=10 * i) for i in range(41)]
    figure = rate_line(pd.DataFrame({"time": times, "rows": [500] * 41}))
    np.testing.assert_allclose(figure.data[0].y, 50.0)
    assert len(figure.data[0].x) == 8


@pytest.mark.parametrize("rows", [2, 3])
def test_rate_of_few_parts(rows: int) -> None:
    times = pd.date_range("2026-01-01", periods=rows, freq="2min", tz="UTC")
    figure = rate_line(pd.DataFrame({"time": times, "rows": [60] * rows}))
    assert np.nanmax(figure.data[0].y) <= 1.0


def test_the_rate_does_not_fall_at_the_end_by_rounding() -> None:
    """The last part is in the last step, not alone in one more."""
    times = [
        pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(seconds=13 * i) for i in range(250)
    ]
    rates = rate_line(pd.DataFrame({"time": times, "rows": [500] * 250})).data[0].y
    assert len(rates) == 50
    assert min(rates) > 0.7 * max(rates)
