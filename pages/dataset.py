"""What is in a folder of photographs, what is wrong with it, and what to do about it."""

import streamlit as st

from dashboard import sidebar
from dashboard.dataset.actions import (
    SECTION_KEY,
    ask_for_scan,
    offer_analysis,
    offer_rescan,
    offer_scan,
    show_key_figures,
)
from dashboard.dataset.browser import show_browser
from dashboard.dataset.cleanup import show_cleanup
from dashboard.dataset.decision_bar import read_decisions
from dashboard.dataset.findings import show_findings
from dashboard.dataset.kept import show_kept, show_upload
from dashboard.dataset.leakage import show_leakage
from dashboard.dataset.map import show_map
from dashboard.dataset.opened import show_opened_photograph
from dashboard.dataset.overview import show_overview
from dashboard.dataset.review.section import show_review
from dashboard.dataset.suspects import show_suspects
from dashboard.dataset.table_check import show_recorded_classes, show_table_check
from dashboard.dataset.view import DatasetView, dataset_view
from dashboard.results.sections import show_as_dataset
from dashboard.widgets.sections import choose_section
from dashboard.wording.names import escape_markdown
from har_core.errors import DatasetError, UnclearTableError

SECTIONS = (
    "Overview",
    "Photographs",
    "Review",
    "Findings",
    "Label suspects",
    "Map",
    "Leakage",
    "Clean up",
)


def show_section(view: DatasetView, section: str) -> None:
    if section == "Overview":
        show_overview(view)
    elif section == "Photographs":
        show_browser(view)
    elif section == "Review":
        offer_analysis(view)
        show_review(view)
    elif section == "Clean up":
        show_cleanup(view)
    elif section == "Label suspects":
        offer_analysis(view)
        show_suspects(view)
    elif section == "Map":
        offer_analysis(view)
        show_map(view)
    elif not view.scanned:
        ask_for_scan()
    elif section == "Findings":
        offer_rescan(view)
        show_findings(view)
    else:
        show_leakage(view)


def show_dataset(folder: str) -> None:
    try:
        view = dataset_view(folder, sidebar.chosen_model_folder())
        read_decisions(view)  # a damaged file is reported before anything relies on it
    except DatasetError as error:
        st.error(escape_markdown(str(error)), icon=":material/folder_off:")
        if isinstance(error, UnclearTableError):
            st.info("Here it is chosen in the sidebar, below **Dataset folder**.")
        return
    figures = st.container()
    if view.photographs_missing:
        with figures:
            show_key_figures(view)
        st.warning(escape_markdown(view.photographs_missing), icon=":material/no_photography:")
        show_overview(view)
        return
    section = choose_section(SECTIONS, SECTION_KEY)
    if section != "Review":  # which needs the room
        with figures:
            show_key_figures(view)
            show_kept(view.folder)
    offer_scan(view, findings_shown=section == "Findings")
    show_section(view, section)
    show_opened_photograph(view)


st.title("Know your photographs", anchor=False)
if results := sidebar.chosen_results():
    show_as_dataset(results)
elif chosen := str(st.session_state.get(sidebar.DATASET_KEY, "")).strip():
    show_dataset(chosen)
    with st.expander("Upload other photographs, or open earlier ones"):
        show_upload()
else:
    st.info(
        "No dataset folder yet. Upload photographs here, type a folder's path on the server into "
        "**Dataset folder** in the sidebar, or set `HAR_DATASET` before starting.\n\nIt holds "
        "`train.csv` (`filename,label`) and the photographs in `train/`, another such table, or "
        "one folder of photographs for each class.",
        icon=":material/folder_open:",
    )
    st.header("Upload photographs", anchor=False)
    show_upload()
    recorded = st.container()
    st.header("Check a table", anchor=False)
    if not show_table_check():
        with recorded:
            show_recorded_classes(sidebar.chosen_model_folder())
