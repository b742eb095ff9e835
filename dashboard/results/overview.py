"""What a model said of very many photographs, as distributions: no label is needed."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts.dataset import issue_counts
from dashboard.charts.results import answer_bars, confidence_bars
from dashboard.charts.style import NO_TOOLBAR
from dashboard.wording.names import counted_share, reason_in_words
from har_core.scale.answered import PASSING
from har_core.scale.opened.table import VERDICTS, ResultsTable
from har_core.wording import counted


def show_overview(table: ResultsTable) -> None:
    """Draw answers, confidence, scope, and errors by reason."""
    answered = table.answered
    n = int(answered.sum())
    if not n:
        st.info("No photograph has an answer yet.", icon=":material/hourglass_empty:")
    else:
        _show_figures(table, n)
        answers, sure = st.columns([6, 5], gap="medium")
        with answers:
            st.header("Answers", anchor=False)
            st.plotly_chart(
                answer_bars(_answers(table)),
                key="results_answers",
                config=NO_TOOLBAR,
                alt="How often each class is the answer",
            )
        with sure:
            st.header("How sure it is", anchor=False)
            st.plotly_chart(
                confidence_bars(table.confidence[answered], table.verdict[answered], [*VERDICTS]),
                key="results_confidence",
                config=NO_TOOLBAR,
                alt="Photographs by confidence",
            )
    _show_errors(table)


def _answers(table: ResultsTable) -> pd.DataFrame:
    answered = table.answered
    cells = table.action[answered].astype(np.int64) * len(VERDICTS) + table.verdict[answered]
    counts = np.bincount(cells, minlength=len(table.class_names) * len(VERDICTS))
    shape = (len(table.class_names), len(VERDICTS))
    return pd.DataFrame(counts.reshape(shape), index=list(table.class_names), columns=[*VERDICTS])


def _show_figures(table: ResultsTable, n: int) -> None:
    by_verdict = {name: int((table.verdict == i).sum()) for i, name in enumerate(VERDICTS)}
    judged = int((table.in_scope >= 0).sum())
    figures = (
        ("Clear answers", by_verdict["answered"], n, "The model gives an answer."),
        ("Unsure", by_verdict["unsure"], n, "Below the confidence from which the model answers."),
        (
            "None of these",
            int((table.in_scope == 0).sum()),
            judged,
            "Unlike anything that the model has learned from.",
        ),
        ("With a warning", int(table.warned.sum()), n, "E.g. a file that is cut off."),
    )
    with st.grid(4, min_column_width=150, gap="small"):
        for title, count, of, meaning in figures:
            st.metric(
                title,
                f"{count:,}" if of else "–",
                counted_share(count / of) if of else "the model cannot tell",
                delta_color="off",
                delta_arrow="off",
                help=meaning,
                border=True,
            )


def _show_errors(table: ResultsTable) -> None:
    counts = [(name, int((table.reason == i).sum())) for i, name in enumerate(table.reasons)]
    if not counts:
        return
    st.header("Without an answer", anchor=False)
    st.plotly_chart(
        issue_counts([(reason_in_words(name), count) for name, count in counts]),
        key="results_errors",
        config=NO_TOOLBAR,
        alt="Photographs without an answer, by reason",
    )
    text = "*Photographs*, filtered by *Kind*, shows which they are."
    if again := sum(count for name, count in counts if name in PASSING):
        text += f" The same `har score` tries {counted(again, 'photograph')} of these again."
    st.caption(text)
