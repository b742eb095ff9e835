"""What is said of errors, over the page or in the place of what failed; what is asked before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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


def offer_deletion(
    verb: str,
    name: str,
    meaning: str,
    *,
    key: str,
    on_click: Callable[..., None],
    args: tuple[Any, ...],
    quiet: bool = True,
) -> None:
    """Draw a button that opens a question, and in there the button that deletes for good.

    Parameters
    ----------
    verb : str
        What is done, such as ``"Delete"``.
    name : str
        What it is done to.
    meaning : str
        What goes and what stays, as Markdown.
    key : str
        Of the button that deletes.
    on_click, args
        What it calls.
    quiet : bool, default True
        Draw the first button without a frame, as in a list.
    """
    with st.popover(
        verb,
        icon=":material/delete:",
        type="tertiary" if quiet else "secondary",
        width="content",
    ):
        st.markdown(meaning)
        st.button(
            f"{verb} {escape_markdown(name)}",
            key=key,
            icon=":material/delete:",
            on_click=on_click,
            args=args,
        )
