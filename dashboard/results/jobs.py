"""The Jobs page: score jobs and scans that run and that ended, from what their folders say."""

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import sidebar
from dashboard.charts.results import rate_line
from dashboard.charts.style import NO_TOOLBAR
from dashboard.jobs.own_process import run_apart
from dashboard.jobs.registry import start_job
from dashboard.jobs.view import JobEnd, show_jobs
from dashboard.results.opening import opened_results
from dashboard.wording.names import duration, escape_markdown, reason_in_words
from har_core.errors import HarError
from har_core.scale.analyses import AnalysisStatus
from har_core.scale.engines.ray_state import ClusterState, cluster_state
from har_core.scale.opened.finding import FoundJob, find_jobs
from har_core.scale.opened.scans import ScanCounts, count_scan, scan_stamp
from har_core.scale.status import ACTIVE, JobStatus, Status
from har_core.scan.issues import ISSUE_KINDS
from har_core.wording import counted

PLACE_KEY: Final = "jobs_in"
_ASK_AGAIN_S: Final = 2.0
_SHORTEST: Final = timedelta(minutes=2)  # of a job whose rate has a course
_RAY_JOB: Final = "ray state"
# Badge, icon and colour.
_STATES: Final = {
    "listing": ("listing photographs", ":material/list:", "blue"),
    "running": ("running", ":material/play_arrow:", "blue"),
    "done": ("done", ":material/check:", "green"),
    "failed": ("failed", ":material/error:", "red"),
    "stopped": ("stopped", ":material/stop:", "orange"),
    "lost": ("silent, probably killed", ":material/heart_broken:", "orange"),
    "unknown": ("state unknown", ":material/question_mark:", "gray"),
}
# What is done with a photograph, and what becomes of one that cannot be used.
_WORDS: Final = {
    "score": ("Scored by this job", "No answer"),
    "scan": ("Newly measured", "Unusable files"),
}
# What is computed from the rows, by the command that does it.
_ANALYSES: Final = {"suspects": "Doubtful labels", "evaluate": "Evaluation", "scan": "Findings"}
_TIMES: Final = "\N{NO-BREAK SPACE}× "
_GO_ON: Final = "The same `har {}` command goes on from there."


def show_place(place: str) -> None:
    """Draw the jobs whose folders lie in a place; running ones refresh by themselves."""
    try:
        found = find_jobs(place)
    except HarError as error:
        st.error(escape_markdown(str(error)), icon=":material/folder_off:")
        return
    on_ray = [job.status for job in found if job.status and job.status.engine == "ray"]
    if on_ray:
        _show_ray(on_ray[0].address)
    for job in found:
        with st.container(border=True):
            draw = _show_running if job.is_active else _show_job
            draw(job, alone=len(found) == 1)
            if job.command == "score":
                _show_links(job.location)


@st.fragment(run_every=_ASK_AGAIN_S)
def _show_running(before: FoundJob, *, alone: bool) -> None:
    try:
        (job,) = find_jobs(before.location)
    except HarError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    if not job.is_active:
        st.rerun()  # so that it is drawn as one that ended
    _show_job(job, alone=alone)


def _show_job(job: FoundJob, *, alone: bool) -> None:
    title, icon, colour = _STATES[job.state]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(escape_markdown(job.location.rpartition("/")[2]), anchor=False)
        st.badge(title, icon=icon, color=colour)  # type: ignore[arg-type]
    status = job.status
    go_on = _GO_ON.format(job.command)
    if status is None:
        what = f"Answers of {escape_markdown(job.model)}" if job.model else "A scan"
        st.caption(f"{what}; no job has left its state here.")
    else:
        st.caption(_describe(job, status))
        if status.seen in ACTIVE:
            _show_progress(status)
            if status.cluster:
                st.caption(_describe_ray(ClusterState(**status.cluster)))  # type: ignore[arg-type]
        _show_trouble(status, go_on)
        if status.troubles:
            text = "\n\n".join(map(escape_markdown, status.troubles))
            st.warning(text, icon=":material/folder_off:")
        _show_figures(job, status)
    if alone or job.state in ACTIVE or st.toggle("Details", key=f"details {job.location}"):
        _show_details(job)
    for analysis in job.analyses:
        _show_analysis(analysis)


