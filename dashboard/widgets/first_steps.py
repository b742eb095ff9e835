"""Three first steps for a new visitor; once dismissed, the browser remembers it for good."""

from collections.abc import Callable
from typing import Any, Final, Literal

import streamlit as st

Step = Literal["sample", "dataset", "evaluation"]
_STEPS: Final[dict[Step, str]] = {
    "sample": "Try a sample",
    "dataset": "Open a dataset",
    "evaluation": "See how good it is",
}

_HTML: Final = """
<section class="steps" aria-label="First steps" hidden></section>
"""

_CSS: Final = """
.steps { display: flex; flex-wrap: wrap; gap: 8px 20px; align-items: center;
  font-family: var(--st-font); color: var(--st-text-color); font-size: 14px;
  padding: 8px 12px; border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); background: var(--st-secondary-background-color); }
.steps[hidden] { display: none; }
.steps strong { font-weight: 600; }
.step { display: inline-flex; gap: 6px; align-items: center; background: none; border: 0;
  padding: 4px 2px; font: inherit; color: var(--st-link-color); cursor: pointer;
  text-decoration: underline; text-underline-offset: 3px; }
.dismiss { margin-left: auto; background: none; border: 0; font: inherit; padding: 4px 8px;
  color: inherit; cursor: pointer; border-radius: var(--st-base-radius); }
.step:focus-visible, .dismiss:focus-visible { outline: 2px solid var(--st-primary-color); }
"""

_JS: Final = """
const KEY = "first-steps-dismissed"
const remembered = () => { try { return localStorage.getItem(KEY) } catch { return null } }
export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".steps")
  if (remembered()) { root.hidden = true; return }
  const button = (name, text, act) => {
    const made = document.createElement("button")
    made.type = "button"
    made.className = name
    made.textContent = text
    made.onclick = act
    return made
  }
  const title = document.createElement("strong")
  title.textContent = "New here?"
  const steps = Object.entries(data.steps).map(([step, text], position) =>
    button("step", `${position + 1}. ${text}`, () => setTriggerValue("chosen", step)))
  const dismiss = button("dismiss", "✕ Got it", () => {
    try { localStorage.setItem(KEY, "yes") } catch { /* it comes back next time */ }
    root.hidden = true
  })
  root.replaceChildren(title, ...steps, dismiss)
  root.hidden = false
}
"""

_first_steps = st.components.v2.component("har_first_steps", html=_HTML, css=_CSS, js=_JS)
_KEY: Final = "first_steps"


def first_steps(on_chosen: Callable[[Step], None]) -> None:
    """Draw the three steps, unless this browser has dismissed them; a click calls `on_chosen`."""

    def tell() -> None:
        state: Any = st.session_state.get(_KEY) or {}
        if (chosen := state.get("chosen")) in _STEPS:  # a browser says so
            on_chosen(chosen)

    _first_steps(key=_KEY, data={"steps": _STEPS}, on_chosen_change=tell)
