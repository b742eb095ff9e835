"""Checking a table of labels alone: class balance, slips, and the fixed table."""

from io import BytesIO
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard.dataset_overview import show_class_balance
from dashboard.wording import escape_markdown
from har_core.bundle import read_manifest
from har_core.dataset import read_labels
from har_core.decisions import labels_csv
from har_core.errors import DatasetError, ModelBundleError
from har_core.label_table import LabelSlips, find_label_slips, fix_label_slips
from har_core.splits import recorded_splits

_SHOWN = 200


def show_recorded_classes(model_folder: Path | None) -> None:
    """Draw the class balance and splits that a model's bundle records, if it does."""
    if model_folder is None:
        return
    try:
        manifest = read_manifest(model_folder)
        recorded = recorded_splits(model_folder, manifest)
    except ModelBundleError as error:
        st.error(escape_markdown(str(error)))
        return
    if recorded is None:
        st.caption(f"The model {escape_markdown(manifest.name)} records no dataset.")
        return
    st.markdown(
        f"The photographs that **{escape_markdown(manifest.name)}** was made from: "
        f"**{len(recorded):,}** photographs, **{recorded['label'].nunique()}** classes"
    )
    show_class_balance(recorded["label"], recorded["split"])


def show_table_check() -> None:
    """Take an uploaded table and show what it says by itself."""
    file = st.file_uploader(
        "A table with the columns filename,label", type="csv", key="table", max_upload_size=20
    )
    if file is None:
        return
    try:
        table, slips = _check(file.getvalue())
    except DatasetError as error:
        st.error(escape_markdown(str(error)))
        return
    st.markdown(f"**{len(table):,}** rows, **{table['label'].str.strip().nunique():,}** labels")
    show_slips(table, slips)
    show_class_balance(table["label"].str.strip())


@st.cache_data(max_entries=4, show_spinner="Reading the table …")
def _check(content: bytes) -> tuple[pd.DataFrame, LabelSlips]:
    table = read_labels(BytesIO(content), strip=False)
    return table, find_label_slips(table)


def show_slips(table: pd.DataFrame, slips: LabelSlips) -> None:
    """Draw the slips of a table and offer it fixed."""
    if not slips:
        st.success(
            "No slips: every row has a label, spelled in one way, and its own filename.",
            icon=":material/check_circle:",
        )
        return
    with st.container(border=True):
        st.markdown("**Slips in the table**")
        if len(slips.variants):
            st.markdown(f"{len(slips.variants)} spelling variants. Offered: the most frequent one.")
            shown = slips.variants.assign(
                label=slips.variants["label"].map(repr), suggested=slips.variants["suggested"]
            )
            st.dataframe(
                shown.rename(
                    columns={"label": "Written as", "suggested": "Becomes", "rows": "Rows"}
                ),
                hide_index=True,
                key="variants",
                alt="Spelling variants of labels",
            )
        if len(slips.empty):
            st.markdown(f"{len(slips.empty):,} rows without a label. Offered: leave them out.")
            st.dataframe(
                slips.empty.head(_SHOWN),
                hide_index=True,
                key="empty_labels",
                alt="Rows without a label",
            )
        if len(slips.repeated):
            conflicts = slips.repeated.loc[slips.repeated["conflict"], "filename"].nunique()
            text = (
                f"{slips.repeated['filename'].nunique():,} filenames are listed more than once. "
                "Offered: keep one row"
            )
            if conflicts:
                text += f"; leave out the {conflicts:,} whose labels differ"
            st.markdown(f"{text}.")
            st.dataframe(
                slips.repeated.head(_SHOWN),
                hide_index=True,
                key="repeated_names",
                column_config={"conflict": "labels differ"},
                alt="Rows whose filename is repeated",
            )
        st.download_button(
            "Fixed train.csv",
            lambda: labels_csv(fix_label_slips(table)).encode(),
            file_name="train_fixed.csv",
            mime="text/csv",
            icon=":material/build:",
            type="primary",
            on_click="ignore",
        )
