"""The charts of a training run: loss and accuracy, epoch by epoch."""

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.charts.style import ACCENT, CONTEXT, GRID, base_layout

_HEIGHT: Final = 284
_CURVES: Final = (
    ("training_loss", "training", 1, CONTEXT),
    ("validation_loss", "validation", 1, ACCENT),
    ("training_top1", "training", 2, CONTEXT),
    ("validation_top1", "validation", 2, ACCENT),
)


def training_curves(rows: Sequence[dict[str, Any]]) -> go.Figure:
    """Draw loss and top-1 accuracy over the epochs of a run.

    Parameters
    ----------
    rows : sequence of dict
        Of the run's log: ``training_loss``, and where they were measured ``training_top1``,
        ``validation_top1`` and ``validation_calibrated_log_loss`` or ``validation_log_loss``.
    """
    figure = make_subplots(1, 2, subplot_titles=("Log loss", "Top-1 accuracy"))
    for key, name, column, colour in _CURVES:
        values = [_value(row, key) for row in rows]
        if all(value is None for value in values):
            continue
        figure.add_trace(
            go.Scatter(
                x=list(range(1, len(rows) + 1)),
                y=values,
                name=name,
                mode="lines+markers",
                line={"color": colour, "width": 2},
                marker={"size": 5},
                legendgroup=name,
                showlegend=not any(trace.name == name for trace in figure.data),
                hovertemplate="%{x}: %{y:.3f}" if column == 1 else "%{x}: %{y:.1%}",
            ),
            row=1,
            col=column,
        )
    # Above the charts' titles: below it would lie over the axes' ones.
    legend = {"orientation": "h", "yref": "container", "y": 1, "yanchor": "top"}
    figure.update_layout(base_layout(_HEIGHT), margin={"t": 58}, legend=legend)
    figure.update_xaxes(title="epoch", dtick=1 if len(rows) <= 12 else None, gridcolor=GRID)
    figure.update_yaxes(gridcolor=GRID, fixedrange=True)
    # Where all are right, Plotly would go on to 200 %.
    figure.update_yaxes(
        tickformat=".0%", autorangeoptions={"minallowed": -0.02, "maxallowed": 1.02}, col=2
    )
    return figure


def _value(row: dict[str, Any], key: str) -> float | None:
    if key == "validation_loss":
        return row.get("validation_calibrated_log_loss", row.get("validation_log_loss"))
    return row.get(key)
