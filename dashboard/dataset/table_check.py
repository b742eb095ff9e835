"""Checking a table of labels alone: class balance, slips, and the fixed table."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard.dataset.overview import show_class_balance
from dashboard.wording.names import bold_count, escape_markdown
from har_core.dataset.decisions import labels_csv
from har_core.dataset.slips import LabelSlips, find_label_slips, fix_label_slips
from har_core.dataset.table import read_table
from har_core.errors import DatasetError, ModelBundleError
from har_core.model.manifest import read_manifest
from har_core.model.records import read_splits
from har_core.storage.spreadsheets import escape_formulas
from har_core.wording import counted

_SHOWN = 200


def show_recorded_classes(model_folder: Path | None) -> None:
    """Draw the class balance and splits that a model's bundle records, if it does."""
    if model_folder is None:
        return
    try:
        manifest = read_manifest(model_folder)
        recorded = read_splits(model_folder)
    except ModelBundleError as error:
        st.error(escape_markdown(str(error)))
        return
    if recorded is None:
        st.caption(f"The model {escape_markdown(manifest.name)} records no dataset.")
        return
    unlabelled = int(recorded["label"].eq("").sum())
    recorded = recorded[recorded["label"].ne("")]
    st.markdown(
        f"The photographs that **{escape_markdown(manifest.name)}** was made from: "
        f"{bold_count(len(recorded), 'photograph')}, "
        f"{bold_count(recorded['label'].nunique(), 'class', 'classes')}"
        + (f", and **{unlabelled:,}** without labels" if unlabelled else "")
    )
    show_class_balance(recorded["label"], recorded["split"])


def show_table_check() -> bool:
    """Take an uploaded table and show what it says by itself; tell whether there is one."""
    file = st.file_uploader(
        "A table with the columns filename,label",
        type=["csv", "tsv", "txt", "json", "jsonl", "parquet"],
        key="table",
        max_upload_size=20,
    )
    if file is None:
        return False
    try:
        table, columns, slips, fixed = _check(file.getvalue())
    except DatasetError as error:
        st.error(escape_markdown(str(error)))
        return True
    st.markdown(f"**{counted(len(table), 'row')}, {counted(fixed['label'].nunique(), 'label')}**")
    _show_slips(fixed, slips, columns)
    if slips:
        st.caption("What follows counts the fixed table.")
    show_class_balance(fixed["label"])
    return True


@st.cache_data(max_entries=4, show_spinner="Reading the table …")
def _check(content: bytes) -> tuple[pd.DataFrame, dict[str, str], LabelSlips, pd.DataFrame]:
    table, columns = read_table(BytesIO(content))
    return table, columns, find_label_slips(table), fix_label_slips(table)


def _show_slips(fixed: pd.DataFrame, slips: LabelSlips, columns: Mapping[str, str]) -> None:
    if not slips:
        st.success(
            "No slips: every row has a label, spelled in one way, and its own filename.",
            icon=":material/check_circle:",
        )
        return
    with st.container(border=True):
        st.markdown("**Slips in the table**")
        if len(slips.variants):
            st.markdown(
                f"{counted(len(slips.variants), 'spelling variant')}. Offered: the most frequent "
                "spelling."
            )
            shown = escape_formulas(slips.variants.assign(label=slips.variants["label"].map(repr)))
            st.dataframe(
                shown.rename(
                    columns={"label": "Written as", "suggested": "Becomes", "rows": "Rows"}
                ),
                hide_index=True,
                key="variants",
                alt="Spelling variants of labels",
            )
        if len(slips.empty):
            st.markdown(f"{counted(len(slips.empty), 'row')} without a label. Offered: left out.")
            st.dataframe(
                escape_formulas(slips.empty.head(_SHOWN)),
                hide_index=True,
                key="empty_labels",
                alt="Rows without a label",
            )
        if len(slips.repeated):
            conflicts = slips.repeated.loc[slips.repeated["conflict"], "filename"].nunique()
            text = (
                f"{counted(slips.repeated['filename'].nunique(), 'filename')} listed more than "
                "once. Offered: one row of each"
            )
            if conflicts:
                text += f", none where labels differ ({conflicts:,})"
            st.markdown(f"{text}.")
            st.dataframe(
                escape_formulas(slips.repeated.head(_SHOWN)),
                hide_index=True,
                key="repeated_names",
                column_config={"conflict": "labels differ"},
                alt="Rows whose filename is repeated",
            )
        st.download_button(
            "Fixed train.csv",
            lambda: labels_csv(fixed, columns).encode(),
            file_name="train_fixed.csv",
            mime="text/csv",
            icon=":material/build:",
            type="primary",
            on_click="ignore",
        )