def _show_trouble(status: Status, go_on: str) -> None:
    if status.message and status.seen in ("failed", "stopped"):
        st.error(f"{escape_markdown(status.message)} {go_on}", icon=":material/error:")
    elif status.seen == "lost":
        st.warning(
            f"Nothing was heard of it since {_clock(status.updated)}. {go_on}",
            icon=":material/heart_broken:",
        )


def _show_analysis(status: AnalysisStatus) -> None:
    """Draw what is computed from the rows, or was."""
    title, icon, colour = _STATES[status.seen]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{_ANALYSES[status.command]}**", width="content")
        st.badge(title, icon=icon, color=colour)  # type: ignore[arg-type]
    by = f" with {escape_markdown(status.labels)}" if status.labels else ""
    st.caption(
        f"har {status.command}{by} on {escape_markdown(status.host)} · begun "
        f"{_clock(status.started)} · {duration(status.elapsed_s)}"
    )
    if status.seen in ACTIVE:
        counts = f" · {status.done:,} of {status.total:,}" if status.total > 1 else ""
        share = min(status.done / status.total, 1.0) if status.total else 0.0
        st.progress(share, text=f"{status.step or 'Reading labels'}{counts}")
    elif status.found:
        st.markdown(escape_markdown(status.found))
    _show_trouble(status, "Start the same command again.")


def _describe(job: FoundJob, status: JobStatus) -> str:
    sources = ", ".join(map(escape_markdown, status.sources[:3]))
    more = ", …" if len(status.sources) > 3 else ""
    engine = f"Ray at {escape_markdown(status.address)}" if status.address else "Ray"
    if status.engine == "local":
        engine = f"the cores of {escape_markdown(status.host)}"
    by = escape_markdown(job.model) or "scan for faults and copies"
    return (
        f"{sources}{more} · {by} · "
        f"{counted(status.workers, 'worker')} on {engine} · begun {_clock(status.started)}"
    )


def _show_progress(status: JobStatus) -> None:
    if status.state == "listing" or not status.total:
        so_far = f" {status.listed:,} so far" if status.listed else ""
        st.progress(0.0, text=f"Listing the photographs …{so_far}")
        return
    text = f"{status.done:,} of {status.total:,} · {status.rate:,.1f} a second"
    if status.remaining_s is not None:
        end = datetime.now(UTC) + timedelta(seconds=status.remaining_s)
        text += f" · about {duration(status.remaining_s)} left, until {end:%d %b %H:%M} UTC"
    st.progress(min(status.done / status.total, 1.0), text=text)


def _show_figures(job: FoundJob, status: JobStatus) -> None:
    rate = f"{status.done / status.elapsed_s:,.1f}" if status.elapsed_s else "–"
    done, failed = _WORDS[job.command]
    in_vain = status.errors + status.failed_before  # as the reasons below count them
    figures = (
        ("Photographs", _short(status.listed), f"{_short(status.answered)} before"),
        (done, _short(status.done), f"in {duration(status.elapsed_s)}"),
        ("On average", rate, "a second"),
        (failed, _short(in_vain), _share(in_vain, status.done + status.answered)),
        ("Workers replaced", _short(status.restarts), "after they died"),
    )
    with st.grid(5, min_column_width=140, gap="small"):
        for title, value, note in figures:
            st.metric(title, value, note, delta_color="off", delta_arrow="off", border=True)


def _show_details(job: FoundJob) -> None:
    """Draw what is in the folder itself."""
    try:
        if job.command == "scan":
            _show_scanned(job)
        else:
            _show_scored(job.location)
    except HarError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")


