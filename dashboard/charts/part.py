"""A photograph on which a box is dragged, and the box that was chosen; fits light and dark."""

from typing import Final

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import ACCENT, TRANSPARENT
from har_core.images.thumbnails import data_uri

_LARGEST: Final = (340, 420)  # fits a phone
_SMALLEST: Final = 60  # of a side that a finger can still drag on
_GRID: Final = 26  # invisible marks each way, which a box must hold one of to count
_SHADE: Final = "rgba(0, 0, 0, 0.55)"
Range = tuple[int, int]


def part_figure(preview: bytes, shape: tuple[int, int], across: Range, down: Range) -> go.Figure:
    """Draw a photograph, dark outside of a box; dragging selects another one.

    Parameters
    ----------
    preview : bytes
        A JPEG of the photograph.
    shape : tuple of int
        Its width and height in pixels.
    across, down : tuple of int
        Edges of the box in percent of width and height, from the left and from the top.

    Returns
    -------
    plotly.graph_objects.Figure
        Its axes count percent.
    """
    marks = np.linspace(0, 100, _GRID)
    x, y = np.meshgrid(marks, marks)
    invisible = {"marker": {"opacity": 0}}
    figure = go.Figure(
        go.Scatter(
            x=x.ravel(),
            y=y.ravel(),
            mode="markers",
            hoverinfo="skip",
            selected=invisible,
            unselected=invisible,
            **invisible,
        )
    )
    figure.add_layout_image(
        source=data_uri(preview),
        **{"x": 0, "y": 0, "sizex": 100, "sizey": 100, "xref": "x", "yref": "y"},
        sizing="stretch",
        layer="below",
    )
    (left, right), (top, bottom) = across, down
    for x0, y0, x1, y1 in (
        (0, 0, 100, top),
        (0, bottom, 100, 100),
        (0, top, left, bottom),
        (right, top, 100, bottom),
    ):
        figure.add_shape(
            type="rect", x0=x0, y0=y0, x1=x1, y1=y1, fillcolor=_SHADE, line={"width": 0}
        )
    figure.add_shape(
        type="rect", x0=left, y0=top, x1=right, y1=bottom, line={"color": ACCENT, "width": 2}
    )
    figure.update_xaxes(range=[0, 100], visible=False, fixedrange=True)
    figure.update_yaxes(range=[100, 0], visible=False, fixedrange=True)
    scale = min(_LARGEST[0] / shape[0], _LARGEST[1] / shape[1])
    figure.update_layout(
        width=max(round(scale * shape[0]), _SMALLEST),
        height=max(round(scale * shape[1]), _SMALLEST),
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        dragmode="select",
        showlegend=False,
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
    )
    return figure
