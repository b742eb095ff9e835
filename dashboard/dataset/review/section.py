"""The Dataset page's review: one doubtful photograph after another, one key for each decision."""

from collections.abc import Hashable
from functools import partial
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard.dataset.actions import ask_for_scan
from dashboard.dataset.decision_bar import (
    class_names_of,
    current_decisions,
    decide_about,
    decision_mark,
    report_failure,
    what_was_done,
)
from dashboard.dataset.review.item import (
    KIND_MEANINGS,
    KIND_TITLES,
    show_evidence,
    show_picture,
    show_question,
)
from dashboard.dataset.review.queue import Place, Queue, load_queue
from dashboard.dataset.review.unlabelled import (
    UNLABELLED,
    count_unlabelled,
    load_batch,
    start_batch,
)
from dashboard.dataset.view import DatasetView, section
from dashboard.widgets.filters import class_filter, label_field
from dashboard.wording.names import escape_markdown, markdown_name
from har_core.analysis.review import REVIEW_KINDS
from har_core.dataset.decisions import undo
from har_core.wording import counted

_AT: Final = "review_place"
_QUEUE: Final = "review_queue"
_OTHER: Final = "review_other"
_ASKED: Final = "review_asked"
# Streamlit's shortcuts know no punctuation; and once a class is chosen, keys decide again. The next
# photograph's buttons are others, so that the one that had the focus hands it on.
_SLASH_JS: Final = """
const number = element => element.closest("[class*='st-key-review_']")
  ?.className.match(/st-key-review_(\\d)/)?.[1]
let focused
export default function () {
  setTimeout(() => {
    const next = document.querySelector(`[class*='st-key-review_${focused}'] button`)
    if (next && document.activeElement === document.body) next.focus()
  }, 50)
  const remember = event => { focused = number(event.target) }
  const find = () => document.querySelector("[class*='st-key-review_other'] input")
  const focus = event => {
    const typing = event.target.closest("input, textarea, [contenteditable=true]")
    const field = find()
    if (event.key === "Enter" && event.target === field) setTimeout(() => field.blur())
    if (event.key !== "/" || typing || !field) return
    event.preventDefault()
    field.focus()
    field.click()
  }
  document.addEventListener("keydown", focus)
  document.addEventListener("focusin", remember)
  return () => {
    document.removeEventListener("keydown", focus)
    document.removeEventListener("focusin", remember)
  }
}
"""
_slash_key = st.components.v2.component("har_slash_key", html="<span></span>", js=_SLASH_JS)


