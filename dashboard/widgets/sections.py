"""Which section of a page is open: a step of the browser's history leads back to it."""

from collections.abc import Sequence

import streamlit as st


def follow_history(key: str, sections: Sequence[str]) -> None:
    """Choose the section that the address names, if the browser has gone back or forth.

    Streamlit forgets to where the address names none: the first one is open then. Call this
    before the choice with that `key` is drawn.
    """
    named = st.query_params.get(key, sections[0])
    seen = f"{key}_in_address"
    if named != st.session_state.get(seen, named) and named in sections:
        st.session_state[key] = named
    st.session_state[seen] = named
