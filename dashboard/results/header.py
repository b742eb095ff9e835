"""What stands above all that is shown of results."""

import streamlit as st

from dashboard.results.opening import close_results
from dashboard.wording.names import bold_count, escape_markdown
from har_core.scale.opened.table import ResultsTable
from har_core.scale.status import ACTIVE, read_status


def show_header(table: ResultsTable) -> None:
    """Say whose answers these are, and how many; offer to leave them."""
    failed = table.n - int(table.answered.sum())
    model = escape_markdown(table.info.answered_by)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{bold_count(table.n, 'photograph')} scored by **{model}** · "
            + (f":orange[**{failed:,}** without an answer]" if failed else "all have an answer")
            + f" :small[· {escape_markdown(table.results.location)}]"
        )
        st.button(
            "Close the results",
            key="close_results",
            icon=":material/close:",
            on_click=close_results,
            width="content",
            help="The page shows the dataset folder, or the model's evaluations, again.",
        )
    status = read_status(table.results)
    if status is not None and status.seen in ACTIVE:
        st.caption(
            f"The job is at work: {status.done:,} of {status.total:,}. What it adds is shown with "
            "the next click."
        )
