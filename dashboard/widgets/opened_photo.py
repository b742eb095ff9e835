"""An opened photograph: its place in the address, and the way to the ones beside it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

import streamlit as st
from PIL import Image

from har_core.errors import InvalidImageError
from har_core.images.decoding import read_image_file

T = TypeVar("T")
# Largest width and height of an opened photograph, in CSS pixels.
_LARGEST: Final = (680, 520)
_PIXELS_PER_CSS_PIXEL: Final = 2  # of a dense screen


def show_large_picture(path: str | Path, *, alt: str) -> bool:
    """Draw a photograph as large as its place; return whether it is one that can be read."""
    picture = large_picture(path)
    if picture is None:
        return False
    width, height = _LARGEST
    fitting = min(width, round(height * picture.width / picture.height))
    st.image(picture, width=max(fitting, 1), alt=alt)
    return True


def large_picture(path: str | Path) -> Image.Image | None:
    """Decode a photograph for showing it large.

    Browsers and Streamlit would show phone pictures as they are stored, lying on their side.

    Parameters
    ----------
    path : str or Path
        Of the file.

    Returns
    -------
    PIL image or None
        Upright RGB, sharp within its place on a dense screen; None if the file cannot be read or
        is no picture.
    """
    width, height = (_PIXELS_PER_CSS_PIXEL * side for side in _LARGEST)
    try:
        picture = Image.fromarray(read_image_file(path, min_side=min(width, height)))
    except InvalidImageError:
        return None
    picture.thumbnail((width, height))
    return picture


PHOTO_PARAMETER: Final = "photo"  # of the Dataset page's address: the opened one's filename
_CLOSED: Final = "photograph_closed"
# A browser that has not heard that a photograph is closed names it once more with the next click.
_HEARD_AFTER_S: Final = 2.0


def open_photograph(name: str) -> None:
    """Let the address name the photograph to open."""
    st.session_state.pop(_CLOSED, None)
    st.query_params[PHOTO_PARAMETER] = name


def close_photograph() -> None:
    """Let the address name none, also where the browser's next message still does."""
    if name := st.query_params.pop(PHOTO_PARAMETER, None):
        st.session_state[_CLOSED] = (name, time.monotonic())


def opened_photograph() -> str | None:
    """Return the photograph that the address names to be open."""
    name = st.query_params.get(PHOTO_PARAMETER)
    closed, when = st.session_state.get(_CLOSED, (None, 0.0))
    if name and name == closed and time.monotonic() - when < _HEARD_AFTER_S:
        del st.query_params[PHOTO_PARAMETER]
        return None
    return name


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


@dataclass(frozen=True)
class OpenedPhoto(Generic[T]):
    """Which photograph of several galleries is open in a dialog, by what names it in these.

    Parameters
    ----------
    name : str
        What the session keeps it under.
    """

    name: str

    def choose(self, key: str, clicked: T | None, shown: Sequence[T]) -> T | None:
        """Return what to open: the one just clicked in a gallery, or stepped to from there.

        Parameters
        ----------
        key : str
            Of the gallery.
        clicked : T or None
        shown : sequence of T
            What is in the gallery, to step through.
        """
        if clicked is not None:
            st.session_state[self.name] = (key, clicked, list(shown))
            return clicked
        if st.session_state.pop(self._stepped, None) == key:
            return st.session_state[self.name][1]
        return None

    def begin_dialog(self, drawn: T) -> None:
        """Let the page draw the dialog again if another one is open by now: the title is its."""
        key, opened, _ = st.session_state[self.name]
        if opened != drawn:
            st.session_state[self._stepped] = key
            st.rerun()

    def show_steps(self) -> None:
        """Draw Previous and Next, unless there are no others."""
        if len(st.session_state[self.name][2]) > 1:
            with st.container(horizontal=True, horizontal_alignment="right"):
                show_step_buttons(self._step)

    @property
    def _stepped(self) -> str:
        return f"{self.name}, stepped to in"

    def _step(self, by: int) -> None:
        key, opened, shown = st.session_state[self.name]
        st.session_state[self.name] = (key, neighbour(shown, opened, by), shown)


def neighbour(shown: Sequence[T], current: T, by: int) -> T:
    """Return what is `by` places on from `current`, round the ends."""
    return shown[(shown.index(current) + by) % len(shown)]
