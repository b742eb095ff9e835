"""A field for a path, which people paste as their file manager or shell has copied it."""

from functools import partial
from typing import Any

import streamlit as st


def bare_path(text: str) -> str:
    """Return a path as it was meant that Windows' *Copy as path* or a shell has quoted.

    Examples
    --------
    >>> bare_path(' "/photos/of 2024" ')
    '/photos/of 2024'
    """
    text = text.strip()
    quoted = len(text) > 2 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if quoted else text


def path_field(label: str, *, key: str, in_form: bool = False, **options: Any) -> str:
    """Draw a field for a path, and return it, without blanks or quotation marks around.

    Parameters
    ----------
    label, key, **options
        As of ``st.text_input``.
    in_form : bool, default False
        A form allows its fields no callback: what was typed stays there as it is.
    """
    if not in_form:
        options["on_change"] = partial(_tidy, key)
    return bare_path(st.text_input(label, key=key, **options) or "")


def _tidy(key: str) -> None:
    st.session_state[key] = bare_path(str(st.session_state[key] or ""))
