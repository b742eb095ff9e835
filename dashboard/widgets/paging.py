"""Much of one kind, a page at a time."""

import streamlit as st


def choose_page(n: int, size: int, key: str) -> slice:
    """Draw a choice among pages, unless there is only one; return which of `n` things it shows."""
    pages = -(-n // size)
    page = st.pagination(pages, key=key) if pages > 1 else 1
    return slice((page - 1) * size, page * size)
