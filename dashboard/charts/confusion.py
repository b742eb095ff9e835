"""The confusion matrix as a Plotly figure whose cells can be clicked."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import TRANSPARENT, base_layout
from dashboard.wording.names import chart_names, tick_names
from har_core.evaluation.confusion import Share, confusion_shares
from har_core.wording import counted

RIGHT: Final = "rgb(15, 117, 115)"
WRONG: Final = "rgb(200, 96, 22)"
_RIGHT_SCALE: Final = ((0.0, "rgba(15, 117, 115, 0.10)"), (1.0, RIGHT))
_WRONG_SCALE: Final = ((0.0, "rgba(200, 96, 22, 0.10)"), (1.0, WRONG))
# Counts fit into the cells up to here; beyond, hovering tells them.
MOST_CLASSES_WITH_TEXT: Final = 20
_MOST_ROW_LABELS: Final = 120
# On a light page, cells need to be strong to carry white text.
_WHITE_TEXT_FROM: Final = 0.8
_DARK_TEXT: Final = "#1b2a30"
_FRAME: Final = "#d0a000"
_LIGHT_TEXT: Final = "#f4f4f2"


def confusion_figure(
    matrix: np.ndarray,
    class_names: Sequence[str],
    *,
    share: Share = "count",
    order: np.ndarray | None = None,
    hide_diagonal: bool = False,
    on_dark: bool = False,
) -> go.Figure:
    """Draw a confusion matrix whose cells can be clicked.

    Plotly reports no clicks on heatmap cells, so a frame that cannot be seen, a bar, lies on every
    cell that holds photographs. Its ``customdata`` is (true class, predicted class, count). Axes
    count classes.

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
    figure = go.Figure()
    strength = np.zeros_like(values)
    for cells, scale in ((diagonal, _RIGHT_SCALE), (~diagonal, _WRONG_SCALE)):
        shown = cells & (counts > 0)
        if (hide_diagonal and cells is diagonal) or not shown.any():
            continue
        top = values[shown].max()
        strength[shown] = values[shown] / top
        figure.add_heatmap(
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
        _add_cells(figure, names, counts, values, cells, colour, share)
    _style_confusion(figure, tick_names(names))
    return figure


def _add_cells(
    figure: go.Figure,
    names: list[str],
    counts: np.ndarray,
    values: np.ndarray,
    cells: np.ndarray,
    colour: str,
    share: Share,
) -> None:
    """Put a bar, and where it fits a text, on each of the `cells`, int, shape (K, 2)."""
    rows, columns = cells[:, 0], cells[:, 1]
    of_what = {"count": "", "row": " of this class", "column": " of these answers"}[share]
    if share == "count":
        texts, shares = [f"{n:,}" for n in counts[rows, columns]], [""] * len(rows)
    else:
        texts = [_short_percent(v) for v in values[rows, columns]]
        shares = [f", {v:.1%}{of_what}" for v in values[rows, columns]]
    labels = chart_names(names)
    figure.add_bar(
        x=columns,
        base=rows - 0.5,
        y=np.ones(len(rows)),
        width=1,
        offset=-0.5,
        cliponaxis=False,
        text=texts if len(names) <= MOST_CLASSES_WITH_TEXT else None,
        textposition="inside",
        insidetextanchor="middle",
        constraintext="none",
        textangle=0,
        # On a phone a cell is little wider than two digits.
        textfont={"size": [12 if len(text) < 3 else 8 for text in texts], "color": colour},
        marker={"opacity": 0, "color": TRANSPARENT, "line": {"color": _FRAME, "width": 3}},
        customdata=[
            [names[row], names[column], int(counts[row, column])]
            for row, column in zip(rows, columns, strict=True)
        ],
        hovertext=[
            f"is <b>{labels[row]}</b><br>taken for <b>{labels[column]}</b><br>"
            f"{counted(counts[row, column], 'photograph')}{share}"
            for row, column, share in zip(rows, columns, shares, strict=True)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )


def _short_percent(share: float) -> str:
    """Return what fits into a cell, of which many lie side by side."""
    return f"{100 * share:.0f}".removeprefix("0")


def _cell_side(n_classes: int) -> float:
    """Return the side of a cell in CSS pixels: less than a label's height with many classes."""
    if n_classes <= MOST_CLASSES_WITH_TEXT:
        return 31
    return min(max(11, round(900 / n_classes)), 11 * _MOST_ROW_LABELS / n_classes)


def _style_confusion(figure: go.Figure, labels: list[str]) -> None:
    n = len(labels)
    font = {"size": 12 if n <= MOST_CLASSES_WITH_TEXT else max(8, min(11, round(900 / n)))}
    axis = {
        "range": [-0.5, n - 0.5],
        "fixedrange": n <= MOST_CLASSES_WITH_TEXT,
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
        "ticklabelstandoff": 4,
        "tickfont": font,
        "tickmode": "array",
        "automargin": True,
    }
    shown = _every(labels, n)
    if n > MOST_CLASSES_WITH_TEXT:
        # Of categories Plotly labels as many as the page's width has room for.
        shown = {"type": "category", "tickmode": "auto", "categoryarray": list(range(n))}
        shown["labelalias"] = {str(column): label for column, label in enumerate(labels)}
    figure.update_xaxes({**axis, **shown}, title="predicted", side="top")
    # Upright where they would lie over each other.
    figure.update_xaxes({"tickangle": -90} if n > 8 else {"autotickangles": [0, -90]})
    shown = _every(labels, _MOST_ROW_LABELS) | {"range": [n - 0.5, -0.5]}
    figure.update_yaxes({**axis, **shown}, title={"text": "true", "standoff": 4})
    figure.update_layout(
        base_layout(height=round(_cell_side(n) * n) + 150),
        margin_r=2,
        margin_pad=0,  # the theme's 8 all around is what a phone's cells need
        barmode="overlay",
        clickmode="event",
        plot_bgcolor="rgba(128, 142, 148, 0.06)",
        dragmode=False if n <= MOST_CLASSES_WITH_TEXT else "pan",
        hoverdistance=12,
    )


def _every(labels: list[str], most: int) -> dict[str, object]:
    """Return ticks for as many of the labels, evenly chosen, as fit."""
    step = -(-len(labels) // most)
    return {"tickvals": list(range(0, len(labels), step)), "ticktext": labels[::step]}
