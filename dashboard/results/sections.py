"""What the Dataset and Evaluation pages show while results are open."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from dashboard.results.browser import show_browser
from dashboard.results.evaluation import show_evaluation
from dashboard.results.header import show_header
from dashboard.results.map import show_map
from dashboard.results.opening import close_results, opened_results
from dashboard.results.overview import show_overview
from dashboard.widgets.sections import choose_section
from dashboard.wording.names import escape_markdown
from har_core.errors import HarError
from har_core.scale.opened.table import ResultsTable

_SECTIONS: Final[dict[str, Callable[[ResultsTable], None]]] = {
    "Overview": show_overview,
    "Photographs": show_browser,
    "Map": show_map,
}


def show_as_dataset(location: str) -> None:
    """Draw what is in results, without labels."""
    _show(location, _show_sections)


def show_as_evaluation(location: str) -> None:
    """Draw how good the answers are, if labels are known."""
    _show(location, show_evaluation)


def _show(location: str, draw: Callable[[ResultsTable], None]) -> None:
    try:
        table = opened_results(location)
        show_header(table)
        if table.n:
            draw(table)
        else:
            st.info("There is no row yet: the job has just begun.", icon=":material/pending:")
    except HarError as error:
        st.error(escape_markdown(str(error)), icon=":material/folder_off:")
        st.button("Close the results", on_click=close_results, key="close_unreadable")


def _show_sections(table: ResultsTable) -> None:
    _SECTIONS[choose_section(list(_SECTIONS), "results_section")](table)
