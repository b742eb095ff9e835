"""What can be decided about an evaluated photograph, there where it is opened."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard.resources import opened_dataset
from dashboard.widgets.filters import label_field
from dashboard.widgets.messages import show_failure
from dashboard.wording.names import escape_markdown, markdown_name
from har_core.dataset.decisions import decide, load_decisions
from har_core.errors import DatasetError
from har_core.model.fields import check_class_names
from har_core.storage.checksums import sha256_of_photograph


def name_in_dataset(path: str, dataset: str) -> str | None:
    """Return what a dataset calls the photograph of a path, None if it is none of its own.

    Raises
    ------
    DatasetError
        If the dataset cannot be read any more.
    """
    opened = opened_dataset(dataset)
    listed = opened.rows.loc[opened.rows["path"] == path, "filename"]
    names = [*listed, *(name for name, found in opened.unlisted.items() if found == path)]
    return names[0] if names else None


def show_relabelling(path: str, dataset: str, class_names: Sequence[str]) -> None:
    """Draw the decision about a photograph and what changes it; nothing if it is not listed.

    Parameters
    ----------
    path : str
        Of the photograph.
    dataset : str
        Folder whose decisions are meant.
    class_names : sequence of str
        To choose a label from.
    """
    try:
        table = opened_dataset(dataset).rows
        names = table.loc[table["path"] == path, "filename"]
        if names.empty:
            return
        filename = str(names.iloc[0])
        seen = {filename: sha256_of_photograph(path)}
        decisions = load_decisions(dataset).about(seen)
        decision = decisions.current.get(filename)
    except DatasetError as error:
        st.caption(escape_markdown(str(error)))
        return
    # Always there, so that what follows keeps its place when a decision comes or goes.
    with st.container():
        if decision is not None:
            text = {"exclude": "Excluded", "confirm": "Right as it is"}.get(decision.action)
            text = text or f"Relabelled to {markdown_name(decision.label)}"
            st.badge(f"{text} in the dataset", icon=":material/edit_note:", color="primary")
    # Each photograph has buttons of its own: a click means the one that was seen.
    with st.container(horizontal=True):
        label_field(
            "Relabel to",
            sorted({*class_names, *decisions.relabelled.values()}),
            key=f"evaluated_relabel {filename}",
            on_chosen=partial(_decide, dataset, seen, "relabel"),
        )
        for title, icon, action in (
            ("Right as it is", "done_all", "confirm"),
            ("Exclude", "block", "exclude"),
        ):
            st.button(
                title,
                icon=f":material/{icon}:",
                key=f"evaluated_{action} {filename}",
                on_click=_decide,
                args=(dataset, seen, action),
            )
        if decision is not None:
            st.button(
                "Take back",
                icon=":material/undo:",
                key=f"evaluated_keep {filename}",
                on_click=_decide,
                args=(dataset, seen, "keep"),
            )
    st.caption("For the next training; this evaluation keeps the labels that it was made with.")


def _decide(dataset: str, seen: dict[str, str], action: Any, label: str = "") -> None:
    try:
        check_class_names([label])
        decide(dataset, action, list(seen), label, sha256=seen)
    except DatasetError as error:
        show_failure(error)
