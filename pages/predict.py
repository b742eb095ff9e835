import streamlit as st

import har_core

f = st.file_uploader("Photograph")
if f:
    st.write(har_core.load_model().predict(f.getvalue()))
