"""The section Audit: a blind look at 100 random photographs corrects what the labels say."""

from typing import Final

import streamlit as st

from dashboard.evaluation.shown import Shown
from dashboard.widgets.messages import show_failure
from dashboard.widgets.opened_photo import show_large_picture
from dashboard.wording.metrics import metric_value
from dashboard.wording.names import escape_markdown, human_name, markdown_name
from har_core.errors import DatasetError
from har_core.evaluation.audit.answers import answer, read_answers
from har_core.evaluation.audit.estimate import UNCLEAR, Audit, audit_sample, estimate
from har_core.evaluation.bootstrap import Interval
from har_core.wording import counted

# More classes are chosen from a list.
_MOST_BUTTONS: Final = 24
_KEYS: Final = "123456789"
_CHOSEN: Final = "audit_class"
_ASKED: Final = "audit_asked"
_LEAST: Final = 20  # photographs that an estimate needs to say anything


def show_audit(shown: Shown) -> None:
    """Draw the next photograph of the sample without its label, or what the sample says."""
    result = shown.result
    sample = audit_sample(result.sha256.tolist())
    try:
        answers = read_answers()
    except DatasetError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    if not sample:
        st.info(
            "It is not known which photographs these were. Evaluate the set to audit it.",
            icon=":material/info:",
        )
        return
    st.markdown(
        "A number is as right as its labels. Say of "
        f"**{counted(len(sample), 'random photograph')}** what you see, without "
        "their label and without the model's answer.\n\nThat tells how many labels are wrong, and "
        "how good the model is under right ones. Correcting only where the model disagrees "
        "would flatter it."
    )
    audit = estimate(result, answers)
    if audit is not None and audit.n_judged >= min(_LEAST, len(sample)):
        _show_estimate(audit, len(sample))
    _ask(shown, sample)
    if audit is not None and all(name in answers for name in sample) and len(audit.wrong):
        st.markdown("**Where you see something else than the label**")
        photographs = result.photographs().iloc[audit.wrong].copy()
        photographs["note"] = [
            f"you: {human_name(answers[result.sha256[row]])}" for row in audit.wrong
        ]
        shown.photos.show(photographs, key="audited")


def _show_estimate(audit: Audit, n_sample: int) -> None:
    labels, before, after = st.columns(3)
    labels.metric("Wrong labels", _percent(audit.label_errors), help=f"of {audit.n_judged} judged")
    labels.caption(_ends(audit.label_errors))
    before.metric("Top-1 by the labels", _percent(audit.top1))
    before.caption(_ends(audit.top1))
    after.metric("Top-1, corrected", _percent(audit.corrected_top1))
    after.caption(_ends(audit.corrected_top1))
    left_out = (
        (audit.n_unclear, "that nobody can tell"),
        (audit.n_unknown, "of a class that this model lacks"),
    )
    told = ", ".join(f"{n} {why}" for n, why in left_out if n)
    nowhere = f" Count nowhere: {told}." if told else ""
    st.caption(
        f"From {audit.n_judged} of {counted(n_sample, 'photograph')}, in random order.{nowhere} "
        "More of them make the interval narrower."
    )


def _percent(interval: Interval) -> str:
    return metric_value("top1", interval.value)


def _ends(interval: Interval) -> str:
    low, high = (metric_value("top1", end) for end in interval[1:])
    return f"95 % interval {low} to {high}"


@st.fragment
def _ask(shown: Shown, sample: list[str]) -> None:
    try:
        answers = read_answers()
    except DatasetError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    done = [name for name in sample if name in answers]
    st.progress(len(done) / len(sample), text=f"**{len(done)}** of {len(sample)} looked at")
    wanted = set(sample)
    latest = next((name for name in reversed(answers) if name in wanted), "")
    name_of = dict(zip(shown.result.sha256, shown.result.filenames, strict=True))
    waiting = [sha256 for sha256 in sample if sha256 not in answers]
    found = ((sha256, shown.files.get(name_of[sha256])) for sha256 in waiting)
    sha256, path = next(((s, p) for s, p in found if p), (None, None))
    if sha256 is None or path is None:
        if waiting:
            st.info(shown.files.why_missing(name_of[waiting[0]]), icon=":material/folder_off:")
        elif st.button("See what it says", type="primary", key="audit_done"):
            st.rerun()
    else:
        picture, choices = st.columns([3, 2], gap="large")
        # Its name may hold the label, so that it is not shown.
        with picture:
            if not show_large_picture(path, alt="A photograph of the sample"):
                st.info("There is no picture to show.", icon=":material/broken_image:")
        with choices:
            st.markdown("**What is the person doing?**")
            _show_choices(list(shown.result.class_names), sha256)
    with st.container(horizontal=True):
        st.button(
            "Undo",
            icon=":material/undo:",
            key="audit_undo",
            shortcut="U",
            disabled=not done,
            help=None if done else "Nothing is answered yet.",
            on_click=_answer,
            args=(latest, None),
        )
        if len(done) >= _LEAST and st.button(
            "Show the estimate", icon=":material/calculate:", key="audit_show"
        ):
            st.rerun()


def _show_choices(class_names: list[str], sha256: str) -> None:
    few = class_names if len(class_names) <= _MOST_BUTTONS else []
    # Each photograph has buttons of its own: a key means the one that was seen when it was pressed.
    with st.container(horizontal=True):
        if not few:
            st.session_state[_ASKED] = sha256
            st.selectbox(
                "What is it?",
                class_names,
                index=None,
                format_func=human_name,
                key=f"{_CHOSEN} {sha256}",
                on_change=_answer_chosen,
                args=(sha256,),
            )
        for number, name in enumerate(few):
            st.button(
                markdown_name(name),
                key=f"audit {name} {sha256}",
                shortcut=_KEYS[number] if number < len(_KEYS) else None,
                on_click=_answer,
                args=(sha256, name),
            )
        st.button(
            "Cannot tell",
            icon=":material/question_mark:",
            key=f"audit_unclear {sha256}",
            shortcut="0",
            type="tertiary",
            on_click=_answer,
            args=(sha256, UNCLEAR),
        )


def _answer_chosen(sha256: str) -> None:
    label = st.session_state.get(f"{_CHOSEN} {sha256}")
    # A browser that has not heard of the next photograph tells of this one's box once more.
    if label and st.session_state.pop(_ASKED, None) == sha256:
        _answer(sha256, label)


def _answer(sha256: str, label: str | None) -> None:
    try:
        if label is not None and sha256 in read_answers():  # a second key, or another tab
            st.toast("This one was already answered. Nothing was changed.", icon=":material/info:")
            return
        answer(sha256, label)
    except DatasetError as error:
        show_failure(error)
