"""Figures on classes and rankings: per-class results, curves, distributions, comparisons."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import (
    ACCENT,
    BETWEEN_THESE,
    CONTEXT,
    GRID,
    LINE_COLOURS,
    MOST_ROWS,
    base_layout,
    class_axis,
    say_left_out,
    share_axes,
    thinned,
)
from dashboard.wording.metrics import class_metric, class_share
from dashboard.wording.names import chart_name, chart_names, tick_names
from har_core.evaluation.curves import RankingCurves
from har_core.wording import counted


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
        (name, *thinned(*_points(curve, is_roc), 4000 // len(class_names)))
        for name, curve in zip(class_names, curves, strict=True)
        if name not in highlighted
    ]
    if others:
        figure.add_scatter(
            x=np.concatenate([np.append(x, np.nan) for _, x, _ in others]),
            y=np.concatenate([np.append(y, np.nan) for _, _, y in others]),
            text=np.repeat(
                [chart_name(name) for name, *_ in others], [len(x) + 1 for _, x, _ in others]
            ),
            mode="lines",
            name="other classes" if highlighted else "each class",
            line={"color": CONTEXT, "width": 1},
            hovertemplate="%{text}<extra></extra>",
        )
    chosen = [(n, c) for n, c in zip(class_names, curves, strict=True) if n in highlighted]
    legend_names = tick_names([name for name, _ in chosen])
    for index, (name, curve) in enumerate(chosen):
        x, y = _points(curve, is_roc)
        value = curve.roc_area if is_roc else curve.average_precision
        told = f"{area} {value:.3f}" if len(x) else "undefined"
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            name=f"{legend_names[index]} ({told})",
            meta=chart_name(name),
            line={
                "color": LINE_COLOURS[index % len(LINE_COLOURS)],
                "width": 2.5,
                "dash": ("solid", "dash", "dot")[index // len(LINE_COLOURS) % 3],
            },
            hovertemplate="%{meta}<br>%{x:.1%}, %{y:.1%}<extra></extra>",
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
    # Below it would lie over the axis' title on a phone.
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(base_layout(height=480), legend=legend)
    share_axes(figure, *titles)
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
    if len(ranked) > MOST_ROWS:
        ranked = pd.concat([ranked.head(MOST_ROWS // 2), ranked.tail(MOST_ROWS // 2)])
    class_names = ranked["class"].tolist()
    names = chart_names(class_names)
    figure = go.Figure(
        go.Scatter(
            x=class_metric(ranked, "f1"),
            y=names,
            hovertext=names,
            mode="markers",
            marker={"size": 9, "color": ACCENT},
            cliponaxis=False,
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
                    [counted(n, "photograph") for n in ranked["support"]],
                    ranked[["f1_low", "f1_high"]],
                ]
            ),
            hovertemplate=(
                "<b>%{hovertext}</b><br>"
                "F1 %{x:.1%} (%{customdata[3]:.1%} – %{customdata[4]:.1%})<br>"
                "precision %{customdata[0]}, recall %{customdata[1]}<br>"
                "%{customdata[2]}<extra></extra>"
            ),
        )
    )
    figure.update_layout(base_layout(height=22 * len(ranked) + 70))
    figure.update_xaxes(title="F1", range=[0, 1.01], tickformat=".0%", gridcolor=GRID)
    figure.update_xaxes(zeroline=False)
    class_axis(figure, class_names)
    figure.update_yaxes(ticks="", title=None)
    say_left_out(figure, len(table) - len(ranked), BETWEEN_THESE)
    return figure


def _points(curve: RankingCurves, is_roc: bool) -> tuple[np.ndarray, np.ndarray]:
    if is_roc:
        return curve.false_positive_rate, curve.true_positive_rate
    return curve.recall, curve.precision