def show_review(view: DatasetView) -> None:
    """Draw the photograph that is to be decided next, or say why there is none."""
    if not view.scanned:
        ask_for_scan()
        return
    queue = load_queue(view)
    if view.analysis is None:
        st.caption("Without the model's look at the photographs, only what the scan found is here.")
    unlabelled = count_unlabelled(view) if view.analysis is not None else 0
    batch_is_open = st.session_state.get("review_kind") == UNLABELLED
    if queue.items.empty and not (unlabelled or batch_is_open):
        st.success("Nothing here is doubtful.", icon=":material/check_circle:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        found = [kind for kind in REVIEW_KINDS if queue.items["kind"].eq(kind).any()]
        kinds = ["", *found] if len(queue.items) else []
        kind = st.selectbox(
            "Why in the queue",
            [*kinds, *([UNLABELLED] if unlabelled or batch_is_open else [])],
            format_func=lambda name: KIND_TITLES[name],
            key="review_kind",
            bind="query-params",
        )
        label = ""
        if kind != UNLABELLED:
            names = sorted(set(queue.items["label"]) - {""})
            label = class_filter("Label", names, key="review_class")
            if unlabelled:
                st.button(
                    f"Label these next · {unlabelled:,} without a label",
                    icon=":material/new_label:",
                    key="review_unlabelled",
                    type="tertiary",
                    on_click=_show_unlabelled,
                )
    if kind == UNLABELLED:
        queue = load_batch(view)
    items = queue.items
    if kind and kind != UNLABELLED:
        items = items[items["kind"].eq(kind)]
    if label:
        items = items[items["label"].eq(label)]
    if items.empty:
        text = "Nothing in the queue matches both."
        if kind == UNLABELLED:
            text = "Every photograph without a label looks like one that has one."
        st.info(text, icon=":material/filter_alt_off:")
        return
    if kind:
        st.caption(KIND_MEANINGS[kind])
    # Another queue begins at its first photograph.
    asked_about = (view.folder, view.model_folder, kind, label)
    if st.session_state.get(_QUEUE) != asked_about:
        st.session_state.update({_QUEUE: asked_about, _AT: 0})
    _show_next(view, queue, items)


@section()
def _show_next(view: DatasetView, queue: Queue, items: pd.DataFrame) -> None:
    decisions = current_decisions(view)
    place = Place.find(items["filename"].tolist(), decisions, st.session_state.get(_AT, 0))
    _show_progress(place)
    if place.at == len(items):
        _show_end(view, place, items)
        return
    row = items.iloc[place.at]
    picture, evidence = st.columns([3, 2], gap="large")
    with picture:
        show_question(row)
        show_picture(view, row)
        _show_buttons(view, row, place)
    with evidence:
        show_evidence(view, queue, row)


def _show_progress(place: Place) -> None:
    n, decided = len(place.names), len(place.decided)
    where = f"**{min(place.at + 1, n):,}** of {n:,}" if place.at < n else f"All {n:,}"
    st.progress(decided / n, text=f"{where} · {decided:,} decided")


def _show_buttons(view: DatasetView, row: pd.Series, place: Place) -> None:
    names = [row["filename"]]
    with st.container(horizontal=True, vertical_alignment="center"):
        # Each photograph has buttons of its own: a key means the one that was seen when it was
        # pressed. Each keeps its place, or the browser would for a moment have one twice.
        if row["label"]:
            _button(
                "Right as it is",
                "1",
                "done_all",
                of=row.name,
                primary=not row["suggested"],
                on_click=_decide,
                args=(view, place, "confirm", names),
            )
        else:
            st.empty()
        if row["suggested"]:
            verb = "Relabel to" if row["label"] else "It is"
            title = f"{verb} {markdown_name(row['suggested'])}"
            _button(
                title if row["agreed"] else f"{title} (disputed)",
                "2",
                "sell",
                of=row.name,
                primary=bool(row["agreed"]),
                on_click=_decide,
                args=(view, place, "relabel", names, row["suggested"]),
            )
        else:
            st.empty()
        _button(
            "Exclude",
            "3",
            "block",
            of=row.name,
            on_click=_decide,
            args=(view, place, "exclude", names),
        )
        key = st.session_state[_ASKED] = f"{_OTHER} {row.name}"
        label_field(
            "Another class",
            [name for name in class_names_of(view) if name != row["label"]],
            key=key,
            on_chosen=partial(_relabel_to_typed, view, place, names, key),
            placeholder="Another class  /" if row["label"] or row["suggested"] else "Class  /",
        )
        _slash_key(key="review_slash", data={"photograph": row["filename"]})
    with st.container(horizontal=True, vertical_alignment="center"):
        _button("Previous", "Left", "chevron_left", on_click=_go, args=(place.step(-1),))
        _button("Next", "Right", "chevron_right", on_click=_go, args=(place.step(1),))
        _show_undo(view, place)


def _button(
    title: str,
    key: str,
    icon: str,
    *,
    of: Hashable = "",
    primary: bool = False,
    **callback: Any,
) -> None:
    st.button(
        title,
        icon=f":material/{icon}:",
        key=f"review_{key} {of}".strip(),
        shortcut=key,
        type="primary" if primary else "secondary",
        **callback,
    )


def _show_undo(view: DatasetView, place: Place) -> None:
    steps = current_decisions(view).steps
    st.button(
        "Undo",
        icon=":material/undo:",
        key="review_undo",
        shortcut="U",
        disabled=not steps,
        help=None if steps else "Nothing is decided yet.",
        on_click=_undo,
        args=(view, place),
    )


def _show_end(view: DatasetView, place: Place, items: pd.DataFrame) -> None:
    n, left = len(place.names), 0
    if items["kind"].eq(UNLABELLED).all():
        left = count_unlabelled(view)
    st.success(
        f"{'The only one is' if n == 1 else f'All {n:,} are'} decided. "
        + (
            f"{counted(left, 'photograph')} more without a label."
            if left
            else "The section Clean up has the cleaned table."
        ),
        icon=":material/check_circle:",
    )
    with st.container(horizontal=True):
        if left:
            st.button(
                "Choose the next ones",
                type="primary",
                icon=":material/new_label:",
                key="review_next_batch",
                on_click=_start_batch,
                args=(view,),
            )
        st.page_link("../pages/training.py", label="Train", icon=":material/model_training:")
        _show_undo(view, place)


def _show_unlabelled() -> None:
    st.session_state["review_kind"] = UNLABELLED


def _start_batch(view: DatasetView) -> None:
    start_batch(view)
    st.session_state[_AT] = 0
    st.rerun()  # all of the page, which chooses them


def _go(at: int) -> None:
    st.session_state[_AT] = at


def _decide(
    view: DatasetView, place: Place, action: Any, names: list[str], label: str = ""
) -> None:
    st.session_state[_AT] = place.at
    # Only undecided ones are asked about: a second key, or another tab, was faster.
    if made := current_decisions(view).current.get(names[0]):
        said = escape_markdown(f"{names[0]} was already decided: {decision_mark(made)}.")
        st.toast(f"{said} Nothing was changed.", icon=":material/info:")
        return
    decide_about(view, action, names, label)


def _relabel_to_typed(
    view: DatasetView, place: Place, names: list[str], key: str, label: str
) -> None:
    # A browser that has not heard of the next photograph tells of this one's box once more.
    if st.session_state.pop(_ASKED, None) == key:
        _decide(view, place, "relabel", names, label)


def _undo(view: DatasetView, place: Place) -> None:
    last = current_decisions(view).last_together
    report_failure(lambda: undo(view.folder))
    names = [name for step in last for name in step.filenames]
    if names and names[0] in place.names:
        st.session_state[_AT] = list(place.names).index(names[0])
    if last:
        st.toast(f"Undone: {what_was_done(last)}", icon=":material/undo:")