def _show_scored(location: str) -> None:
    table = opened_results(location)
    counts = np.bincount(table.reason + 1, minlength=len(table.reasons) + 1)[1:]
    told = sorted(zip(counts.tolist(), table.reasons, strict=True), reverse=True)
    _show_reasons("Why there is no answer", {name: n for n, name in told})
    _show_parts(location, table.parts_written)


def _show_scanned(job: FoundJob) -> None:
    counts = _scan_counts(job.location, scan_stamp(job.location))
    _show_reasons("Why files cannot be used", counts.reasons)
    if counts.issues is not None and job.state == "done":
        found = {ISSUE_KINDS[name].title: n for name, n in counts.issues.items() if n}
        listed = ", ".join(f"{n:,}{_TIMES}{title.lower()}" for title, n in found.items())
        st.markdown(f"**Findings:** {listed or 'nothing'}")
    _show_parts(job.location, counts.parts_written)


@st.cache_data(max_entries=8, show_spinner=False)
def _scan_counts(location: str, stamp: tuple[int, ...]) -> ScanCounts:
    return count_scan(location)


def _show_reasons(why: str, counts: dict[str, int]) -> None:
    if counts:
        reasons = ", ".join(f"{n:,} {reason_in_words(name)}" for name, n in counts.items())
        st.markdown(f"**{why}:** {escape_markdown(reasons)}")


def _show_parts(location: str, parts: pd.DataFrame) -> None:
    if len(parts) and parts["time"].max() - parts["time"].min() > _SHORTEST:
        st.markdown("**Photographs a second**, as the parts were written")
        st.plotly_chart(
            rate_line(parts),
            key=f"rate {location}",
            config=NO_TOOLBAR,
            alt="Photographs a second over time",
        )
    rows = counted(int(parts["rows"].sum()), "row")
    st.caption(f"{rows} in {counted(len(parts), 'part')} in {escape_markdown(location)}")


def _show_links(location: str) -> None:
    with st.container(horizontal=True):
        for title, page in (("Dataset", "dataset"), ("Evaluation", "evaluation")):
            if st.button(
                f"Open in {title}",
                key=f"open {page} {location}",
                icon=":material/arrow_forward:",
                width="content",
            ):
                st.session_state[sidebar.RESULTS_KEY] = location
                st.switch_page(f"../pages/{page}.py", query_params={sidebar.RESULTS_KEY: location})


def _show_ray(address: str) -> None:
    """Offer to ask the latest job's cluster how its machines are."""
    show_jobs(_RAY_JOB, JobEnd(describe=lambda job: _describe_ray(job.result)), exact=True)
    st.button(
        "Ask Ray about its machines",
        key="ask_ray",
        icon=":material/lan:",
        on_click=_ask_ray,
        args=(address,),
    )


def _ask_ray(address: str) -> None:
    start_job(
        _RAY_JOB, "Ray", lambda job: run_apart(cluster_state, address, progress=job.report_step)
    )


def _describe_ray(state: ClusterState) -> str:
    have = "has" if state.dead_nodes == 1 else "have"
    dead = f" ({state.dead_nodes:,} {have} left)" if state.dead_nodes else ""
    used = state.object_store - state.free_object_store
    return (
        f"Ray: {counted(state.nodes, 'machine')}{dead}, {state.cpus - state.free_cpus:,.0f} of "
        f"{state.cpus:,.0f} cores in use, {used / 1e9:,.1f} of {state.object_store / 1e9:,.1f} GB "
        "of the object store."
    )


def _short(n: int) -> str:
    """Return a number that fits its box; the exact ones stand in the sentences."""
    if n >= 1_000_000:
        return f"{n / 1e6:,.2f}\N{NO-BREAK SPACE}M"
    if n >= 100_000:
        return f"{n / 1e3:,.0f}\N{NO-BREAK SPACE}k"
    return f"{n:,}"


def _share(part: int, whole: int) -> str:
    if not whole:
        return "of none yet"
    return f"{part / whole:.2%}".replace("%", "\N{NO-BREAK SPACE}%")


def _clock(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%d %b %Y, %H:%M} UTC"
