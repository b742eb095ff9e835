"""How a page shows background jobs: progress, time left, cancel, and what became of them."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from dashboard.jobs.registry import Job, dismiss_job, find_jobs
from dashboard.wording.names import duration, escape_markdown


@dataclass(frozen=True)
class JobEnd:
    """What a page says of a job that is done.

    Parameters
    ----------
    describe : callable
        What came out, as a sentence, from the job.
    open_result : callable, optional
        What the button beside it does with the job; without it there is none.
    open_label : str
        Of that button.
    is_shown : bool
        Whether the page shows the result already: nothing is said of a job that is done.
    """

    describe: Callable[[Job], str] = lambda job: f"{job.title}: done."
    open_result: Callable[[Job], None] | None = None
    open_label: str = "Open"
    is_shown: bool = False


def show_jobs(prefix: str, end: JobEnd | None = None, *, exact: bool = False) -> None:
    """Show the jobs of a kind; running ones refresh by themselves, without the rest of the page.

    When one starts, be it in another tab, or ends, the whole page runs again, so that what it
    offers fits.

    Parameters
    ----------
    prefix, exact
        As in `dashboard.jobs.registry.find_jobs`.
    end : JobEnd, optional
        What is said of a job that is done.
    """
    jobs = find_jobs(prefix, exact=exact)
    running = [job for job in jobs if job.state == "running"]
    if running:
        _show_running_jobs(prefix, exact, [id(job) for job in running])
    else:
        _await_job(prefix, exact, [id(job) for job in jobs])
    end = end or JobEnd()
    for job in jobs:
        if job.state != "running" and not (job.state == "done" and end.is_shown):
            _show_ended_job(job, end)


@st.fragment(run_every=3.0)
def _await_job(prefix: str, exact: bool, drawn: list[int]) -> None:
    # Also one that began and ended between two looks.
    if [id(job) for job in find_jobs(prefix, exact=exact)] != drawn:
        st.rerun()


@st.fragment(run_every=1.0)
def _show_running_jobs(prefix: str, exact: bool, drawn: list[int]) -> None:
    running = [job for job in find_jobs(prefix, exact=exact) if job.state == "running"]
    if [id(job) for job in running] != drawn:
        st.rerun()
    for job in running:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.progress(job.fraction, text=escape_markdown(_describe_progress(job)))
            st.button(
                "Cancel",
                key=f"cancel {job.key}",
                icon=":material/close:",
                disabled=job.is_cancelling,
                help="It ends as soon as it can." if job.is_cancelling else None,
                on_click=job.cancel,
                width="content",
            )


def _describe_progress(job: Job) -> str:
    if job.is_cancelling:
        return f"{job.title}: stopping …"
    if not job.total:
        return f"{job.title}: starting …"
    if job.total == 1:
        return f"{job.step or job.title} …"
    text = f"{job.step or job.title}: {job.done:,} of {job.total:,}"
    left = job.seconds_left
    if left is None or left < 2:
        return text
    return f"{text}, about {duration(left)} left"


def _show_ended_job(job: Job, end: JobEnd) -> None:
    outcome = {
        "done": (
            st.success,
            ":material/check_circle:",
            end.describe(job) if job.state == "done" else "",
        ),
        "failed": (st.error, ":material/error:", f"{job.title}: {job.error}"),
        "cancelled": (st.info, ":material/cancel:", f"{job.title}: cancelled, {job.if_cancelled}."),
    }
    with st.container(horizontal=True, vertical_alignment="center"):
        show, icon, text = outcome[job.state]
        show(escape_markdown(text), icon=icon)
        with st.container(horizontal=True, width="content"):
            if end.open_result is not None and job.state == "done":
                st.button(
                    end.open_label,
                    key=f"open {job.key}",
                    on_click=_open_and_dismiss,
                    args=(job, end.open_result),
                    width="content",
                )
            st.button(
                "Dismiss",
                key=f"dismiss {job.key}",
                on_click=dismiss_job,
                args=(job,),
                width="content",
            )


def _open_and_dismiss(job: Job, open_result: Callable[[Job], None]) -> None:
    open_result(job)
    dismiss_job(job)
