"""An opened photograph: its place in the address, and the way to the ones beside it."""

from collections.abc import Callable, Sequence
from typing import Final

import streamlit as st

PHOTO_PARAMETER: Final = "photo"  # of the Dataset page's address: the opened one's filename


def show_step_buttons(on_step: Callable[[int], None]) -> None:
    """Draw Previous and Next, also for the arrow keys; they call `on_step` with -1 or 1."""
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
