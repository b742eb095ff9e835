"""A change of folder is a step of the browser's history, which leads back to the one before.

Where a folder lies is nobody else's business: the address holds a word that only this tab knows.
"""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final

import streamlit as st

from dashboard.widgets import tab_memory

_WORD: Final = "folder"
_STEPS: Final = "folder_steps"
_KEY: Final = "folder_history"

# An address without a word, as after a change of page, gets it without a step.
_JS: Final = """
export default function ({ data, setStateValue }) {
  const { before, now, step } = data
  if (!step) return
  const url = new URL(location.href)
  const shown = url.searchParams.get("folder")
  const write = (how, word) => {
    url.searchParams.set("folder", word)
    history[how](history.state, "", url)
  }
  if (shown !== now && step !== data.done) {
    if (shown === null) write("replaceState", before)
    write("pushState", now)
  } else if (shown === null) write("replaceState", now)
  if (step !== data.done) setStateValue("done", step)
}
"""
_component = st.components.v2.component("har_folder_steps", html="<span></span>", js=_JS)


@dataclass(frozen=True)
class _Steps:
    folder: str
    before: str = ""
    step: int = 0
    named: str = ""
    known: dict[str, str] = field(default_factory=dict)


def follow(key: str) -> None:
    """Open the folder that the address names, if the browser has gone back or forth.

    Call this before the field of that `key` is drawn, with what it will hold in the session.
    """
    folder = str(st.session_state[key]).strip()
    steps: _Steps = st.session_state.get(_STEPS) or _Steps(folder)
    named = st.query_params.get(_WORD, "")
    if folder != steps.folder:  # somebody has chosen another one
        known = steps.known | {_word(name): name for name in (steps.folder, folder)}
        steps = _Steps(folder, steps.folder, steps.step + 1, named, known)
    elif _done() == steps.step and named != steps.named:
        if named in steps.known:
            st.session_state[key] = folder = steps.known[named]
        steps = replace(steps, folder=folder, named=named)
    st.session_state[_STEPS] = steps
    tab_memory.keep(_STEPS)


def mount() -> None:
    """Let the browser remember the step; draws nothing."""
    steps: _Steps = st.session_state[_STEPS]
    words = {"before": _word(steps.before), "now": _word(steps.folder)}
    _component(
        key=_KEY,
        data={**words, "step": steps.step, "done": _done()},
        default={"done": 0},
        on_done_change=lambda: None,
        height=1,
    )


def _done() -> int:
    return int((st.session_state.get(_KEY) or {}).get("done") or 0)


def _word(folder: str) -> str:
    return hashlib.sha256(folder.encode()).hexdigest()[:8]
