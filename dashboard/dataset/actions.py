"""The Dataset page's two long jobs, scanning and analysing, and its key figures."""

from pathlib import Path

import streamlit as st

from dashboard.dataset.view import DatasetView
from dashboard.jobs.registry import find_jobs, start_job
from dashboard.jobs.view import show_jobs
from har_core.analysis.whole_set import analyse_photographs
from har_core.scan.scanning import scan_dataset


def show_key_figures(view: DatasetView) -> None:
    """Draw the handful of numbers to know first."""
    photographs = view.photographs
    figures = [
        ("Photographs", f"{int(photographs['listed'].sum()):,}"),
        ("Classes", f"{len(view.class_names):,}"),
    ]
    if not view.photographs_missing:
        missing = int((photographs["path"].isna() & photographs["listed"]).sum())
        figures += [
            ("Missing files", f"{missing:,}"),
            ("Unlisted files", f"{int((~photographs['listed']).sum()):,}"),
            ("Total size", f"{photographs['size_bytes'].sum() / 1e6:,.0f} MB"),
        ]
    if view.scanned:
        figures.append(("With findings", f"{int(view.has_finding.sum()):,}"))
    with st.container(horizontal=True, gap="medium"):
        for label, value in figures:
            st.metric(label, value, width="content")


def offer_scan(view: DatasetView) -> None:
    """Offer to scan the photographs, or show how far that is."""
    key = f"scan/{view.folder}"
    if not view.scanned and not _is_running(key):
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                "**Not scanned yet.** A scan finds unreadable files, duplicates, and dark, blurry "
                "and other odd pictures: about a minute for 10,000 photographs, once."
            )
            st.button(
                "Scan the photographs",
                type="primary",
                icon=":material/troubleshoot:",
                key="scan",
                on_click=_start_scan,
                args=(view.folder,),
                width="content",
            )
    show_jobs(key, exact=True)


def offer_rescan(view: DatasetView) -> None:
    """Draw a small button that looks for photographs that changed in place."""
    if view.scanned and not _is_running(f"scan/{view.folder}"):
        st.button(
            "Scan again",
            type="tertiary",
            icon=":material/refresh:",
            key="rescan",
            on_click=_start_scan,
            args=(view.folder,),
            help="Reads only new and changed photographs.",
        )


def offer_analysis(view: DatasetView) -> None:
    """Offer to run the model over all photographs, or show how far that is."""
    if view.model_folder is None:
        st.info("This needs a model; choose or train one.", icon=":material/model_training:")
        return
    key = _analysis_key(view)
    if view.analysis is None and not _is_running(key):
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                "**Let the model look at all photographs** to find doubtful labels and outliers "
                "and to draw the map: some minutes for 10,000 photographs, once per model."
            )
            st.button(
                "Start",
                type="primary",
                icon=":material/visibility:",
                key="analyse",
                disabled=not view.scanned,
                help=None if view.scanned else "Scan the photographs first.",
                on_click=_start_analysis,
                args=(view,),
                width="content",
            )
    show_jobs(key, exact=True)


def _analysis_key(view: DatasetView) -> str:
    # The whole path: models outside the models folder may share a name.
    return f"analysis/{view.folder}/{view.model_folder}"


def _is_running(key: str) -> bool:
    return any(job.state == "running" for job in find_jobs(key, exact=True))


def _start_scan(folder: Path) -> None:
    start_job(
        f"scan/{folder}",
        "Scanning the photographs",
        lambda job: len(scan_dataset(folder, progress=job.report_step)),
        if_cancelled="what was measured is kept and the next scan goes on from there",
    )


def _start_analysis(view: DatasetView) -> None:
    folder, photographs = view.model_folder, view.photographs
    if folder is None:
        return
    start_job(
        _analysis_key(view),
        "Looking at the photographs with the model",
        lambda job: len(analyse_photographs(folder, photographs, progress=job.report_step).table),
        if_cancelled="what the model has seen is kept and the next start goes on from there",
    )
