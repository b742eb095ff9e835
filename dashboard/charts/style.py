"""What all figures share: colours, axes, margins. Right answers are teal, mistakes orange."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from dashboard.wording.names import MOST_LETTERS, chart_names, tick_names
from har_core.wording import are, counted

ACCENT: Final = "#1b8f89"
MUTED: Final = "rgba(128, 142, 148, 0.45)"
FAINT: Final = "rgba(128, 142, 148, 0.16)"
TRANSPARENT: Final = "rgba(0, 0, 0, 0)"
CONTEXT: Final = "rgba(128, 142, 148, 0.55)"
GRID: Final = "rgba(128, 142, 148, 0.2)"
LINE_COLOURS: Final = (ACCENT, "#d08a2e", "#5a6fa8", "#b3523f", "#8a6a9c", "#6c8f4e")
_LETTER: Final = 7  # pixels, of a number beside a bar
_AXIS: Final = 52  # pixels, of an axis' numbers and title
_NOTE: Final = 26  # pixels, of a line below a figure
Nouns = tuple[str, str]  # of one and of several
_MORE: Final = ("more class", "more classes")
BETWEEN_THESE: Final = ("class between these", "classes between these")
# More rows than these make a page that nobody scrolls through.
MOST_ROWS: Final = 40
NO_TOOLBAR: Final = {"displayModeBar": False}


def base_layout(height: int) -> dict[str, object]:
    """Return the layout of a figure of this height in CSS pixels."""
    return {
        "height": height,
        "margin": {"l": 8, "r": 22, "t": 16, "b": 8},
        "paper_bgcolor": TRANSPARENT,
        "plot_bgcolor": TRANSPARENT,
        "hoverlabel": {"align": "left"},
    }


def bare_layout(height: int) -> dict[str, object]:
    """Return the layout of a figure of this height in CSS pixels that fills its whole width."""
    margin = {"l": 0, "r": 8, "t": 6, "b": 4}
    return {**base_layout(height), "margin": margin, "showlegend": False}


def class_axis(
    figure: go.Figure, class_names: Sequence[str], n_letters: int = MOST_LETTERS
) -> None:
    """Let the vertical axis give each class a row; marks lie at its name from `chart_names`."""
    figure.update_yaxes(
        type="category",  # Plotly would take names such as 10 or 2024-01-01 for numbers and days
        tickvals=chart_names(class_names),
        ticktext=tick_names(class_names, n_letters),
        automargin=True,
        fixedrange=True,
        showgrid=False,
        ticksuffix="  ",
    )


def bar_axis(figure: go.Figure, longest: float, texts: Sequence[str]) -> None:
    """Let bars end at the longest, with room in which the texts at their ends are not cut."""
    figure.update_layout(margin_r=10 + _LETTER * max(map(len, texts), default=0))
    figure.update_xaxes(visible=False, fixedrange=True, range=[0, longest])


def say_left_out(figure: go.Figure, n_left_out: int, which: Nouns = _MORE) -> None:
    """Say below a figure how many rows are not drawn; nothing if all are."""
    if n_left_out <= 0:
        return
    layout = figure.layout
    below = 4 if layout.xaxis.visible is False else _AXIS
    layout.update(height=layout.height + _NOTE, margin_b=below + _NOTE)
    figure.add_annotation(
        text=f"{counted(n_left_out, *which)} {are(n_left_out)} not drawn",
        showarrow=False,
        # Ends at the figure's edge: on a phone the rows' names leave too little room beside them.
        x=1,
        y=0,
        xref="paper",
        yref="paper",
        xanchor="right",
        yanchor="top",
        xshift=layout.margin.r,
        yshift=-below,
        name="left out",
    )


def share_axes(figure: go.Figure, x_title: str, y_title: str) -> None:
    """Let both axes show shares from 0 to 100 %."""
    axis = {"range": [0, 1.01], "tickformat": ".0%", "gridcolor": GRID, "zeroline": False}
    figure.update_xaxes(axis, title=x_title)
    figure.update_yaxes(axis, title=y_title)


def thinned(x: np.ndarray, y: np.ndarray, n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return about `n_points` points of a curve, first and last among them."""
    if len(x) <= n_points:
        return x, y
    kept = np.linspace(0, len(x) - 1, max(n_points, 2)).round().astype(np.int64)
    return x[kept], y[kept]
