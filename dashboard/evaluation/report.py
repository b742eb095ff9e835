"""An evaluation as one HTML file with interactive plots, which opens without a network."""

from collections.abc import Callable
from html import escape
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from dashboard.charts import ranking as charts
from dashboard.charts.confidence import coverage_figure, reliability_figure
from dashboard.charts.confusion import confusion_figure
from dashboard.wording.metrics import (
    METRIC_MEANINGS,
    abstention_sentence,
    calibration_sentence,
    class_share,
    metric_interval,
    metric_value,
    what_was_measured,
)
from dashboard.wording.names import human_name, name_in_text
from har_core.evaluation.bootstrap import N_RESAMPLES
from har_core.evaluation.calibration import reliability_bins
from har_core.evaluation.confusion import most_confused_pairs
from har_core.evaluation.curves import DRAWN_POINTS, macro_areas
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.selective import answer_above, coverage_curve
from har_core.evaluation.store import Evaluation
from har_core.evaluation.totals import METRIC_TITLES
from har_core.images.thumbnails import data_uri
from har_core.wording import counted

_LISTED_MISTAKES: Final = 30
_THRESHOLDS: Final = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
_STYLE: Final = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1b2a30; background: #fbfaf7;
       max-width: 980px; margin: 0 auto; padding: 1.5rem; }
