"""The section Errors: confident mistakes and doubtful hits."""

import streamlit as st

from dashboard.evaluation.shown import Shown
from dashboard.wording.names import human_name
from har_core.wording import counted


@st.fragment
def show_errors(shown: Shown) -> None:
    """Draw the most confident mistakes or the least confident hits, with filters."""
    result = shown.result
    with st.container(horizontal=True, vertical_alignment="bottom"):
        hits = st.segmented_control(
            "Photographs",
            [False, True],
            default=False,
            required=True,
            key="errors_or_hits",
            bind="query-params",
            format_func=lambda hits: "doubtful hits" if hits else "confident mistakes",
        )
        labels = st.multiselect(
            "True class",
            result.class_names,
            format_func=human_name,
            key="error_labels",
            bind="query-params",
            placeholder="any",
            width=175,
        )
        predictions = st.multiselect(
            "Predicted class",
            result.class_names,
            format_func=human_name,
            key="error_predictions",
            bind="query-params",
            placeholder="any",
            width=175,
        )
        search = st.text_input(
            "File name",
            key="error_search",
            bind="query-params",
            type="search",
            placeholder="contains …",
            width=150,
        )
    photographs = result.photographs()
    photographs = photographs[photographs["correct"] == hits]
    if labels:
        photographs = photographs[photographs["label"].isin(labels)]
    if predictions:
        photographs = photographs[photographs["prediction"].isin(predictions)]
    if search:
        found = photographs["filename"].str.contains(search.strip(), case=False, regex=False)
        photographs = photographs[found]
    photographs = photographs.sort_values("confidence", ascending=hits, kind="stable")
    count = counted(len(photographs), "photograph")
    st.caption(f"{count}, {'least' if hits else 'most'} confident first")
    shown.photos.show(photographs, key="error_photographs")
