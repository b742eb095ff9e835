"""A pair of classes that are confused, as both pages of results list it."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard.wording.metrics import cell_title
from dashboard.wording.names import counted, escape_markdown, markdown_name, percent


def confused_pair(
    pair: Any, n: int, key: str, on_click: Callable[..., None], args: tuple[Any, ...]
) -> None:
    """Draw a pair of classes that are confused: a button that opens it, and how often.

    Parameters
    ----------
    pair : named tuple
        Row of `har_core.evaluation.confusion.most_confused_pairs`.
    n : int
        Photographs.
    key : str
        Of the button.
    on_click, args
        What the button calls.
    """
    st.button(
        f"**{escape_markdown(cell_title(pair.label, pair.prediction))}**",
        key=key,
        type="tertiary",
        icon=":material/arrow_forward:",
        icon_position="right",
        on_click=on_click,
        args=args,
    )
    st.caption(f"{counted(n, 'photograph')}, {percent(pair.share)} of {markdown_name(pair.label)}")
