"""What this is, for someone who was sent the link."""

import streamlit as st

from dashboard import sidebar
from dashboard.wording.names import PRODUCT, accuracy, markdown_name
from har_core.model.manifest import read_manifest

st.title(f"What is {PRODUCT}?", anchor=False)
st.markdown(
    f"""
{PRODUCT} looks at a photograph and says **what the person in it is doing**. It then says how sure
it is, and where it has been wrong before.

- **Predict**: drop in a photograph. Nothing is stored.
- **Dataset**: look through a folder of labelled photographs: duplicates, damage, labels that look
  wrong.
- **Evaluation**: how often the model is right, where it errs, whether its confidence can be
  believed.
- **Training**: learns from what was corrected, and says whether the new model is better.
- **Jobs**: how far the command line is with very many photographs.
"""
)
st.header("How it works", anchor=False)
st.markdown(
    """
A network that has seen a million pictures (MobileNetV2) turns the photograph into a grid of 49
cells.

A second one (an LSTM) reads the cells like words of a sentence and weighs the actions that it was
taught.
"""
)
st.header("What it cannot do", anchor=False)
st.markdown(
    """
It knows only the actions that it was taught, from web photographs; what is rare there it knows
badly.

Actions overlap: someone *sitting* may also be *texting*. It reads the whole picture, not each
person.

**It must not be used to judge or to watch people.**
"""
)
folder = sidebar.chosen_model_folder()
if folder is not None:
    manifest = read_manifest(folder)
    st.header("The model in use", anchor=False)
    names = ", ".join(map(markdown_name, manifest.class_names[:40]))
    more = "" if len(manifest.class_names) <= 40 else ", …"
    st.markdown(f"{accuracy(manifest)}. It tells apart: {names}{more}.")
