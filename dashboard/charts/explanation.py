"""A map of what decided, over the picture; pure, and the same in light and dark."""

import io
from typing import Final

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from dashboard.charts.style import TRANSPARENT
from dashboard.wording.names import chart_name
from har_core.images.thumbnails import data_uri
from har_core.model.explanation import CELLS, Explanation, overlay

_SIDE: Final = 340  # fits a phone


def explanation_figure(pixels: np.ndarray, explanation: Explanation) -> go.Figure:
    """Draw an explanation over its picture; hovering names a cell's effect.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (S, S, 3)
        As the model sees the picture.
    explanation : Explanation

    Returns
    -------
    plotly.graph_objects.Figure
        A square of 340 pixels.
    """
    drawn = Image.open(io.BytesIO(overlay(pixels, explanation)))
    buffer = io.BytesIO()
    drawn.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(
        buffer, "JPEG", quality=85
    )
    source = data_uri(buffer.getvalue())
    hover = "hidden: %{fullData.name} %{customdata:+.0f} points<extra></extra>"
    if explanation.method == "gradient":
        hover = "weight %{customdata:.2f}<extra></extra>"
    # Points of probability are lost when an area is hidden, so that a useful one has a minus.
    sign = -100 if explanation.method == "occlusion" else 1
    figure = go.Figure(
        go.Heatmap(
            z=np.zeros((CELLS, CELLS)),
            customdata=sign * explanation.cells,
            opacity=0,
            showscale=False,
            name=chart_name(explanation.action),
            hovertemplate=hover,
        )
    )
    figure.add_layout_image(
        source=source,
        **{"x": -0.5, "y": -0.5, "sizex": CELLS, "sizey": CELLS, "xref": "x", "yref": "y"},
        sizing="stretch",
        layer="below",
    )
    figure.update_xaxes(range=[-0.5, CELLS - 0.5], visible=False, fixedrange=True)
    figure.update_yaxes(range=[CELLS - 0.5, -0.5], visible=False, fixedrange=True)
    figure.update_layout(
        width=_SIDE,
        height=_SIDE,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
    )
    return figure
