"""From data to Plotly figures; every function is pure and every figure suits light and dark."""

from typing import Final

import plotly.graph_objects as go

from dashboard.wording import human_name, percent
from har_core import Prediction

ACCENT: Final = "#1b8f89"
MUTED: Final = "rgba(128, 142, 148, 0.45)"
TRANSPARENT: Final = "rgba(0, 0, 0, 0)"
_BAR_HEIGHT: Final = 26


def probability_bars(prediction: Prediction) -> go.Figure:
    """Draw the probability of every class, most probable on top.

    Parameters
    ----------
    prediction : Prediction
        Of any number of classes.

    Returns
    -------
    plotly.graph_objects.Figure
        Horizontal bars labelled in percent; the most probable class stands out.
    """
    # Plotly stacks categories upwards, so the most probable comes last.
    ranked = prediction.top(len(prediction.probabilities))[::-1]
    values = [probability for _, probability in ranked]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=[human_name(name) for name, _ in ranked],
            orientation="h",
            text=[percent(value) for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={"color": [MUTED] * (len(ranked) - 1) + [ACCENT], "cornerradius": 3},
            hovertemplate="%{y}: %{x:.2%}<extra></extra>",
        )
    )
    figure.update_layout(
        height=_BAR_HEIGHT * len(ranked) + 16,
        margin={"l": 0, "r": 8, "t": 4, "b": 4},
        bargap=0.32,
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        showlegend=False,
    )
    # Room to the right of the longest bar for its label.
    figure.update_xaxes(range=[0, 1.16 * max(values)], visible=False, fixedrange=True)
    figure.update_yaxes(
        automargin=True, fixedrange=True, showgrid=False, ticks="", ticksuffix="  ", title=None
    )
    return figure
