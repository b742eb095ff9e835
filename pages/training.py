"""Learn from what was corrected, watch it, and decide whether the new model is better."""

import streamlit as st

from dashboard import sidebar
from dashboard.training.progress import show_progress
from dashboard.training.runs import ACTIVE, list_runs
from dashboard.training.start import OPENED, show_start
from dashboard.training.verdict import show_verdict
from dashboard.training.versions import show_override, show_versions
from dashboard.wording.names import escape_markdown

OPENED_BY_ITSELF = (*ACTIVE, "finished", "interrupted")

st.title("Train a better model", anchor=False)
show_override()
runs = list_runs()
# Whatever is at work, has just ended or was killed is what people come here for.
opened = next((run for run in runs if run.id == st.query_params.get(OPENED)), None)
if opened is None:
    st.query_params.pop(OPENED, None)  # of one that is gone
opened = opened or next((run for run in runs if run.state in OPENED_BY_ITSELF), None)
if opened is not None:
    if opened.state in ("finished", "used"):
        show_verdict(opened)
    else:
        st.header(escape_markdown(opened.name), anchor=False)
        show_progress(opened)

st.header("A new training", anchor=False)
model = sidebar.chosen_model_folder()
folder = str(st.session_state.get(sidebar.DATASET_KEY, "")).strip()
if model is None:
    st.info("Training goes on from a model: choose or import one.", icon=":material/info:")
elif not folder:
    st.info(
        "No dataset folder yet. Type its path on the server into **Dataset folder** in the "
        "sidebar: what it holds, as the review left it, is what is learned from.",
        icon=":material/folder_open:",
    )
else:
    show_start(folder, model, runs)

st.header("Versions", anchor=False)
show_versions(runs)
