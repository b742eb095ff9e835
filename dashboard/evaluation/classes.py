"""The sections Classes and Curves: how each class fares against the rest."""

from functools import partial
from typing import Final

import pandas as pd
import streamlit as st

from dashboard.charts import ranking as charts
from dashboard.charts.style import NO_TOOLBAR
from dashboard.evaluation.shown import Shown
from dashboard.wording.metrics import class_interval, class_metric
from dashboard.wording.names import human_name, markdown_name
from har_core.evaluation.curves import DRAWN_POINTS, macro_areas
from har_core.evaluation.totals import CLASS_METRICS
from har_core.storage.spreadsheets import escape_formulas

_BAR_WIDTH: Final = 132  # pixels; all columns fit beside the sidebar of a small notebook


@st.fragment
def show_classes(shown: Shown) -> None:
    """Draw the table of classes; choosing one shows its hits and misses."""
    table = shown.result.per_class()
    with_intervals = st.toggle("95 % intervals", key="class_intervals")
    display = pd.DataFrame({"class": table["class"].map(human_name)})
    for name in ("f1", "precision", "recall"):
        display[name] = 100 * class_metric(table, name)
        if with_intervals:
            ends = zip(table[f"{name}_low"], table[f"{name}_high"], strict=True)
            display[f"{name}_interval"] = [class_interval(*interval) for interval in ends]
    display["average_precision"] = (100 * table["average_precision"]).where(table["support"] > 0)
    display["support"] = table["support"]
    bar = partial(
        st.column_config.ProgressColumn,
        width=_BAR_WIDTH,
        min_value=0,
        max_value=100,
        format="%.0f %%",
        color="primary",
    )
    selection = st.dataframe(
        escape_formulas(display),
        key="classes",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height="content" if len(display) <= 20 else 560,
        alt="Metrics of every class",
        column_config={
            "class": st.column_config.TextColumn("Class", pinned=True, width=150),
            "f1": bar("F1"),
            "precision": bar(
                "Precision",
                help="Of the photographs that the model gives this class, the share that has it.",
            ),
            "recall": bar(
                "Recall",
                help="Of the photographs of this class, the share that the model recognises.",
            ),
            "average_precision": st.column_config.NumberColumn(
                "Average precision",
                format="%.1f %%",
                help="Precision averaged over all thresholds on the class's probability.",
            ),
            "support": st.column_config.NumberColumn("Photographs", format="localized"),
            **{f"{name}_interval": st.column_config.TextColumn("95 %") for name in CLASS_METRICS},
        },
    )
    rows = selection["selection"]["rows"]
    if not rows or rows[0] >= len(table):
        st.caption("Choose a row to see the photographs that the class's numbers come from.")
        return
    _show_hits_and_misses(shown, str(table["class"].iloc[rows[0]]))


def _show_hits_and_misses(shown: Shown, name: str) -> None:
    photographs = shown.result.photographs()
    is_class, said = photographs["label"] == name, photographs["prediction"] == name
    kinds = {
        "missed": photographs[is_class & ~said],
        "wrongly given": photographs[~is_class & said],
        "recognised": photographs[is_class & said],
    }
    st.header(markdown_name(name), anchor=False)
    kind = st.segmented_control(
        "Photographs",
        list(kinds),
        default="missed",
        required=True,
        key="hits_or_misses",
        format_func=lambda kind: f"{kind} · {len(kinds[kind]):,}",
        label_visibility="collapsed",
    )
    chosen = kinds[kind].sort_values("confidence", ascending=False, kind="stable")
    shown.photos.show(chosen, key="class_photographs")


@st.fragment
def show_curves(shown: Shown) -> None:
    """Draw precision–recall and ROC curves, a few classes in colour."""
    result = shown.result
    names = result.class_names
    f1 = result.per_class().set_index("class")["f1"]
    hardest = f1[result.confusion.sum(axis=1) > 0].nsmallest(3).index.tolist()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Curve",
            ["precision_recall", "roc"],
            default="precision_recall",
            required=True,
            key="curve",
            bind="query-params",
            format_func={"precision_recall": "precision–recall", "roc": "ROC"}.__getitem__,
        )
        highlighted = st.multiselect(
            "Classes in colour",
            names,
            default=hardest,
            format_func=human_name,
            max_selections=8,
            key=f"highlighted_{shown.folder.name}",
            width=520,
        )
    with st.spinner("Computing the curves …"):
        curves, micro = result.curves, result.micro_curves
    macro_precision, macro_area = macro_areas(curves)
    macro, pooled = (
        (macro_area, micro.roc_area)
        if kind == "roc"
        else (macro_precision, micro.average_precision)
    )
    st.plotly_chart(
        charts.ranking_figure(curves, names, micro, kind=kind, highlighted=highlighted),
        key="curves",
        config=NO_TOOLBAR,
        alt="Curves of each class against the rest",
    )
    what = "area under the ROC curve" if kind == "roc" else "average precision"
    st.markdown(
        f"Mean {what} over classes (macro): **{macro:.3f}**; over all pairs of a photograph and a "
        f"class (micro): **{pooled:.3f}**."
    )
    st.caption(
        f"Each class against the rest. Curves are drawn through at most {DRAWN_POINTS} points; the "
        "areas use every photograph."
    )
