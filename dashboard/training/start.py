"""The form that starts a training: what to learn from, its name, and how much work it may be."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from dashboard.jobs.registry import is_at_work, start_job
from dashboard.jobs.view import JobEnd, show_jobs
from dashboard.resources import opened_dataset
from dashboard.training.advanced import chosen_settings, describe_settings, show_settings
from dashboard.training.estimate import about, estimate_seconds
from dashboard.training.measuring import JOB, measure_speed
from dashboard.training.runs import ACTIVE, Run, start_run
from dashboard.widgets.messages import show_failure
from dashboard.wording.names import escape_markdown
from har_core.dataset.decision_tables import cleaned_dataset, decisions_about, new_labels
from har_core.errors import DatasetError, HarError
from har_core.model.bundle import list_bundles
from har_core.training.efforts import EFFORTS, Effort
from har_core.wording import counted

_TABLES: Final = {"cleaned": "the cleaned table", "as it is": "the table as it is"}
_TITLES: Final = {"quick": "Quick", "standard": "Standard", "full": "Full"}
_MEANINGS: Final = {
    "quick": "a new head on what {base} sees; its network stays as it is",
    "standard": "fine-tunes the network of {base}",
    "full": "begins with ImageNet weights; the whole recipe",
}
_NAME_KEY: Final = "train_name "
_DATE: Final = re.compile(r"-20\d{6}(-\d+)?$")  # as `_free_name` puts behind a name
OPENED: Final = "run"


@dataclass(frozen=True)
class _Lesson:
    """What there is to learn from: a table, and what the review changed in it."""

    csv: str
    photographs: int
    relabelled: int = 0
    excluded: int = 0
    labelled: int = 0


def show_start(folder: str, base: Path, runs: list[Run]) -> None:
    """Draw the form; a click starts the training and opens it."""
    try:
        as_it_is, cleaned = _lessons(folder)
    except HarError as error:
        st.error(escape_markdown(str(error)), icon=":material/folder_off:")
        return
    chosen = as_it_is
    if not cleaned.photographs:
        st.info(
            "No photograph here has a label yet. Label some in the Dataset page's Review: it "
            "chooses those that teach most.",
            icon=":material/new_label:",
        )
        return
    if not as_it_is.photographs:
        chosen = cleaned
        st.markdown(f"Learns from {_describe(cleaned)}.")
    elif cleaned.relabelled or cleaned.excluded or cleaned.labelled:
        which = st.radio(
            "Learn from",
            list(_TABLES),
            format_func=_TABLES.__getitem__,
            # Not in the titles: the browser knows by these what is chosen.
            captions=[_describe(cleaned), counted(as_it_is.photographs, "photograph")],
            key="train_table",
        )
        chosen = cleaned if which == "cleaned" else as_it_is
    else:
        st.markdown(
            f"Learns from **{counted(chosen.photographs, 'photograph')}** of "
            f"{escape_markdown(folder)}; nothing was relabelled or excluded."
        )
    free = _free_name(base.name, runs)
    st.text_input(
        "Name of the new model",
        value=free,
        key=_NAME_KEY + free,
        help="Letters, digits, '.', '_' and '-'.",
        width=320,
    )
    captions, bases = [], set()
    for effort in EFFORTS:
        changes = chosen_settings(effort, base, chosen.photographs)
        seconds, basis, source = estimate_seconds(effort, base, chosen.photographs, runs, changes)
        bases.add(basis)
        meaning = _MEANINGS[effort].format(base=escape_markdown(base.name))
        captions.append(f"{about(seconds)} ({source}): {meaning}")
    picked: Effort = st.radio(
        "Effort", EFFORTS, format_func=_TITLES.__getitem__, captions=captions, key="train_effort"
    )
    show_settings(picked, base, chosen.photographs)
    if changes := chosen_settings(picked, base, chosen.photographs):
        st.caption(f"Other than usual: {describe_settings(changes)}.")
    if bases != {"run"}:
        _offer_measurement(base, again="estimated" not in bases)
    waiting = [run for run in runs if run.state in ACTIVE]
    st.button(
        "Train" if not waiting else "Train after the one at work",
        type="primary",
        icon=":material/model_training:",
        key="train",
        on_click=_start,
        args=(free, base, folder, as_it_is, cleaned),
    )


def _offer_measurement(base: Path, *, again: bool) -> None:
    """Offer to measure how fast this machine trains, where no earlier training tells it."""
    show_jobs(JOB, JobEnd(lambda job: "This machine's speed is known now."), exact=True)
    if not is_at_work(JOB, exact=True):
        st.button(
            f"Measure standard and full on this machine{' again' if again else ''}",
            type="tertiary",
            icon=":material/timer:",
            key="measure_speed",
            on_click=_measure,
            args=(base,),
            help="Trains the network on a few drawn pictures, a minute or two. What else the "
            "machine does meanwhile counts.",
        )


def _measure(base: Path) -> None:
    start_job(JOB, "Measuring a small training", lambda job: measure_speed(base, job))


def _describe(cleaned: _Lesson) -> str:
    n = counted(cleaned.photographs, "photograph")
    changed = f"{cleaned.relabelled:,} relabelled, {cleaned.excluded:,} excluded"
    newly = f", {cleaned.labelled:,} newly labelled" if cleaned.labelled else ""
    return f"{n}, {changed}{newly}"


def _lessons(folder: str) -> tuple[_Lesson, _Lesson]:
    dataset = opened_dataset(folder)
    if dataset.missing:
        raise DatasetError(dataset.missing)
    decisions = decisions_about(dataset)
    cleaned, _ = cleaned_dataset(dataset, decisions)
    # A row without a label teaches nothing.
    before = dataset.rows[dataset.rows["label"].ne("")]
    after = cleaned.rows[cleaned.rows["label"].ne("")]
    relabelled, labelled = new_labels(dataset.rows, decisions, dataset.unlisted)
    return (
        _Lesson(_table(before), before["filename"].nunique()),
        _Lesson(
            _table(after),
            after["filename"].nunique(),
            relabelled=len(relabelled),
            excluded=before.loc[~before["filename"].isin(after["filename"]), "filename"].nunique(),
            labelled=len(labelled),
        ),
    )


def _table(rows: pd.DataFrame) -> str:
    # No spreadsheet opens it: a class keeps its name, whatever that begins with.
    return rows[["filename", "label"]].to_csv(index=False)


def _free_name(base: str, runs: list[Run]) -> str:
    taken = {entry.name for entry in list_bundles()} | {run.name for run in runs}
    stem = f"{_DATE.sub('', base)[:40]}-{datetime.now(UTC):%Y%m%d}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 100))]
    return next((name for name in names if name not in taken), stem)


def _start(free: str, base: Path, folder: str, as_it_is: _Lesson, cleaned: _Lesson) -> None:
    # What was chosen last, not what the page knew when it was drawn: a click may follow at once.
    name = str(st.session_state[_NAME_KEY + free]).strip()
    effort: Effort = st.session_state["train_effort"]
    which = st.session_state.get("train_table", "cleaned")
    lesson = cleaned if which == "cleaned" else as_it_is
    try:
        run = start_run(
            name,
            effort,
            base,
            folder,
            lesson.csv,
            n_photographs=lesson.photographs,
            relabelled=lesson.relabelled + lesson.labelled,
            excluded=lesson.excluded,
            settings=chosen_settings(effort, base, lesson.photographs),
        )
    except HarError as error:
        show_failure(error)
        return
    st.session_state[_NAME_KEY + free] = free  # what was typed is taken now
    st.query_params[OPENED] = run.id
    # The form may be far below it.
    st.toast(
        f"Started {escape_markdown(name)}: it is shown at the top of this page.",
        icon=":material/model_training:",
    )
