"""The Dataset page's two long jobs, scanning and analysing, and its key figures."""

from pathlib import Path
from typing import Final

import streamlit as st

from dashboard.dataset.view import DatasetView
from dashboard.jobs.own_process import run_apart
from dashboard.jobs.registry import Job, is_at_work, start_job
from dashboard.jobs.view import JobEnd, show_jobs
from dashboard.wording.names import bold_count, escape_markdown
from har_core.analysis.whole_set import analyse_photographs
from har_core.dataset.table import Dataset
from har_core.scan.cache import why_nothing_is_remembered
from har_core.scan.issues import any_issue
from har_core.scan.scanning import scan_dataset
from har_core.wording import counted

SECTION_KEY: Final = "section"


def show_key_figures(view: DatasetView) -> None:
    """Say in one line the handful of numbers to know first, and what was assumed to read them."""
    photographs = view.photographs
    n_listed = int(photographs["listed"].sum())
    figures = [
        bold_count(n_listed, "photograph"),
        bold_count(len(view.class_names), "class", "classes"),
    ]
    if not view.photographs_missing:
        missing = view.n_missing
        unlisted = int((~photographs["listed"]).sum())
        figures += [
            f"**{photographs['size_bytes'].sum() / 1e6:,.0f}** MB",
            f":orange[**{missing:,}** missing]" if missing else "none missing",
            f":orange[**{unlisted:,}** not in the table]" if unlisted else "all listed",
        ]
    if view.scanned:
        figures.append(f"**{int(view.has_finding.sum()):,}** with findings")
    st.markdown(" · ".join(figures))
    for note in view.dataset.notes:
        st.caption(escape_markdown(note))


def offer_scan(view: DatasetView, *, findings_shown: bool = False) -> None:
    """Offer to scan the photographs, or show how far that is.

    Above its findings a scan that is done needs no notice that leads to them.
    """
    key = f"scan/{view.folder}"
    if not view.scanned and not is_at_work(key, exact=True):
        _offer_first_scan(view)
    opening = _open_findings if view.scanned else None  # not where photographs were added since
    end = JobEnd(_describe_scan, opening, "See the findings", is_shown=findings_shown)
    show_jobs(key, end, exact=True)


def _offer_first_scan(view: DatasetView) -> None:
    if fault := why_nothing_is_remembered():
        _warn("photographs can be looked at but not scanned", fault)
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        n_left = int(view.photographs["path"].notna().sum()) - view.n_measured
        st.markdown(
            f"**{counted(n_left, 'photograph')} new, changed or not scanned yet.** A scan reads "
            "only these; then the findings of all are here."
            if view.n_measured
            else "**Not scanned yet.** A scan finds unreadable files, duplicates, and dark, blurry "
            "and other odd pictures. It is done once and shows the time that is left."
        )
        st.button(
            "Scan the photographs",
            type="primary",
            icon=":material/troubleshoot:",
            key="scan",
            on_click=start_scan,
            args=(view.dataset,),
            width="content",
        )


def _warn(consequence: str, fault: str) -> None:
    st.warning(
        f"Nothing can be remembered, so {consequence}: "
        + escape_markdown(fault[0].lower() + fault[1:]),
        icon=":material/history_toggle_off:",
    )


def ask_for_scan() -> None:
    """Say that a section needs a scan, unless `offer_scan` says that there can be none."""
    if not why_nothing_is_remembered():
        st.info("Scan the photographs first (above).", icon=":material/troubleshoot:")


def _describe_scan(job: Job) -> str:
    n_photographs, n_found = job.result
    found = f"{n_found:,}" if n_found else "none"
    return f"{counted(n_photographs, 'photograph')} scanned, {found} with findings."


def _open_findings(job: Job) -> None:
    st.session_state[SECTION_KEY] = "Findings"


def offer_rescan(view: DatasetView) -> None:
    """Draw a small button that looks for photographs that changed in place."""
    if view.scanned and not is_at_work(f"scan/{view.folder}", exact=True):
        st.button(
            "Scan again",
            type="tertiary",
            icon=":material/refresh:",
            key="rescan",
            on_click=start_scan,
            args=(view.dataset,),
            help="Reads only new and changed photographs.",
        )


def offer_analysis(view: DatasetView) -> None:
    """Offer to run the model over all photographs, or show how far that is."""
    if view.model_folder is None:
        st.info("This needs a model; choose or train one.", icon=":material/model_training:")
        return
    key = _analysis_key(view.folder, view.model_folder)
    if view.analysis is None and not is_at_work(key, exact=True):
        _offer_first_analysis(view, view.model_folder)
    show_jobs(key, JobEnd(_describe_analysis), exact=True)


def _offer_first_analysis(view: DatasetView, model_folder: Path) -> None:
    if fault := why_nothing_is_remembered():
        if view.scanned:  # else it is said above
            _warn("the model cannot look at all photographs", fault)
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            "**Let the model look at all photographs** to find doubtful labels and outliers "
            "and to draw the map: once per model, and it says how long."
            + ("" if view.scanned else "  \n:orange[Scan the photographs first.]")
        )
        st.button(
            "Start",
            type="primary",
            icon=":material/visibility:",
            key="analyse",
            disabled=not view.scanned,
            help=None if view.scanned else "Scan the photographs first.",
            on_click=start_analysis,
            args=(view, model_folder),
            width="content",
        )


def _describe_analysis(job: Job) -> str:
    return (
        f"The model has looked at {counted(job.result, 'photograph')}: doubtful labels, outliers "
        "and the map are there."
    )


def _analysis_key(folder: Path, model_folder: Path) -> str:
    # The whole path: models outside the models folder may share a name.
    return f"analysis/{folder}/{model_folder}"


def start_scan(dataset: Dataset) -> None:
    """Scan a dataset in the background, as it is read here.

    The job's result is how many photographs there are, and how many with findings.
    """

    def work(job: Job) -> tuple[int, int]:
        photographs = scan_dataset(dataset, progress=job.report_step)
        return len(photographs), int(any_issue(photographs).sum())

    start_job(
        f"scan/{dataset.folder}",
        "Scanning the photographs",
        work,
        if_cancelled="what was measured is kept and the next scan goes on from there",
    )


def start_analysis(view: DatasetView, model_folder: Path) -> None:
    """Run a model over the view's photographs in the background; its result: how many it saw."""

    def work(job: Job) -> int:
        # Arranging the map holds the interpreter most of the time: pages took 5 times as long.
        arguments = analyse_photographs, model_folder, view.photographs
        return len(run_apart(*arguments, progress=job.report_step).table)

    start_job(
        _analysis_key(view.folder, model_folder),
        "Looking at the photographs with the model",
        work,
        if_cancelled="what the model has seen is kept and the next start goes on from there",
    )
