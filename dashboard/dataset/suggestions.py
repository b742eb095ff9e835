"""Labels suggested for photographs, remembered for the session."""

from typing import Final

import pandas as pd
import streamlit as st

from dashboard.dataset.view import DatasetView

_SUGGESTED: Final = "suggested_labels"


def remember_suggestions(view: DatasetView, labels: dict[str, str]) -> None:
    """Keep labels to suggest, by filename, until the dataset or the model is another."""
    st.session_state[_SUGGESTED] = (view.identity, labels)


def remembered_suggestions(view: DatasetView) -> dict[str, str]:
    """Return the labels to suggest for photographs of this view, by filename."""
    identity, labels = st.session_state.get(_SUGGESTED, (None, {}))
    return labels if identity == view.identity else {}


def suggested_label(view: DatasetView, row: pd.Series) -> str | None:
    """Return the label that the page suggests for a photograph, if it does."""
    return remembered_suggestions(view).get(row["filename"])
