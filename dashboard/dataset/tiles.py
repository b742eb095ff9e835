"""Photographs of a dataset as tiles, one by one or in groups."""

from collections.abc import Callable, Mapping
from typing import Final

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.dataset.decision_bar import PAGE_SIZE, current_decisions, decision_mark
from dashboard.dataset.view import DatasetView
from dashboard.widgets.gallery import Tile, gallery
from dashboard.widgets.opened_photo import open_photograph
from dashboard.wording.names import human_name, reason_in_words
from har_core.images.thumbnails import thumbnails
from har_core.scan.issues import ISSUE_KINDS

_SIDE_BY_SIDE: Final = 4
BROWSING: Final = "photographs_in_view"
OUTLIER_TITLE: Final = "Outlier"
OUTLIER_MEANING: Final = (
    "Among the 0.5 % least like any other to the model: another subject, a collage or a drawing."
)
Note = Callable[[pd.Series], str]


def issue_title(name: str) -> str:
    """Return what people call a kind of issue."""
    return OUTLIER_TITLE if name == "outlier" else ISSUE_KINDS[name].title


def show_tiles(
    view: DatasetView,
    rows: pd.DataFrame,
    *,
    key: str,
    note: Note | None = None,
    selectable: bool = True,
) -> list[str]:
    """Draw the photographs of some rows; a click opens one. Return the filenames selected.

    Parameters
    ----------
    view : DatasetView
    rows : DataFrame
        Rows of ``view.photographs``: one page of them.
    key : str
        Names the gallery.
    note : callable, optional
        Second line of a tile, from its row; default: its findings.
    selectable : bool
        Whether several can be selected.
    """
    decisions = current_decisions(view)
    pictures = thumbnails([path if isinstance(path, str) else None for path in rows["path"]])
    describe = note or (lambda row: ", ".join(map(issue_title, view.issues_of(row))))
    tiles = []
    for (_, row), picture in zip(rows.iterrows(), pictures, strict=True):
        decision = decisions.current.get(row["filename"])
        excluded = decision is not None and decision.action == "exclude"
        tiles.append(
            Tile(
                id=row["filename"],
                title=human_name(row["label"]) or "no label",
                note=describe(row) or row["filename"],
                picture=picture,
                mark="" if decision is None else decision_mark(decision),
                faded=excluded,
                placeholder=placeholder_text(row),
            )
        )
    names = rows["filename"].tolist()
    _, selected = gallery(
        tiles,
        key=f"{key} {hash(view.folder)}",  # what is ticked in one dataset is not in another
        selectable=selectable,
        on_opened=lambda name: _open(name, names),
    )
    return selected


def _open(name: str, names: list[str]) -> None:
    st.session_state[BROWSING] = names
    open_photograph(name)
    st.rerun()  # all of the page, which opens it


def show_groups(
    view: DatasetView, groups: Mapping[str, pd.DataFrame], *, key: str, note: Note
) -> list[str]:
    """Draw groups of photographs, each in its own frame; return the filenames selected.

    Parameters
    ----------
    view : DatasetView
    groups : mapping of str to DataFrame
        Heading to rows of ``view.photographs``: one page of groups.
    key : str
        Names the galleries.
    note : callable
        Second line of a tile, from its row.
    """
    selected: list[str] = []
    places: list[DeltaGenerator] = []  # what is left of a row, which a phone stacks
    for heading, rows in groups.items():
        if len(rows) > _SIDE_BY_SIDE:  # needs the whole width
            places = [st.container()]
        elif not places:
            places = list(st.columns(2))
        with places.pop(0).container(border=True):
            st.caption(heading if len(rows) <= PAGE_SIZE else f"{heading}, {PAGE_SIZE} of them")
            selected += show_tiles(view, rows.iloc[:PAGE_SIZE], key=f"{key} {heading}", note=note)
    return selected


def placeholder_text(row: pd.Series) -> str:
    """Return what stands where a photograph has no picture."""
    if not isinstance(row["path"], str):
        return "file missing"
    reason = row.get("reason")
    return reason_in_words(reason) if isinstance(reason, str) and reason else "unreadable"
