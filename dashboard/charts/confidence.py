"""Figures on confidence: calibration, and accuracy against coverage."""

import itertools

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.charts.confusion import RIGHT, WRONG
from dashboard.charts.style import ACCENT, CONTEXT, GRID, base_layout, share_axes
from dashboard.wording.metrics import metric_value
from har_core.evaluation.calibration import ReliabilityBins
from har_core.evaluation.selective import CoverageCurve
from har_core.wording import counted


def reliability_figure(
    bins: dict[str, ReliabilityBins], confidence: np.ndarray, correct: np.ndarray
) -> go.Figure:
    """Draw how often the model is right against how sure it is, over its confidence histogram.

    Parameters
    ----------
    bins : dict of str to ReliabilityBins
        One or two series by name; the last one is the present state.
    confidence : ndarray of float, shape (N,)
        Of the present state.
    correct : ndarray of bool, shape (N,)

    Returns
    -------
    plotly.graph_objects.Figure
        Two rows with a common axis.
    """
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.05)
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        name="perfectly calibrated",
        line={"dash": "dot", "color": CONTEXT},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    for index, (name, series) in enumerate(bins.items()):
        present = index == len(bins) - 1
        figure.add_scatter(
            x=series.confidence,
            y=series.accuracy,
            hovertext=[counted(n, "photograph") for n in series.counts],
            mode="lines+markers",
            name=f"{name} (ECE {metric_value('ece', series.calibration_error)})",
            line={"color": ACCENT if present else CONTEXT, "width": 2},
            marker={"size": 9 if present else 6, "symbol": "circle" if present else "diamond"},
            cliponaxis=False,
            hovertemplate=(
                "%{hovertext}<br>mean confidence %{x:.1%}<br>right on %{y:.1%}"
                f"<extra>{name}</extra>"
            ),
            row=1,
            col=1,
        )
    edges = np.linspace(0, 1, 21)
    for name, chosen, colour in (("right", correct, RIGHT), ("wrong", ~correct, WRONG)):
        counts, _ = np.histogram(confidence[chosen], edges)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=0.046,
            name=name,
            marker={"color": colour},
            customdata=[f"{a:.0%}–{b:.0%}" for a, b in itertools.pairwise(edges)],
            hovertemplate=f"confidence %{{customdata}}<br>%{{y:,}} {name}<extra></extra>",
            row=2,
            col=1,
        )
    figure.update_layout(
        base_layout(height=560),
        barmode="stack",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(range=[0, 1.01], tickformat=".0%", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    figure.update_xaxes(title="confidence", row=2, col=1)
    figure.update_yaxes(title="share right", range=[0, 1.02], tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title="photographs", row=2, col=1)
    return figure


def coverage_figure(
    curve: CoverageCurve,
    coverage: float,
    accuracy: float,
    confidence_alone: CoverageCurve | None = None,
) -> go.Figure:
    """Draw accuracy among answered photographs against their share, with the chosen point.

    Parameters
    ----------
    curve : CoverageCurve
    coverage, accuracy : float
        At the chosen threshold; NaN accuracy draws no point.
    confidence_alone : CoverageCurve, optional
        The same if no photograph were left out because it looks foreign; drawn behind.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    drawn = [("confidence alone", confidence_alone, CONTEXT), ("both reasons", curve, ACCENT)]
    for name, line, colour in drawn:
        if line is None:
            continue
        figure.add_scatter(
            x=line.coverage,
            y=line.accuracy,
            customdata=line.thresholds,
            mode="lines",
            name=name,
            line={"color": colour, "width": 2.5 if line is curve else 1.5},
            hovertemplate=(
                "from confidence %{customdata:.0%}<br>answers %{x:.1%}<br>right on %{y:.1%}"
                "<extra></extra>"
            ),
        )
    if not np.isnan(accuracy):
        figure.add_scatter(
            x=[coverage, coverage, 0],
            y=[0, accuracy, accuracy],
            mode="lines",
            line={"color": WRONG, "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=[coverage],
            y=[accuracy],
            mode="markers",
            marker={"size": 13, "color": WRONG, "line": {"width": 2, "color": "white"}},
            cliponaxis=False,
            hoverinfo="skip",
            showlegend=False,
        )
    figure.update_layout(
        base_layout(height=380),
        showlegend=confidence_alone is not None,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    share_axes(figure, "share of photographs answered", "share right among them")
    low = min(float(line.accuracy.min(initial=1)) for _, line, _ in drawn if line is not None)
    figure.update_xaxes(dtick=0.25)
    figure.update_yaxes(range=[max(0.0, np.floor(low * 10 - 0.5) / 10), 1.02])
    return figure
