"""The confusion matrix as a Plotly figure whose cells can be clicked."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import base_layout
from dashboard.wording.names import chart_names
from har_core.evaluation.confusion import Share, confusion_shares

RIGHT: Final = "rgb(15, 117, 115)"
WRONG: Final = "rgb(200, 96, 22)"
_RIGHT_SCALE: Final = ((0.0, "rgba(15, 117, 115, 0.10)"), (1.0, RIGHT))
_WRONG_SCALE: Final = ((0.0, "rgba(200, 96, 22, 0.10)"), (1.0, WRONG))
# Counts fit into the cells up to here; beyond, hovering tells them.
_MOST_CLASSES_WITH_TEXT: Final = 20
_MOST_COLUMN_LABELS: Final = 60
_MOST_ROW_LABELS: Final = 120
# On a light page, cells need to be strong to carry white text.
_WHITE_TEXT_FROM: Final = 0.8
_DARK_TEXT: Final = "#1b2a30"
_LIGHT_TEXT: Final = "#f4f4f2"


def confusion_figure(
    matrix: np.ndarray,
    class_names: Sequence[str],
    *,
    share: Share = "count",
    order: np.ndarray | None = None,
    hide_diagonal: bool = False,
    selected: tuple[str, str] | None = None,
    on_dark: bool = False,
) -> go.Figure:
    """Draw a confusion matrix whose cells can be clicked.

    Plotly reports no clicks on heatmap cells, so an invisible square marker lies on every cell
    that holds photographs; its ``customdata`` is (true class, predicted class, count, share text).

    Parameters
    ----------
    matrix : ndarray of int, shape (C, C)
        Rows are true classes.
    class_names : sequence of str, length C
    share : {"count", "row", "column"}
        What colours and texts show.
    order : ndarray of int, shape (C,), optional
        Permutation of the classes, first on top; default: as they are.
    hide_diagonal : bool, default False
        Leave out right answers.
    selected : tuple of str, optional
        (true class, predicted class) of the cell to frame.
    on_dark : bool, default False
        Whether the page is dark: decides the colour of texts in faint cells.

    Returns
    -------
    plotly.graph_objects.Figure
        Square cells; right answers and mistakes have colour scales of their own, so that rare
        mistakes stay visible beside a strong diagonal.
    """
    order = np.arange(len(class_names)) if order is None else np.asarray(order)
    names = [class_names[index] for index in order.tolist()]
    counts = matrix[np.ix_(order, order)]
    values = confusion_shares(matrix, share)[np.ix_(order, order)]
    diagonal = np.eye(len(names), dtype=bool)
    labels = chart_names(names)
    figure = go.Figure()
    strength = np.zeros_like(values)
    for cells, scale in ((diagonal, _RIGHT_SCALE), (~diagonal, _WRONG_SCALE)):
        shown = cells & (counts > 0)
        if (hide_diagonal and cells is diagonal) or not shown.any():
            continue
        top = values[shown].max()
        strength[shown] = values[shown] / top
        figure.add_heatmap(
            x=labels,
            y=labels,
            z=np.where(shown, values, np.nan),
            zmin=0,
            zmax=top,
            colorscale=scale,
            showscale=False,
            hoverinfo="skip",
            xgap=1,
            ygap=1,
        )
    clickable = counts > 0
    if hide_diagonal:
        clickable &= ~diagonal
    for chosen, colour in (
        (strength < _WHITE_TEXT_FROM, _LIGHT_TEXT if on_dark else _DARK_TEXT),
        (strength >= _WHITE_TEXT_FROM, _LIGHT_TEXT),
    ):
        cells = np.argwhere(clickable & chosen)
        _add_cell_markers(figure, names, labels, counts, values, cells, colour, share)
    if selected is not None and set(selected) <= set(names):
        column, row = names.index(selected[1]), names.index(selected[0])
        figure.add_shape(
            type="rect",
            x0=column - 0.5,
            x1=column + 0.5,
            y0=row - 0.5,
            y1=row + 0.5,
            line={"color": "#d0a000", "width": 3},
        )
    _style_confusion(figure, labels)
    return figure


def _add_cell_markers(
    figure: go.Figure,
    names: list[str],
    labels: list[str],
    counts: np.ndarray,
    values: np.ndarray,
    cells: np.ndarray,
    colour: str,
    share: Share,
) -> None:
    """Put a marker, and where it fits a text, on each of the `cells`, int, shape (K, 2)."""
    rows, columns = cells[:, 0], cells[:, 1]
    of_what = {"count": "", "row": " of this class", "column": " of these answers"}[share]
    if share == "count":
        texts, details = [f"{n:,}" for n in counts[rows, columns]], [""] * len(rows)
    else:
        texts = [_short_percent(v) for v in values[rows, columns]]
        details = [f", {v:.1%}{of_what}" for v in values[rows, columns]]
    with_text = len(names) <= _MOST_CLASSES_WITH_TEXT
    unchanged = {"marker": {"opacity": 0}, "textfont": {"color": colour}}
    figure.add_scatter(
        x=[labels[column] for column in columns],
        y=[labels[row] for row in rows],
        mode="markers+text" if with_text else "markers",
        text=texts if with_text else None,
        textfont={"size": 12, "color": colour},
        marker={"symbol": "square", "size": _cell_side(len(names)), "opacity": 0},
        selected=unchanged,
        unselected=unchanged,
        customdata=[
            [names[row], names[column], int(counts[row, column]), detail]
            for row, column, detail in zip(rows, columns, details, strict=True)
        ],
        hovertemplate=(
            "is <b>%{y}</b><br>taken for <b>%{x}</b><br>"
            "%{customdata[2]:,} photographs%{customdata[3]}<extra></extra>"
        ),
        showlegend=False,
    )


def _short_percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "<1%"


def _cell_side(n_classes: int) -> float:
    """Return the side of a cell in CSS pixels: less than a label's height with many classes."""
    if n_classes <= _MOST_CLASSES_WITH_TEXT:
        return 31
    return min(max(11, round(900 / n_classes)), 11 * _MOST_ROW_LABELS / n_classes)


def _style_confusion(figure: go.Figure, labels: list[str]) -> None:
    n = len(labels)
    font = {"size": 12 if n <= _MOST_CLASSES_WITH_TEXT else max(8, min(11, round(900 / n)))}
    axis = {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": labels,
        "range": [-0.5, n - 0.5],
        "fixedrange": n <= _MOST_CLASSES_WITH_TEXT,
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
        "tickfont": font,
        "tickmode": "array",
        "automargin": True,
    }
    # Labels, in the same order, only as many as fit.
    columns = labels[:: -(-n // _MOST_COLUMN_LABELS)]
    rows = labels[:: -(-n // _MOST_ROW_LABELS)]
    angle = -90 if n > 8 else 0
    figure.update_xaxes(axis, title="predicted", side="top", tickangle=angle, tickvals=columns)
    upwards = {"autorange": False, "range": [n - 0.5, -0.5]}
    figure.update_yaxes({**axis, **upwards}, title="true", tickvals=rows)
    figure.update_layout(
        base_layout(height=round(_cell_side(n) * n) + 150),
        clickmode="event+select",
        plot_bgcolor="rgba(128, 142, 148, 0.06)",
        dragmode=False if n <= _MOST_CLASSES_WITH_TEXT else "pan",
        hoverdistance=12,
    )
