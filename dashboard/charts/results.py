"""What a model said of very many photographs; every function is pure and suits light and dark."""

from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.bars import stacked_bars
from dashboard.charts.style import ACCENT, GRID, MUTED, base_layout
from dashboard.wording.answers import VERDICT_WORDS
from har_core.evaluation.calibration import ReliabilityBins
from har_core.wording import counted

VERDICT_COLOURS: Final = {"answered": ACCENT, "unsure": "#d08a2e", "foreign": MUTED}
_BINS: Final = 20
_PARTS_AT_A_TIME: Final = 5
_MOST_STEPS: Final = 60


def answer_bars(counts: pd.DataFrame) -> go.Figure:
    """Draw how often each class is the answer, most often on top.

    Parameters
    ----------
    counts : DataFrame of int
        Index: class. One column per verdict.

    Returns
    -------
    plotly.graph_objects.Figure
        Horizontal bars, stacked by verdict; every class shows its total.
    """
    ordered = counts.loc[counts.sum(axis=1).sort_values(kind="stable").index]
    ordered = ordered.loc[:, ordered.sum().gt(0)]
    return stacked_bars(
        ordered, VERDICT_WORDS, VERDICT_COLOURS, left_out=("rarer answer", "rarer answers")
    )


def confidence_bars(confidence: np.ndarray, verdict: np.ndarray, verdicts: list[str]) -> go.Figure:
    """Draw how sure the model is: photographs in each twentieth of the confidence.

    Parameters
    ----------
    confidence : ndarray of float, shape (N,)
    verdict : ndarray of int, shape (N,)
        Index into `verdicts`.
    verdicts : list of str
    """
    edges = np.linspace(0, 1, _BINS + 1)
    figure = go.Figure()
    for number, name in enumerate(verdicts):
        counts, _ = np.histogram(confidence[verdict == number], edges)
        if counts.any():
            figure.add_bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=counts,
                name=VERDICT_WORDS[name],
                marker={"color": VERDICT_COLOURS[name]},
                customdata=[f"{a:.0%} to {a + 1 / _BINS:.0%}" for a in edges[:-1]],
                hovertemplate="%{customdata} sure: %{y:,}<extra>%{fullData.name}</extra>",
            )
    figure.update_layout(
        base_layout(height=330),
        barmode="stack",
        bargap=0.08,
        showlegend=True,
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    )
    figure.update_xaxes(title="confidence", range=[0, 1], tickformat=".0%", fixedrange=True)
    figure.update_yaxes(title="photographs", gridcolor=GRID, fixedrange=True, automargin=True)
    return figure


def reliability_bars(bins: ReliabilityBins) -> go.Figure:
    """Draw how often the model is right against how sure it is."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        name="perfectly calibrated",
        line={"dash": "dot", "color": MUTED},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=bins.confidence,
        y=bins.accuracy,
        hovertext=[counted(n, "photograph") for n in bins.counts],
        mode="lines+markers",
        name="this model",
        line={"color": ACCENT, "width": 2},
        marker={"size": 9},
        cliponaxis=False,
        hovertemplate="%{hovertext}<br>mean confidence %{x:.1%}<br>"
        "right on %{y:.1%}<extra></extra>",
    )
    figure.update_layout(
        base_layout(height=420), showlegend=True, legend={"orientation": "h", "y": 1.08}
    )
    share = {"range": [0, 1.01], "tickformat": ".0%", "gridcolor": GRID, "fixedrange": True}
    figure.update_xaxes(share, title="mean confidence")
    figure.update_yaxes(share, title="share of right answers")
    return figure


def rate_line(parts: pd.DataFrame) -> go.Figure:
    """Draw how many photographs a second were scored, over time, some parts at a time.

    Parameters
    ----------
    parts : DataFrame
        ``time`` at which ``rows`` were written, sorted by time.
    """
    seconds = (parts["time"] - parts["time"].iloc[0]).dt.total_seconds().to_numpy()
    width = max(seconds[-1] / np.clip(len(parts) // _PARTS_AT_A_TIME, 2, _MOST_STEPS), 1.0)
    # The rows of a part were made before it was written: those of the first one, before the start.
    # The last second belongs to the last step, whatever the division leaves.
    step = np.ceil(seconds[1:] / width - 1e-9).astype(np.int64) - 1
    counts = np.bincount(np.maximum(step, 0), parts["rows"].to_numpy()[1:])
    start = parts["time"].iloc[0]
    times = [start + pd.Timedelta(seconds=width * (i + 0.5)) for i in range(len(counts))]
    figure = go.Figure(
        go.Scatter(
            x=times,
            y=counts / width,
            mode="lines",
            line={"color": ACCENT, "width": 2, "shape": "hvh"},
            fill="tozeroy",
            fillcolor="rgba(27, 143, 137, 0.15)",
            hovertemplate="%{x|%d %b %H:%M} UTC: %{y:,.0f} a second<extra></extra>",
        )
    )
    figure.update_layout(base_layout(height=190), showlegend=False)
    figure.update_xaxes(showgrid=False, fixedrange=True)
    figure.update_yaxes(
        title="a second", gridcolor=GRID, fixedrange=True, rangemode="tozero", automargin=True
    )
    return figure
