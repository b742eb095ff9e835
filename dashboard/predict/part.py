"""A part of a photograph, to be classified alone: a box is dragged, or two sliders are moved."""

import hashlib
import io
from pathlib import PurePath
from typing import Final

import streamlit as st
from PIL import Image

from dashboard.charts.part import Range, part_figure
from dashboard.charts.style import NO_TOOLBAR
from dashboard.predict.results import Photo
from har_core.images.decoding import decode_image

_WHOLE: Final = (0, 100)
_LEAST: Final = 5  # percent of a side
_ACROSS, _DOWN = "part_across", "part_down"
_PHOTO, _DRAWN = "part_of", "part_drawn"
_MOST_PIXELS: Final = 1600  # of a part's longer side: more than the network or a page shows


def choose_part(photo: Photo, preview: bytes) -> Photo:
    """Let the visitor choose a part; draws the photograph, with the box.

    Parameters
    ----------
    photo : Photo
    preview : bytes
        A JPEG of it.

    Returns
    -------
    Photo
        The part as a photograph of its own, named by a media fragment (W3C), or `photo` itself.
    """
    _begin_anew_with(photo)
    place = st.container()
    across = st.slider("From left to right", *_WHOLE, _WHOLE, key=_ACROSS, format="%d %%")
    down = st.slider("From top to bottom", *_WHOLE, _WHOLE, key=_DOWN, format="%d %%")
    number = st.session_state.get(_DRAWN, 0)
    with place:
        st.plotly_chart(
            part_figure(preview, Image.open(io.BytesIO(preview)).size, across, down),
            key=f"part_box_{number}",
            on_select=lambda: _take_box(number),
            selection_mode="box",
            width="content",
            config=NO_TOOLBAR,
            alt=f"The photograph {photo.name}, with the chosen part",
        )
        st.caption("Drag a box round one person, or move the sliders.")
    if across[1] - across[0] < _LEAST or down[1] - down[0] < _LEAST:
        st.caption(f"A part needs {_LEAST} % of each side: this is the whole photograph.")
        return photo
    if across == down == _WHOLE:
        return photo
    (left, right), (top, bottom) = across, down
    fragment = f"#xywh=percent:{left},{top},{right - left},{bottom - top}"
    name = PurePath(photo.name).name + fragment
    return Photo(name, cut_out(photo.data, across, down))


@st.cache_data(max_entries=50, show_spinner=False)
def cut_out(data: bytes, across: Range, down: Range) -> bytes:
    """Return a part of a photograph as a JPEG.

    Parameters
    ----------
    data : bytes
        Content of its file.
    across, down : tuple of int
        Edges in percent of width and height, from the left and from the top.
    """
    image = Image.fromarray(decode_image(data))
    (left, right), (top, bottom) = across, down
    box = (
        image.width * left // 100,
        image.height * top // 100,
        -(image.width * -right // 100),
        -(image.height * -bottom // 100),
    )
    part = image.crop(box)
    part.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
    buffer = io.BytesIO()
    part.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def _begin_anew_with(photo: Photo) -> None:
    digest = hashlib.sha256(photo.data).hexdigest()
    if st.session_state.get(_PHOTO) != digest:
        st.session_state.update({_PHOTO: digest, _ACROSS: _WHOLE, _DOWN: _WHOLE})


def _take_box(number: int) -> None:
    """Move the sliders to the box that was dragged on the chart of this number."""
    # The browser tells once more of the box on the chart before, with whatever comes next.
    if number != st.session_state.get(_DRAWN, 0):
        return
    boxes = st.session_state[f"part_box_{number}"]["selection"]["box"]
    if not boxes:
        return
    for name, axis in ((_ACROSS, "x"), (_DOWN, "y")):
        edges = [min(max(round(edge), 0), 100) for edge in boxes[-1][axis]]
        st.session_state[name] = (min(edges), max(edges))
    # A chart of another key forgets the box that Plotly has drawn, which the sliders may leave.
    st.session_state[_DRAWN] = number + 1
