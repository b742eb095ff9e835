"""From evaluations to Plotly figures; pure functions, colour-blind safe, for light and dark.

Right answers are teal, mistakes orange; what is only context is grey.
"""

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.charts import ACCENT, TRANSPARENT
from dashboard.evaluation_wording import class_metric, class_share
from dashboard.wording import chart_name, chart_names
from har_core.evaluation.calibration import ReliabilityBins
from har_core.evaluation.confusion import Share, confusion_shares
from har_core.evaluation.curves import RankingCurves
from har_core.evaluation.selective import CoverageCurve

RIGHT: Final = "rgb(15, 117, 115)"
WRONG: Final = "rgb(200, 96, 22)"
CONTEXT: Final = "rgba(128, 142, 148, 0.55)"
GRID: Final = "rgba(128, 142, 148, 0.2)"
NO_TOOLBAR: Final = {"displayModeBar": False}
LINE_COLOURS: Final = (ACCENT, "#d08a2e", "#5a6fa8", "#b3523f", "#8a6a9c", "#6c8f4e")
_RIGHT_SCALE: Final = ((0.0, "rgba(15, 117, 115, 0.10)"), (1.0, RIGHT))
_WRONG_SCALE: Final = ((0.0, "rgba(200, 96, 22, 0.10)"), (1.0, WRONG))
# Counts fit into the cells up to here; beyond, hovering tells them.
_MOST_CLASSES_WITH_TEXT: Final = 20
_MOST_COLUMN_LABELS: Final = 60
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


