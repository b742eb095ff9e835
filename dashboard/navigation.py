"""The script that Streamlit runs on every visit: pages, model and dataset folder."""

from pathlib import Path

import streamlit as st

from dashboard import sidebar
from dashboard.resources import spare_the_collector
from dashboard.training.watching import show_watched
from dashboard.widgets import tab_memory
from dashboard.wording.names import PRODUCT
from har_core.settings import shipped

# Streamlit writes white on every primary colour; one that is legible as text on a dark page is
# too light for that, but not below the mouse, where Streamlit darkens it. The browser decides,
# because the system may turn dark without a rerun.
# Of two columns on a tablet, beside the sidebar, one is too narrow for what is in it: they follow
# one another, as Streamlit lets them on a phone. There tables wrap instead of scrolling, which the
# keyboard cannot do. In dialogs Streamlit makes headings smaller than the text. What it writes in
# charts on a light page is in a grey that is too faint to read.
_STYLE = """<style>
[data-testid^="stBaseButton-primary"]:not(:disabled)
{ color: light-dark(#ffffff, #0b1519) !important; }
[data-testid^="stBaseButton-primary"]:not(:disabled, :active):is(:hover, :focus-visible)
{ color: #ffffff !important; }
[role="dialog"] [data-testid="stHeading"] h2 { font-size: 1.25rem !important; }
.js-plotly-plot text[style*="fill: rgb(128, 132, 149)"] { fill: currentColor !important; }
.st-key-confused_pairs button { text-align: start; }
.st-key-confused_pairs img
{ width: 31%; max-width: 90px; aspect-ratio: 1; object-fit: cover; border-radius: 8px; }
.st-key-confused_pairs img + img { margin-left: 3%; }
@media (max-width: 960px) {
[data-testid="stMain"] [data-testid="stHorizontalBlock"]
> [data-testid="stColumn"]:nth-last-child(2):first-child,
[data-testid="stMain"] [data-testid="stHorizontalBlock"]
> [data-testid="stColumn"]:nth-last-child(2):first-child + [data-testid="stColumn"]
{ min-width: calc(100% - 1.5rem); }
}
@media (max-width: 640px) {
[data-testid="stTable"] :is(td, th) { padding: 4px 5px; font-size: 13px; }
[data-testid="stTable"] :is(td, th) * { overflow-wrap: anywhere !important; }
}</style>"""
PAGES = shipped("pages")


def show() -> None:
    """Draw what every page shares, and the chosen page."""
    # Pages have no icon of their own: it would become the browser tab's for a moment, and browsers
    # would fetch that one from fonts.gstatic.com.
    page = st.navigation(
        [
            st.Page(PAGES / "predict.py", title="Predict", default=True),
            st.Page(PAGES / "dataset.py", title="Dataset"),
            st.Page(PAGES / "evaluation.py", title="Evaluation"),
            st.Page(PAGES / "training.py", title="Training"),
            st.Page(PAGES / "jobs.py", title="Jobs"),
            st.Page(PAGES / "about.py", title="What is this?", url_path="about"),
        ]
    )
    icon = str(Path(__file__).parent / "examples" / "icon.png")
    st.set_page_config(page_title=f"{page.title} · {PRODUCT}", page_icon=icon, layout="wide")
    st.html(_STYLE)
    st.logo(icon, size="large")
    tab_memory.restore()
    with st.sidebar:
        sidebar.pick_model(page.url_path)
        sidebar.pick_dataset()
        sidebar.pick_results()
        show_watched()
        tab_memory.mount()
    page.run()
    spare_the_collector()


if __name__ == "__main__":  # worker processes of a scan import the running script, too
    show()
