"""Probabilities and counts as bars; every function is pure and suits light and dark."""

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import (
    ACCENT,
    FAINT,
    MOST_ROWS,
    MUTED,
    Nouns,
    bar_axis,
    bare_layout,
    class_axis,
    say_left_out,
)
from dashboard.wording.names import chart_names, percent
from har_core import Prediction

_BAR_HEIGHT: Final = 26
_FONT_SIZE: Final = 13


def probability_bars(prediction: Prediction) -> go.Figure:
    """Draw the probability of every class, most probable on top.

    Parameters
    ----------
    prediction : Prediction
        Of any number of classes.

    Returns
    -------
    plotly.graph_objects.Figure
        Horizontal bars labelled in percent, at most `MOST_ROWS`, on an axis from 0 to 100 %; the
        most probable one stands out, unless the picture is foreign to the model.
    """
    ranked = prediction.top(MOST_ROWS)
    figure = _class_bars([name for name, _ in ranked], [value for _, value in ranked])
    figure.update_traces(
        text=[percent(value) for _, value in reversed(ranked)],
        marker_color=[MUTED] * (len(ranked) - 1)
        + [MUTED if prediction.verdict == "foreign" else ACCENT],
        hovertemplate="%{hovertext}: %{x:.2%}<extra></extra>",
    )
    say_left_out(
        figure,
        len(prediction.probabilities) - len(ranked),
        ("less probable class", "less probable classes"),
    )
    return figure


def even_bars(class_names: Sequence[str]) -> go.Figure:
    """Draw the classes before there is a photograph: in the model's order, all equally likely.

    Parameters
    ----------
    class_names : sequence of str
        In the model's order.

    Returns
    -------
    plotly.graph_objects.Figure
        Of the size and kind of `probability_bars`, which takes its place.
    """
    drawn = class_names[:MOST_ROWS]
    figure = _class_bars(drawn, [1 / len(drawn)] * len(drawn))
    figure.update_traces(marker_color=FAINT, hoverinfo="skip")
    say_left_out(figure, len(class_names) - len(drawn))
    return figure


def stacked_bars(
    counts: pd.DataFrame,
    titles: Mapping[str, str],
    colours: Mapping[str, str],
    *,
    shares: bool = False,
    left_out: Nouns,
) -> go.Figure:
    """Draw how many photographs each class has, the first class of the table at the bottom.

    Parameters
    ----------
    counts : DataFrame of int
        Index: class. One column per part of a bar; of more than `MOST_ROWS` classes the last ones
        are drawn.
    titles, colours : mapping of str to str
        Of the columns; one without a colour has that of all bars.
    shares : bool
        Percentages of all photographs instead of counts.
    left_out : tuple of str
        What a class is that is not drawn, and what several are.

    Returns
    -------
    plotly.graph_objects.Figure
        Horizontal bars, stacked by column; every class shows its total.
    """
    scale = 100 / max(int(counts.to_numpy().sum()), 1) if shares else 1
    form, unit = (",.1f", " %") if shares else (",.0f", "")
    drawn = counts.tail(MOST_ROWS)
    class_names = [str(name) or "(no label)" for name in drawn.index]
    names = chart_names(class_names)
    totals = drawn.sum(axis=1) * scale
    texts = [f" {value:{form}}{unit}" for value in totals]
    figure = go.Figure()
    for column in drawn.columns:
        figure.add_bar(
            x=drawn[column] * scale,
            y=names,
            orientation="h",
            name=titles.get(column, column),
            marker={"color": colours.get(column, ACCENT)},
            hovertext=names,
            hovertemplate=f"%{{hovertext}}: %{{x:{form}}}{unit}<extra>%{{fullData.name}}</extra>",
        )
    figure.add_scatter(
        x=totals,
        y=names,
        mode="text",
        text=texts,
        textposition="middle right",
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )
    has_legend = len(drawn.columns) > 1
    figure.update_layout(
        bare_layout(_BAR_HEIGHT * len(drawn) + (54 if has_legend else 16)),
        barmode="stack",
        bargap=0.32,
        showlegend=has_legend,
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    )
    most = max(totals.max(), 1e-9) if len(totals) else 1
    bar_axis(figure, most, texts)
    class_axis(figure, class_names)
    say_left_out(figure, len(counts) - len(drawn), left_out)
    return figure


def _class_bars(class_names: Sequence[str], values: Sequence[float]) -> go.Figure:
    # Plotly stacks categories upwards, so the first class comes last.
    upwards = class_names[::-1]
    names = chart_names(upwards)
    figure = go.Figure(
        go.Bar(
            x=values[::-1],
            y=names,
            hovertext=names,
            orientation="h",
            textposition="outside",
            textfont_size=_FONT_SIZE,
            cliponaxis=False,
            marker_cornerradius=3,
        )
    )
    figure.update_layout(bare_layout(_BAR_HEIGHT * len(class_names) + 16), bargap=0.32)
    # From 0 to 100 %, so that a long bar means a sure answer.
    bar_axis(figure, 1, [percent(1)])
    class_axis(figure, upwards)
    figure.update_yaxes(ticks="", tickfont_size=_FONT_SIZE, title=None)
    return figure
