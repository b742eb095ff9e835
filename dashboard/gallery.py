"""Photographs on a page: small pictures with captions, a page at a time."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import streamlit as st
from PIL import Image

from dashboard.wording import escape_markdown
from har_core.errors import InvalidImageError
from har_core.images import read_image_file

_SIZE: Final = (360, 240)
NO_PHOTOGRAPHS_HINT: Final = (
    "Set the dataset folder in the sidebar to see the photographs behind these names."
)


def show_gallery(
    photographs: Sequence[tuple[str, str]],
    paths: Mapping[str, str],
    *,
    key: str,
    page_size: int = 12,
    columns: int = 4,
) -> None:
    """Show photographs in a grid, with page numbers if there are many.

    Parameters
    ----------
    photographs : sequence of (filename, caption)
        Captions are Markdown.
    paths : mapping of str to str
        Base name to path; a photograph that it lacks is shown by its name.
    key : str
        Unique on the page.
    page_size, columns : int
        Photographs per page, most columns.
    """
    if not photographs:
        st.caption("No photographs.")
        return
    n_pages = -(-len(photographs) // page_size)
    page = 1
    if n_pages > 1:
        # A filter may have left fewer pages than the one that was open.
        page = min(int(st.session_state.get(f"{key}_page", 1)), n_pages)
    shown = photographs[(page - 1) * page_size : page * page_size]
    if not any(name in paths for name, _ in shown):
        st.caption(f":material/folder_open: {NO_PHOTOGRAPHS_HINT}")
    with st.grid(columns, min_column_width=130, gap="small"):
        for name, caption in shown:
            with st.container(gap="xxsmall"):
                _show_photograph(name, caption, paths.get(name))
    if n_pages > 1:
        st.pagination(n_pages, key=f"{key}_page")


def thumbnail(path: str) -> bytes | None:
    """Return a photograph as a small JPEG, or None if it cannot be read."""
    file = Path(path)
    return _thumbnail(path, file.stat().st_mtime_ns) if file.is_file() else None


@st.cache_data(max_entries=1000, show_spinner=False)
def _thumbnail(path: str, modified_ns: int) -> bytes | None:
    try:
        image = Image.fromarray(read_image_file(path))
    except InvalidImageError:
        return None
    image.thumbnail(_SIZE)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _show_photograph(name: str, caption: str, path: str | None) -> None:
    picture = thumbnail(path) if path else None
    if picture is not None:
        st.image(picture, width="stretch", alt=f"The photograph {name}")
    else:
        with st.container(border=True, height=96, horizontal_alignment="center"):
            st.caption(":material/image_not_supported:")
    st.caption(f"{escape_markdown(name)}  \n{caption}")
