"""Filters of photographs that the page's address keeps, and the choice of a label."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import streamlit as st

from dashboard.wording.names import human_name


def search_filter(title: str, what: str, *, key: str) -> str:
    """Draw a field for a part of a name, and return what was typed, without blanks around."""
    return st.text_input(
        title,
        placeholder=f"part of {what}",
        icon=":material/search:",
        key=key,
        bind="query-params",
    ).strip()


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


def label_field(
    title: str,
    class_names: Sequence[str],
    *,
    key: str,
    on_chosen: Callable[[str], None],
    placeholder: str = "",
) -> None:
    """Draw a field to choose a label in, or to type a new one, which is called back with it."""

    def take() -> None:
        label = st.session_state.get(key)
        st.session_state[key] = None
        if label:
            on_chosen(label)

    st.selectbox(
        title,
        class_names,
        index=None,
        format_func=human_name,
        placeholder=placeholder or title,
        accept_new_options=True,
        key=key,
        label_visibility="collapsed",
        width=190,
        on_change=take,
    )


def say_none_match(none: Mapping[str, str]) -> None:
    """Say that the filters leave nothing, and offer to clear them.

    Parameters
    ----------
    none : mapping of str to str
        Key of each filter to its value that lets everything pass.
    """
    st.info("No photograph matches these filters.", icon=":material/filter_alt_off:")
    st.button(
        "Clear the filters", key="clear_filters", on_click=st.session_state.update, args=(none,)
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
