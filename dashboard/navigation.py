"""The script that Streamlit runs on every visit: pages, model and dataset folder."""

import streamlit as st

page = st.navigation(
    [
        st.Page(
            "../pages/predict.py", title="Predict", icon=":material/image_search:", default=True
        ),
    ]
)
page.run()
