"""The choice of a class that the page's address keeps."""

from collections.abc import Iterable, Sequence

import streamlit as st

from dashboard.wording.names import human_name


def class_filter(title: str, class_names: Iterable[str], *, key: str) -> str:
    """Draw a choice of one class or all, and return its name, or "" for all."""
    names = ["", *class_names]
    accept_class_name(names, key)
    return st.selectbox(
        title,
        names,
        format_func=lambda name: human_name(name) or "All classes",
        key=key,
        bind="query-params",
    )


def accept_class_name(class_names: Sequence[str], key: str) -> None:
    """Let an address hold a class's real name, as somebody writes it who knows ``train.csv``.

    Streamlit reads and writes what a choice shows, the name as people write it, and removes what
    it does not know. Call this before the choice with that `key` is drawn.
    """
    given = st.query_params.get(key, "")
    if key not in st.session_state and given in class_names and human_name(given) != given:
        st.query_params[key] = human_name(given)
        st.rerun()
