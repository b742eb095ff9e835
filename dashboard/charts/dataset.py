"""The Dataset page's figures; every function is pure and every figure suits light and dark."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.bars import stacked_bars
from dashboard.charts.style import (
    ACCENT,
    BETWEEN_THESE,
    MOST_ROWS,
    MUTED,
    TRANSPARENT,
    bar_axis,
    bare_layout,
    class_axis,
    say_left_out,
)
from dashboard.wording.names import chart_name, chart_names, chart_text, tick_names
from har_core.dataset.splits import SEVERAL_SPLITS
from har_core.wording import counted

_BAR_HEIGHT: Final = 26
_NARROW_LETTERS: Final = 18  # of a class beside a list; Plotly cuts longer names there
_GREY_INK: Final = "rgba(128, 142, 148, 0.9)"
_SPLIT_COLOURS: Final = {
    "train": ACCENT,
    "validation": "#d08a2e",
    "test": "#5a6fa8",
    "": "rgba(128, 142, 148, 0.45)",
}
_IN_SEVERAL: Final = "#b3523f"
SPLIT_TITLES: Final = {"": "no split"}
# Fifteen hues of middle lightness, so that they stand out on white and on black; neighbours in the
# list are far apart on the colour circle.
CLASS_COLOURS: Final = (
    *("#1b8f89", "#d08a2e", "#5a6fa8", "#b3523f", "#6c8f4e"),
    *("#8a6a9c", "#3f8fc4", "#c2577e", "#94863a", "#4b9e6b"),
    *("#a3744b", "#7480d6", "#cf6a4a", "#2f9fb0", "#9a9a9a"),
)


def split_colours(splits: Iterable[str]) -> dict[str, str]:
    """Return the colours of splits; what is in several of them has one of its own."""
    return {name: _IN_SEVERAL for name in splits if SEVERAL_SPLITS in name} | _SPLIT_COLOURS


def class_balance(
    counts: pd.DataFrame, *, shares: bool = False, by_name: bool = False
) -> go.Figure:
    """Draw how many photographs each class has.

    Parameters
    ----------
    counts : DataFrame of int
        Index: class. One column per split, or a single one.
    shares : bool
        Percentages of all photographs instead of counts.
    by_name : bool
        Sort by name instead of count.

    Returns
    -------
    plotly.graph_objects.Figure
        Horizontal bars, stacked by column; every class shows its total.
    """
    # Plotly stacks categories upwards.
    counts = counts.sort_index(ascending=False)
    if not by_name:
        counts = counts.loc[counts.sum(axis=1).sort_values(kind="stable").index]
    alike = by_name or counts.sum(axis=1).nunique() == 1
    which = ("more class", "more classes") if alike else ("smaller class", "smaller classes")
    colours = split_colours(counts)
    return stacked_bars(counts, SPLIT_TITLES, colours, shares=shares, left_out=which)


def size_scatter(
    photographs: pd.DataFrame, highlighted: str | None = None, *, input_side: int | None = None
) -> go.Figure:
    """Draw width against height, one mark per size that occurs.

    Parameters
    ----------
    photographs : DataFrame
        ``width``, ``height``, ``label`` of a scan; rows without a size are left out.
    highlighted : str, optional
        A class to draw in colour over the others.
    input_side : int, optional
        Side of the square picture that a network sees, in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        The area of a mark grows with the number of photographs of that size; dotted lines show
        the network's input side if it is given.
    """
    sized = photographs.dropna(subset=["width"])
    figure = go.Figure()
    layers = [("all photographs", sized, MUTED if highlighted else ACCENT)]
    if highlighted:
        layers.append((chart_name(highlighted), sized[sized["label"] == highlighted], ACCENT))
    for name, rows, colour in layers:
        sizes = rows.groupby(["width", "height"]).size().reset_index(name="n")
        figure.add_trace(
            go.Scattergl(
                x=sizes["width"],
                y=sizes["height"],
                mode="markers",
                name=name,
                marker={
                    "color": colour,
                    "size": np.clip(3 + 1.6 * np.sqrt(sizes["n"]), 4, 26),
                    "opacity": 0.65,
                    "line": {"width": 0},
                },
                hovertext=[counted(n, "photograph") for n in sizes["n"]],
                hovertemplate="%{x} × %{y} pixels: %{hovertext}<extra></extra>",
            )
        )
    figure.update_layout(bare_layout(380))
    if input_side is not None:
        for add in (figure.add_vline, figure.add_hline):
            add(input_side, line={"color": _GREY_INK, "dash": "dot", "width": 1})
        figure.add_annotation(
            x=0.995,
            xref="paper",
            y=input_side,
            text=f"{input_side} px, the network's input",
            showarrow=False,
            xanchor="right",
            yanchor="bottom",
            font={"size": 11},
        )
    figure.update_xaxes(title="Width (pixels)", rangemode="tozero")
    figure.update_yaxes(title="Height (pixels)", rangemode="tozero")
    return figure


def distribution_by_class(
    values: pd.Series, labels: pd.Series, *, title: str, unit: str = ""
) -> go.Figure:
    """Draw the quartiles of a property for each class, widest median last.

    Parameters
    ----------
    values : Series of float
        NaN is left out.
    labels : Series of str
        Class of each.
    title : str
        Of the value axis.
    unit : str
        Behind numbers in tooltips.

    Returns
    -------
    plotly.graph_objects.Figure
        One box per class: median, quartiles, 5th and 95th percentile.
    """
    usable = values.notna() & labels.ne("")
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    quantiles = values[usable].astype(float).groupby(labels[usable]).quantile(levels).unstack()
    # Without a single value there are no columns.
    quantiles = quantiles.reindex(columns=levels).sort_values(0.5)
    n_classes = len(quantiles)
    if n_classes > MOST_ROWS:
        quantiles = pd.concat([quantiles.head(MOST_ROWS // 2), quantiles.tail(MOST_ROWS // 2)])
    low, q1, median, q3, high = (quantiles[level] for level in levels)
    class_names = list(quantiles.index.map(str))
    names = chart_names(class_names)
    figure = go.Figure(
        go.Box(
            y=names,
            lowerfence=low,
            q1=q1,
            median=median,
            q3=q3,
            upperfence=high,
            orientation="h",
            marker={"color": ACCENT},
            line={"width": 1.4},
            fillcolor="rgba(27, 143, 137, 0.25)",
            hoverinfo="skip",
        )
    )
    form = ",.3~r"  # three digits, without an exponent
    # Boxes made of quantiles have wordy tooltips; an invisible mark on the median says it shortly.
    figure.add_scatter(
        x=median,
        y=names,
        mode="markers",
        marker={"opacity": 0, "size": 18},
        hovertext=names,
        customdata=np.column_stack([low, q1, q3, high]),
        hovertemplate=(
            f"%{{hovertext}}: median %{{x:{form}}}{unit}<br>half of them between "
            f"%{{customdata[1]:{form}}} and %{{customdata[2]:{form}}}{unit}<extra></extra>"
        ),
    )
    figure.update_layout(bare_layout(_BAR_HEIGHT * len(quantiles) + 60))
    figure.update_xaxes(title=title)
    class_axis(figure, class_names)
    say_left_out(figure, n_classes - len(quantiles), BETWEEN_THESE)
    return figure


def photo_map(
    points: pd.DataFrame, groups: pd.Series, *, colours: dict[str, str] | None = None
) -> go.Figure:
    """Draw photographs as points; alike ones are close to each other.

    Parameters
    ----------
    points : DataFrame
        ``x``, ``y``, ``filename``.
    groups : Series of str
        What to colour by.
    colours : dict of str to str, optional
        Colour by value, the most frequent one first in the legend; default: `CLASS_COLOURS` in
        turn by name, and grey for all but the 40 most frequent values.

    Returns
    -------
    plotly.graph_objects.Figure
        One trace per group, with ``customdata`` holding the points' index; axes carry no meaning
        and are hidden.
    """
    order = groups.value_counts().index.tolist()
    if colours is None:
        names, n_others = sorted(order[:MOST_ROWS]), len(order[MOST_ROWS:])
        colours = {n: CLASS_COLOURS[i % len(CLASS_COLOURS)] for i, n in enumerate(names)}
        order = names
        if n_others:
            others = counted(n_others, "smaller class", "smaller classes")
            groups, order = groups.where(groups.isin(names), others), [*names, others]
    figure = go.Figure()
    for group, legend_name in zip(order, tick_names(list(map(str, order))), strict=True):
        rows = points[groups == group]
        figure.add_trace(
            go.Scattergl(
                x=rows["x"],
                y=rows["y"],
                mode="markers",
                name=legend_name or "none",
                meta=chart_name(str(group)) or "none",
                marker={"color": colours.get(group, MUTED), "size": 5, "opacity": 0.75},
                customdata=rows.index,
                text=rows["filename"].map(chart_text),
                hovertemplate="%{text}<extra>%{meta}</extra>",
            )
        )
    figure.update_layout(bare_layout(560))
    figure.update_layout(
        dragmode="lasso",
        showlegend=True,
        # Below: beside the map it would lie under the tools, and on a phone leave half the width.
        legend={
            "itemsizing": "constant",
            "title": None,
            "font": {"size": 12},
            "orientation": "h",
            "yanchor": "top",
            "y": 0,
        },
        modebar={"bgcolor": TRANSPARENT, "color": _GREY_INK, "activecolor": ACCENT},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


def chosen_points(event: Mapping[str, Any]) -> list[int]:
    """Return the index of each point that was selected on a `photo_map`, as Streamlit tells it."""
    data = [point.get("customdata") for point in event["selection"]["points"]]
    return [int(value[0] if isinstance(value, list) else value) for value in data]


def noise_by_class(by_class: pd.DataFrame) -> go.Figure:
    """Draw the share of contradicted labels; see `har_core.analysis.suspects.LabelSuspects`."""
    table = by_class.sort_values("noise").tail(MOST_ROWS)
    ordered, low, high = table["noise"], table["noise_low"], table["noise_high"]
    class_names = list(table.index.map(str))
    names = chart_names(class_names)
    figure = go.Figure(
        go.Bar(
            x=100 * ordered,
            y=names,
            orientation="h",
            marker={"color": ACCENT, "cornerradius": 3},
            error_x={
                "array": 100 * (high - ordered).clip(lower=0),
                "arrayminus": 100 * (ordered - low).clip(lower=0),
                "color": MUTED,
                "thickness": 1,
                "width": 0,
            },
            hovertext=names,
            hovertemplate="%{hovertext}: %{x:.1f} %<extra></extra>",
        )
    )
    # Beside the intervals, which would cross texts at the bars' ends.
    texts = [
        {
            "x": 100 * end,
            "y": row,  # Plotly would take the name 10 for the eleventh row
            "text": f"{share:.0%} of {n:,}".replace("%", "\N{NO-BREAK SPACE}%"),
            "showarrow": False,
            "xanchor": "left",
            "xshift": 5,
        }
        for row, (share, end, n) in enumerate(zip(ordered, high, table["photographs"], strict=True))
    ]
    # All at once: Plotly checks those that are there again with each that is added.
    figure.update_layout(annotations=texts)
    figure.update_layout(bare_layout(_BAR_HEIGHT * len(ordered) + 16), bargap=0.32)
    bar_axis(figure, max(100 * high.max(), 1), [text["text"] for text in texts])
    class_axis(figure, class_names, _NARROW_LETTERS)
    say_left_out(figure, len(by_class) - len(table), ("class with fewer", "classes with fewer"))
    return figure


def issue_counts(counts: Sequence[tuple[str, int]]) -> go.Figure:
    """Draw how many photographs have each kind of issue, given as (title, count) pairs."""
    ordered = sorted(counts, key=lambda pair: pair[1])
    values = [count for _, count in ordered]
    texts = [f"{value:,}" for value in values]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=[title for title, _ in ordered],
            orientation="h",
            marker={"color": ACCENT, "cornerradius": 3},
            text=texts,
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,}<extra></extra>",
        )
    )
    figure.update_layout(bare_layout(_BAR_HEIGHT * len(ordered) + 16), bargap=0.32)
    bar_axis(figure, max([*values, 1]), texts)
    figure.update_yaxes(automargin=True, fixedrange=True, ticksuffix="  ", showgrid=False)
    return figure
