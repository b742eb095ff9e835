"""The choices that all pages share: the model and the dataset folder."""

import os
from typing import Final

import streamlit as st

from dashboard.resources import dataset_table
from dashboard.wording import accuracy, escape_markdown
from har_core import ActionModel, DatasetError, ModelBundleError, load_model
from har_core.bundle import list_bundles, models_dir
from har_core.model import find_model

MODEL_KEY: Final = "model"
DATASET_KEY: Final = "dataset"


def pick_model() -> None:
    """Draw the model picker; the choice is part of the page's address."""
    entries = list_bundles()
    usable = {entry.name: entry.manifest for entry in entries if entry.manifest is not None}
    if usable:
        try:
            default = find_model().name
        except ModelBundleError:
            default = ""
        names = list(usable)
        name = st.selectbox(
            "Model",
            names,
            index=names.index(default) if default in usable else 0,
            key=MODEL_KEY,
            bind="query-params",
        )
        st.caption(accuracy(usable[name]))
    if len(entries) > 1 or (entries and not usable):
        with st.expander("All models"):
            for entry in entries:
                says = accuracy(entry.manifest) if entry.manifest else f":red[{entry.error}]"
                st.markdown(f"**{escape_markdown(entry.name)}**  \n:small[{says}]")


def pick_dataset() -> None:
    """Draw the field for the dataset folder, which starts with ``HAR_DATASET``."""
    st.session_state.setdefault(DATASET_KEY, os.environ.get("HAR_DATASET", "").strip())
    folder = st.text_input(
        "Dataset folder",
        key=DATASET_KEY,
        persist_state="session",
        placeholder="/path/to/DataSet",
        help="A folder on the server with `train.csv` (filename,label) and `train/`. Optional.",
    ).strip()
    if folder:
        try:
            st.caption(f"{len(dataset_table(folder)):,} labelled photographs")
        except DatasetError as error:
            st.error(escape_markdown(str(error)))


def chosen_model() -> ActionModel | None:
    """Return the chosen model, loaded; without one say what to do and return None."""
    name = st.session_state.get(MODEL_KEY)
    try:
        return load_model(models_dir() / name if name else None)
    except ModelBundleError as error:
        st.error(escape_markdown(str(error)), icon=":material/model_training:")
        return None


def chosen_dataset() -> str | None:
    """Return the chosen dataset folder if it can be used, else None."""
    folder = str(st.session_state.get(DATASET_KEY, "")).strip()
    try:
        return folder if folder and len(dataset_table(folder)) else None
    except DatasetError:
        return None
