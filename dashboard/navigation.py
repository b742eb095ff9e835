"""The script that Streamlit runs on every visit: pages, model and dataset folder."""

from pathlib import Path

import streamlit as st

from dashboard import sidebar

page = st.navigation(
    [
        st.Page(
            "../pages/predict.py", title="Predict", icon=":material/image_search:", default=True
        ),
        st.Page("../pages/dataset.py", title="Dataset", icon=":material/photo_library:"),
    ]
)
# A page's icon would become the browser tab's, and that one is fetched from the internet.
icon = str(Path(__file__).parent / "examples" / "icon.png")
st.set_page_config(page_icon=icon, layout="wide")
st.logo(icon, size="large")
with st.sidebar:
    sidebar.pick_model()
    sidebar.pick_dataset()
page.run()
