"""Sections of a page: which is open, by the browser's history, and parts that run alone."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import streamlit as st
from streamlit.errors import StreamlitAPIException

from dashboard.widgets.messages import errors_said

_P = ParamSpec("_P")
_Shown = TypeVar("_Shown")
_Draw = Callable[Concatenate[_Shown, _P], None]


def choose_section(sections: Sequence[str], key: str) -> str:
    """Draw the choice of a page's section, one step of the browser's history each.

    Parameters
    ----------
    sections : sequence of str
        Their titles; the first one is open at the start.
    key : str
        By which session state and the address know the choice.

    Returns
    -------
    str
        The open section.
    """
    _follow_history(sections, key)
    chosen: str | None = st.segmented_control(
        "Section",
        sections,
        default=sections[0],
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    return chosen or sections[0]


def _follow_history(sections: Sequence[str], key: str) -> None:
    """Choose the section that the address names, if the browser has gone back or forth.

    Streamlit forgets to where the address names none: the first one is open then.
    """
    named = st.query_params.get(key, sections[0])
    seen = f"{key}_in_address"
    if named != st.session_state.get(seen, named) and named in sections:
        st.session_state[key] = named
    st.session_state[seen] = named


def run_again(key: str) -> None:
    """Let a callback run a part of the page alone.

    A browser that has not heard that the part is gone tells of a choice for it once more.
    """
    with suppress(StreamlitAPIException):
        st.rerun(key)


def runs_alone(
    is_current: Callable[[_Shown], bool], *, key: str | None = None
) -> Callable[[_Draw[_Shown, _P]], _Draw[_Shown, _P]]:
    """Let a part of a page run alone, and the whole page if what it shows has changed since.

    Parameters
    ----------
    is_current : callable
        Tells whether the part's first argument, which it shows, is as the page would now open it.
    key : str, optional
        By which `streamlit.rerun` runs it again.
    """

    def decorate(draw: _Draw[_Shown, _P]) -> _Draw[_Shown, _P]:
        @st.fragment(key=key)
        @wraps(draw)
        def run(drawn: list[bool], shown: _Shown, *args: _P.args, **choices: _P.kwargs) -> None:
            # Drawn with the page it is as new as that, whatever is being written meanwhile.
            if drawn and not is_current(shown):
                st.rerun()
            drawn.append(True)
            with errors_said():
                draw(shown, *args, **choices)

        @wraps(draw)
        def begin(shown: _Shown, *args: _P.args, **choices: _P.kwargs) -> None:
            run([], shown, *args, **choices)

        return begin

    return decorate
