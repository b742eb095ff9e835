"""Buttons that exclude, relabel or confirm photographs, and undo it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import streamlit as st

from dashboard.dataset.view import BY_IDENTITY, DatasetView
from dashboard.resources import file_stamp
from dashboard.widgets.filters import label_field
from dashboard.widgets.messages import show_failure
from dashboard.wording.names import escape_markdown, human_name, markdown_name
from har_core.dataset.decisions import (
    Decision,
    Decisions,
    decide,
    decisions_path,
    load_decisions,
    undo,
)
from har_core.errors import DatasetError
from har_core.model.fields import check_class_names
from har_core.wording import counted

PAGE_SIZE: Final = 24  # photographs that a section shows at once
_MARKS: Final = {"exclude": "excluded", "confirm": "right as it is"}


def decision_mark(decision: Decision) -> str:
    """Return what was decided, in a word or two for a tile or a table."""
    return _MARKS.get(decision.action) or f"→ {human_name(decision.label)}"


def what_was_done(steps: Sequence[Decision]) -> str:
    """Return what a step, or several that were made together, did, as Markdown."""
    names = [name for step in steps for name in step.filenames]
    many = counted(len(names), "photograph")
    if len(names) <= 1:
        many = escape_markdown(names[0]) if names else "nothing"
    if len({step.action for step in steps}) > 1:
        return f"decided about {many}"
    labels = {step.label for step in steps}
    to = markdown_name(labels.pop()) if len(labels) == 1 else f"{len(labels)} classes"
    return {
        "exclude": f"excluded {many}",
        "relabel": f"relabelled {many} to {to}",
        "confirm": f"confirmed {many}",
        "keep": f"took back what was decided about {many}",
    }[steps[-1].action]


def current_decisions(view: DatasetView) -> Decisions:
    """Return what was decided about these photographs; nothing if the file is damaged."""
    try:
        return read_decisions(view)
    except DatasetError:
        return Decisions(view.folder)  # the page says above what is wrong with the file


def class_names_of(view: DatasetView) -> list[str]:
    """Return the labels to choose from: the dataset's, or where it has none the model's."""
    known = set(view.class_names) or set(view.manifest.class_names if view.manifest else ())
    return sorted(known | set(current_decisions(view).relabelled.values()))


def read_decisions(view: DatasetView) -> Decisions:
    """Read what was decided about these photographs once, and again when the file changes.

    Raises
    ------
    DatasetError
        If the file is damaged.
    """
    return _decisions(view, file_stamp(decisions_path(view.folder)))


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=BY_IDENTITY)
def _decisions(view: DatasetView, stamp: tuple[int, int]) -> Decisions:
    return load_decisions(view.folder).about(view.sha256_by_name)


def show_decision_bar(
    view: DatasetView, selected: Sequence[str], *, key: str, all_names: Sequence[str] = ()
) -> None:
    """Draw what can be decided about the selected photographs, or how to select some.

    Parameters
    ----------
    view : DatasetView
    selected : sequence of str
        Filenames that are ticked.
    key : str
        Names the buttons.
    all_names : sequence of str
        Everything that the filter or the lasso holds: selected together by one box, if there is
        more of it than a page shows.
    """
    # Another filter's box, or another dataset's, is another one: it must not begin ticked.
    held = hash((view.folder, *all_names))
    if len(all_names) > PAGE_SIZE and st.checkbox(
        f"Select all {len(all_names):,}, on every page", key=f"{key}_all {held}"
    ):
        selected = all_names
    if not selected:
        st.caption("Click a photograph to open it; tick several to decide about them together.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(selected):,}** selected", width="content")
        show_decision_buttons(view, selected, key=key)


def show_decision_buttons(
    view: DatasetView,
    filenames: Sequence[str],
    *,
    key: str,
    suggested: str | None = None,
    agreed: bool = False,
) -> None:
    """Draw the buttons that decide about these photographs.

    A suggested label is the first choice only if all who can judge agreed on it.
    """
    names = list(filenames)
    st.button(
        "Exclude",
        icon=":material/block:",
        key=f"{key}_exclude",
        on_click=decide_about,
        args=(view, "exclude", names),
    )
    label_field(
        "Relabel to",
        class_names_of(view),
        key=f"{key}_relabel",
        on_chosen=partial(decide_about, view, "relabel", names),
    )
    if suggested:
        st.button(
            f"Accept “{markdown_name(suggested)}”" + ("" if agreed else " (disputed)"),
            icon=":material/check:",
            key=f"{key}_accept",
            type="primary" if agreed else "secondary",
            on_click=decide_about,
            args=(view, "relabel", names, suggested),
        )
    else:
        st.empty()  # what follows keeps its place, see the review's buttons
    st.button(
        "Right as it is",
        icon=":material/done_all:",
        key=f"{key}_confirm",
        help="Nobody is asked about it again.",
        on_click=decide_about,
        args=(view, "confirm", names),
    )
    current = current_decisions(view).current
    decided = any(name in current for name in names)
    st.button(
        "Take back",
        icon=":material/undo:",
        key=f"{key}_keep",
        disabled=not decided,
        help=None if decided else "Nothing is decided about this yet.",
        on_click=decide_about,
        args=(view, "keep", names),
    )


def decide_about(view: DatasetView, action: Any, filenames: list[str], label: str = "") -> None:
    """Decide about photographs as the view shows them; for a button's callback."""
    known = view.sha256_by_name

    def write() -> None:
        check_class_names([label])
        decide(view.folder, action, filenames, label, sha256=known)

    report_failure(write)


def undo_last(folder: Path) -> None:
    """Take back the last decision; for a button's callback."""
    report_failure(lambda: undo(folder))


def report_failure(work: Callable[[], object]) -> None:
    """Run a callback's work; a failure is shown instead of breaking the page."""
    try:
        work()
    except DatasetError as error:
        show_failure(error)
