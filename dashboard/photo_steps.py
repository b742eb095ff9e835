"""Previous and Next in an opened photograph, also by the arrow keys."""

from collections.abc import Callable, Sequence

import streamlit as st


def show_step_buttons(on_step: Callable[[int], None]) -> None:
    """Draw both buttons; a click calls `on_step` with -1 or 1 before the page runs again."""
    st.button(
        "Previous",
        icon=":material/chevron_left:",
        key="previous_photograph",
        shortcut="Left",
        on_click=on_step,
        args=(-1,),
    )
    st.button(
        "Next",
        icon=":material/chevron_right:",
        icon_position="right",
        key="next_photograph",
        shortcut="Right",
        on_click=on_step,
        args=(1,),
    )


def neighbour(names: Sequence[str], current: str, by: int) -> str:
    """Return the name `by` places on from `current`, round the ends."""
    return names[(names.index(current) + by) % len(names)]