h1, h2 { font-family: Georgia, serif; font-weight: 600; line-height: 1.2; }
h2 { margin-top: 2.6rem; border-top: 1px solid #ddd7ca; padding-top: 1.2rem; }
.muted, caption, small { color: #5c6b70; }
.caveat { border-left: 4px solid #b4690e; background: #f6ead8; padding: .6rem 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid #e6e1d6; }
td:not(:last-child) { white-space: nowrap; }
.mistakes { display: grid; gap: 1rem;
            grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
figure { margin: 0; font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere; }
figure img, .none { width: 100%; height: 120px; object-fit: contain; background: #f0ede5; }
.none { display: flex; align-items: center; justify-content: center; color: #5c6b70; }
"""


def render_report(
    evaluation: Evaluation,
    caveats: list[str],
    picture_of: Callable[[str], bytes | None] = lambda filename: None,
) -> str:
    """Return a self-contained HTML page.

    Parameters
    ----------
    evaluation : Evaluation
    caveats : list of str
        As from `har_core.evaluation.caveats.caveats`; shown on top.
    picture_of : callable, optional
        From a filename to a thumbnail (JPEG), or None where there is none to show.

    Returns
    -------
    str
        About 5 MB, nearly all of it the plotting library, which is in it once, and 8 KB for the
        thumbnail of each listed mistake.
    """
    result = evaluation.result
    title = f"{evaluation.model}: {evaluation.name}"
    sections = [
        f"<h1>How good is {escape(evaluation.model)}?</h1>",
        f'<p class="muted">{escape(what_was_measured(evaluation))}</p>',
        *(f'<p class="caveat">{escape(caveat)}</p>' for caveat in caveats),
        _headline(result),
        _confusions(result),
        _classes(result),
        _curves(result),
        _confidence(result, evaluation.temperature),
        _mistakes(result, picture_of),
        _method(evaluation),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head>\n<body>"
        + "\n".join(sections)
        + "</body></html>\n"
    )


def _headline(result: EvaluationResult) -> str:
    rows = [
        (METRIC_TITLES[name], metric_value(name, i.value), metric_interval(name, i), meaning)
        for (name, i), meaning in zip(
            result.headline_intervals.items(), METRIC_MEANINGS.values(), strict=True
        )
    ]
    return _table(pd.DataFrame(rows, columns=["Metric", "Value", "95 % interval", "Meaning"]))


def _confusions(result: EvaluationResult) -> str:
    figure = confusion_figure(result.confusion, result.class_names, order=result.similarity_order)
    pairs = most_confused_pairs(result.confusion, result.class_names, limit=15)
    pairs["share"] = [f"{share:.1%}" for share in pairs["share"]]
    pairs.columns = pd.Index(["True class", "Taken for", "Photographs", "Share of the class"])
    return (
        "<h2>What does it confuse?</h2><p>Rows are true classes, columns what the model said; "
        "similar classes are side by side. Teal: right, orange: wrong, each with a colour scale of "
        "its own.</p>" + _figure(figure) + _table(_readable(pairs, "True class", "Taken for"))
    )


def _classes(result: EvaluationResult) -> str:
    table = result.per_class()
    rows = pd.DataFrame({"Class": table["class"].map(human_name)})
    for name, heading in (("f1", "F1"), ("precision", "Precision"), ("recall", "Recall")):
        rows[heading] = [
            "–" if pd.isna(low) else f"{value:.1%} ({low:.0%} – {high:.0%})"
            for value, low, high in zip(
                table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True
            )
        ]
    average_precision = table["average_precision"].where(table["support"] > 0)
    rows["Average precision"] = average_precision.map(class_share)
    rows["Photographs"] = table["support"]
    return (
        "<h2>How does each class fare?</h2>"
        + _figure(charts.per_class_figure(table))
        + _table(rows)
    )


def _curves(result: EvaluationResult) -> str:
    f1 = result.per_class().set_index("class")["f1"]
    hardest = f1[result.confusion.sum(axis=1) > 0].nsmallest(3).index.tolist()
    figures = "".join(
        _figure(
            charts.ranking_figure(
                result.curves,
                result.class_names,
                result.micro_curves,
                kind=kind,
                highlighted=hardest,
            )
        )
        for kind in ("precision_recall", "roc")
    )
    precision, area = macro_areas(result.curves)
    return (
        "<h2>How well does it rank?</h2>"
        f"<p>Each class against the rest; the three with the lowest F1 are in colour. Mean over "
        f"classes: average precision {precision:.3f}, area under the ROC curve {area:.3f}. Curves "
        f"are drawn through at most {DRAWN_POINTS} points, areas use every photograph.</p>{figures}"
    )


def _confidence(result: EvaluationResult, temperature: float) -> str:
    bins = reliability_bins(result.confidence, result.correct)
    reliability = reliability_figure(
        {f"temperature {temperature:.2f}": bins}, result.confidence, result.correct
    )
    answers = (result.confidence, result.correct)
    curve = coverage_curve(*answers, result.in_scope)
    alone = None if result.in_scope is None else coverage_curve(*answers)
    told = [(t, *answer_above(*answers, t, result.in_scope)) for t in _THRESHOLDS]
    sentences = "".join(f"<li>{escape(abstention_sentence(*line))}</li>" for line in told)
    believed = calibration_sentence(
        result.confidence.mean(),
        result.correct.mean(),
        bins.calibration_error,
        result.calibration_error_by_chance,
    )
    return (
        "<h2>Can its confidence be believed?</h2>"
        f"<p>{believed} "
        f"{counted(len(bins.counts), 'bin')} of {bins.counts.min():,} to "
        f"{counted(bins.counts.max(), 'photograph')}.</p>"
        f"{_figure(reliability)}<h2>When should it rather not answer?</h2>"
        f"<ul>{sentences}</ul>" + _figure(coverage_figure(curve, 0.0, float("nan"), alone))
    )


def _mistakes(result: EvaluationResult, picture_of: Callable[[str], bytes | None]) -> str:
    table = result.photographs()
    table = table[~table["correct"]].nlargest(_LISTED_MISTAKES, "confidence")
    figures = []
    for row in table.itertuples():
        picture = picture_of(row.filename)
        shown = '<div class="none">no picture</div>'
        if picture is not None:
            source = data_uri(picture)
            shown = f'<img alt="" src="{source}">'
        figures.append(
            f"<figure>{shown}<figcaption><b>{escape(human_name(row.label))}</b>, taken for "
            f"{escape(name_in_text(row.prediction))} ({row.confidence:.0%})<br>"
            f"<small>{escape(row.filename)}</small></figcaption></figure>"
        )
    return f'<h2>Its most confident mistakes</h2><div class="mistakes">{"".join(figures)}</div>'


def _method(evaluation: Evaluation) -> str:
    result = evaluation.result
    n_groups = len(np.unique(result.groups))
    return (
        f"<h2>How it was measured</h2><p>Intervals are 95 % bootstrap intervals: {N_RESAMPLES:,} "
        f"seeded resamples of {counted(n_groups, 'near-duplicate group')} "
        f"({counted(result.n, 'photograph')}); "
        f"where all resamples agree, Wilson score intervals of the groups."
        f" Macro F1 averages over classes that occur. The calibration error uses 15 bins of the "
        f"confidence with equally many photographs. The probabilities include the model's "
        f"temperature, {evaluation.temperature:.3f}.</p>"
    )


def _figure(figure: go.Figure) -> str:
    figure.update_layout(template="plotly_white", font={"family": "system-ui, sans-serif"})
    return figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        config={"displaylogo": False, "displayModeBar": False, "responsive": True},
    )


def _readable(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return table.assign(**{column: table[column].map(human_name) for column in columns})


def _table(table: pd.DataFrame) -> str:
    return f'<div class="scroll">{table.to_html(index=False, border=0, escape=True)}</div>'
