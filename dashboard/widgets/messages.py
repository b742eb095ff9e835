"""Messages that appear over a page and go by themselves; `dashboard.delivery` gives them a name."""

import streamlit as st

from dashboard.wording.names import escape_markdown


def show_failure(error: Exception) -> None:
    """Say why a callback's work was not done, long enough to be read."""
    st.toast(escape_markdown(str(error)), icon=":material/error:", duration="long")
