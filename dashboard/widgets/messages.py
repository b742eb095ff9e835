"""What is said of errors: over the page until it goes by itself, or in the place of what failed."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from dashboard.wording.names import escape_markdown
from har_core.errors import HarError


def show_failure(error: Exception) -> None:
    """Say why a callback's work was not done, long enough to be read."""
    st.toast(escape_markdown(str(error)), icon=":material/error:", duration="long")


@contextmanager
def errors_said() -> Iterator[None]:
    """Say an error in its place: outside of a fragment nobody could catch it."""
    try:
        yield
    except HarError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