def _cell_side(n_classes: int) -> int:
    return 31 if n_classes <= _MOST_CLASSES_WITH_TEXT else max(11, round(900 / n_classes))


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
        "tickvals": labels,
        "automargin": True,
    }
    # Every class has its row label; columns, in the same order, only as many as fit.
    columns = labels[:: -(-n // _MOST_COLUMN_LABELS)]
    figure.update_xaxes(axis, title="predicted", side="top", tickangle=-90 if n > 8 else 0)
    figure.update_xaxes(tickvals=columns)
    figure.update_yaxes(axis, title="true", autorange=False, range=[n - 0.5, -0.5])
    figure.update_layout(
        _layout(height=_cell_side(n) * n + 150),
        clickmode="event+select",
        plot_bgcolor="rgba(128, 142, 148, 0.06)",
        dragmode=False if n <= _MOST_CLASSES_WITH_TEXT else "pan",
        hoverdistance=12,
    )


def ranking_figure(
    curves: Sequence[RankingCurves],
    class_names: Sequence[str],
    micro: RankingCurves,
    *,
    kind: str,
    highlighted: Sequence[str] = (),
) -> go.Figure:
    """Draw precision–recall or ROC curves, each class against the rest.

    Parameters
    ----------
    curves : sequence of RankingCurves, length C
    class_names : sequence of str, length C
    micro : RankingCurves
        Over all (photograph, class) pairs.
    kind : {"precision_recall", "roc"}
    highlighted : sequence of str
        Classes to draw in colour; the others are grey context.

    Returns
    -------
    plotly.graph_objects.Figure
        Areas are in the legend, computed from all photographs; grey curves of many classes are
        thinned further.
    """
    is_roc = kind == "roc"
    area = "AUC" if is_roc else "AP"
    figure = go.Figure()
    if is_roc:
        figure.add_scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"dash": "dot", "color": CONTEXT, "width": 1},
            hoverinfo="skip",
            showlegend=False,
        )
    others = [
        (name, *_thinned(*_points(curve, is_roc), 4000 // len(class_names)))
        for name, curve in zip(class_names, curves, strict=True)
        if name not in highlighted
    ]
    if others:
        figure.add_scatter(
            x=np.concatenate([np.append(x, np.nan) for _, x, _ in others]),
            y=np.concatenate([np.append(y, np.nan) for _, _, y in others]),
            text=[chart_name(name) for name, x, _ in others for _ in range(len(x) + 1)],
            mode="lines",
            name="other classes" if highlighted else "each class",
            line={"color": CONTEXT, "width": 1},
            hovertemplate="%{text}<extra></extra>",
        )
    chosen = [(n, c) for n, c in zip(class_names, curves, strict=True) if n in highlighted]
    for index, (name, curve) in enumerate(chosen):
        x, y = _points(curve, is_roc)
        value = curve.roc_area if is_roc else curve.average_precision
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            name=f"{chart_name(name)} ({area} {value:.3f})",
            line={
                "color": LINE_COLOURS[index % len(LINE_COLOURS)],
                "width": 2.5,
                "dash": ("solid", "dash", "dot")[index // len(LINE_COLOURS) % 3],
            },
            hovertemplate=f"{chart_name(name)}<br>%{{x:.1%}}, %{{y:.1%}}<extra></extra>",
        )
    x, y = _points(micro, is_roc)
    value = micro.roc_area if is_roc else micro.average_precision
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        name=f"all classes pooled ({area} {value:.3f})",
        line={"color": "#808e94", "width": 3, "dash": "dash"},
        hovertemplate="pooled<br>%{x:.1%}, %{y:.1%}<extra></extra>",
    )
    titles = ("false positive rate", "true positive rate") if is_roc else ("recall", "precision")
    figure.update_layout(_layout(height=480), legend={"orientation": "h", "y": -0.16})
    _share_axes(figure, *titles)
    return figure


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
            customdata=series.counts,
            mode="lines+markers",
            name=f"{name} (ECE {series.calibration_error:.3f})",
            line={"color": ACCENT if present else CONTEXT, "width": 2},
            marker={"size": 9 if present else 6, "symbol": "circle" if present else "diamond"},
            hovertemplate=(
                "%{customdata:,} photographs<br>mean confidence %{x:.1%}<br>right on %{y:.1%}"
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
        _layout(height=560),
        barmode="stack",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(range=[0, 1.01], tickformat=".0%", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    figure.update_xaxes(title="confidence", row=2, col=1)
    figure.update_yaxes(title="share right", range=[0, 1.02], tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title="photographs", row=2, col=1)
    return figure


def coverage_figure(curve: CoverageCurve, coverage: float, accuracy: float) -> go.Figure:
    """Draw accuracy among answered photographs against their share, with the chosen point.

    Parameters
    ----------
    curve : CoverageCurve
    coverage, accuracy : float
        At the chosen threshold; NaN accuracy draws no point.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure(
        go.Scatter(
            x=curve.coverage,
            y=curve.accuracy,
            customdata=curve.thresholds,
            mode="lines",
            line={"color": ACCENT, "width": 2.5},
            hovertemplate=(
                "from confidence %{customdata:.2f}<br>answers %{x:.1%}<br>right on %{y:.1%}"
                "<extra></extra>"
            ),
        )
    )
    if not np.isnan(accuracy):
        figure.add_scatter(
            x=[coverage, coverage, 0],
            y=[0, accuracy, accuracy],
            mode="lines",
            line={"color": WRONG, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=[coverage],
            y=[accuracy],
            mode="markers",
            marker={"size": 13, "color": WRONG, "line": {"width": 2, "color": "white"}},
            hoverinfo="skip",
        )
    figure.update_layout(_layout(height=380), showlegend=False)
    _share_axes(figure, "share of photographs answered", "share right among them")
    low = float(curve.accuracy.min())
    figure.update_xaxes(dtick=0.25)
    figure.update_yaxes(range=[max(0.0, np.floor(low * 10 - 0.5) / 10), 1.02])
    return figure


def per_class_figure(table: pd.DataFrame) -> go.Figure:
    """Draw the F1 score of every class with its interval, best on top; none where undefined.

    Parameters
    ----------
    table : DataFrame
        As from `EvaluationResult.per_class`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    ranked = table.sort_values("f1", kind="stable")
    figure = go.Figure(
        go.Scatter(
            x=class_metric(ranked, "f1"),
            y=chart_names(ranked["class"].tolist()),
            mode="markers",
            marker={"size": 9, "color": ACCENT},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": ranked["f1_high"] - ranked["f1"],
                "arrayminus": ranked["f1"] - ranked["f1_low"],
                "color": ACCENT,
                "thickness": 1.5,
                "width": 0,
            },
            customdata=np.column_stack(
                [
                    class_metric(ranked, "precision").map(class_share),
                    class_metric(ranked, "recall").map(class_share),
                    ranked[["support", "f1_low", "f1_high"]],
                ]
            ),
            hovertemplate=(
                "<b>%{y}</b><br>F1 %{x:.1%} (%{customdata[3]:.1%} – %{customdata[4]:.1%})<br>"
                "precision %{customdata[0]}, recall %{customdata[1]}<br>"
                "%{customdata[2]:,} photographs<extra></extra>"
            ),
        )
    )
    figure.update_layout(_layout(height=22 * len(ranked) + 70))
    figure.update_xaxes(title="F1", range=[0, 1.01], tickformat=".0%", gridcolor=GRID)
    figure.update_yaxes(automargin=True, showgrid=False, ticks="", dtick=1, title=None)
    figure.update_xaxes(zeroline=False)
    return figure


def _points(curve: RankingCurves, is_roc: bool) -> tuple[np.ndarray, np.ndarray]:
    if is_roc:
        return curve.false_positive_rate, curve.true_positive_rate
    return curve.recall, curve.precision


def _thinned(x: np.ndarray, y: np.ndarray, n_points: int) -> tuple[np.ndarray, np.ndarray]:
    if len(x) <= n_points:
        return x, y
    kept = np.linspace(0, len(x) - 1, max(n_points, 2)).round().astype(np.int64)
    return x[kept], y[kept]


def _layout(height: int) -> dict[str, object]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 22, "t": 16, "b": 8},
        "paper_bgcolor": TRANSPARENT,
        "plot_bgcolor": TRANSPARENT,
        "hoverlabel": {"align": "left"},
    }


def _share_axes(figure: go.Figure, x_title: str, y_title: str) -> None:
    axis = {"range": [0, 1.01], "tickformat": ".0%", "gridcolor": GRID, "zeroline": False}
    figure.update_xaxes(axis, title=x_title)
    figure.update_yaxes(axis, title=y_title)
