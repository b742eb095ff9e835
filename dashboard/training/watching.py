"""Whoever watched a training is told on every page when it ends, and led to what came of it."""

from typing import Final

import streamlit as st

from dashboard.training.runs import ACTIVE, find_run
from dashboard.wording.names import escape_markdown

_WATCHED: Final = "watched_runs"
_EVERY_S: Final = 3.0
_STATES: Final = {
    "waiting": "waits for another training",
    "finished": "is trained",
    "failed": "has failed",
    "interrupted": "was interrupted",
}


def watch(run_id: str) -> None:
    """Tell this visitor when a run that is at work ends."""
    st.session_state.setdefault(_WATCHED, {}).setdefault(run_id, False)


def seen(run_id: str) -> None:
    """Stop pointing to a run: the visitor is looking at what came of it."""
    st.session_state.get(_WATCHED, {}).pop(run_id, None)


def show_watched() -> None:
    """Draw a link to each training that this visitor watches or whose end they have not seen."""
    if st.session_state.get(_WATCHED):
        _show_links()


@st.fragment(run_every=_EVERY_S)
def _show_links() -> None:
    watched: dict[str, bool] = st.session_state.get(_WATCHED, {})
    for run_id, is_told in list(watched.items()):
        run = find_run(run_id)
        if run is None or run.state in ("stopped", "used", "gone"):  # somebody did that on purpose
            del watched[run_id]
            continue
        is_done = run.state == "finished"
        icon = ":material/compare_arrows:" if is_done else ":material/model_training:"
        said = f"{escape_markdown(run.name)} {_STATES.get(run.state, 'is in training')}."
        if run.state not in ACTIVE and not is_told:
            watched[run_id] = True
            st.toast(said, icon=icon, duration="long")
        st.caption(said)
        st.page_link(
            "../pages/training.py",
            label="Compare" if is_done else "Look at it",
            icon=icon,
            query_params={"run": run.id},
        )
