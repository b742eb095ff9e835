"""The section that evaluates another labelled set, and lists the evaluations that were kept."""

from pathlib import Path
from typing import Final

import streamlit as st

from dashboard import sidebar
from dashboard.evaluation.jobs import start_folder_evaluation, start_zip_evaluation
from dashboard.resources import opened_dataset
from dashboard.widgets.messages import offer_deletion, show_failure
from dashboard.widgets.path_field import path_field
from dashboard.wording.names import escape_markdown
from har_core.dataset.layouts import CSV_FILE
from har_core.dataset.table import Dataset
from har_core.errors import DatasetError, HarError
from har_core.evaluation.store import BUNDLE_SPLITS, delete_evaluation
from har_core.model.manifest import read_manifest
from har_core.storage.paths import real

MAX_ZIP_MB: Final = 200  # as server.maxUploadSize in .streamlit/config.toml


def show_new_evaluation(folder: Path, names: list[str]) -> None:
    """Draw the forms that evaluate another labelled set, and the list of kept evaluations."""
    source = st.segmented_control(
        "Photographs from",
        ["a folder on the server", "a ZIP archive"],
        default="a folder on the server",
        required=True,
        key="set_source",
    )
    with st.form("new_evaluation", width=620):
        name = st.text_input(
            "Name of the evaluation",
            key="set_name",
            placeholder="holiday 2024",
            help="Letters, digits, spaces, '.', '_' and '-'. An evaluation of that name is "
            "replaced.",
        )
        archive = set_folder = csv = None
        if source == "a ZIP archive":
            archive = st.file_uploader(
                "ZIP with a table (filename,label) and the photographs, or a folder for each class",
                type="zip",
                max_upload_size=MAX_ZIP_MB,
                key="set_zip",
            )
            st.caption(
                "The photographs are deleted once they are evaluated, but for a small picture each."
            )
        else:
            set_folder = path_field(
                "Folder", value=sidebar.chosen_dataset() or "", key="set_folder", in_form=True
            )
            csv = path_field(
                "Table",
                key="set_csv",
                in_form=True,
                placeholder=CSV_FILE,
                help="Optional: the name of another table in the folder.",
            )
        started = st.form_submit_button("Evaluate", type="primary", icon=":material/play_arrow:")
    if started:
        try:
            if archive is not None:
                start_zip_evaluation(folder, name.strip(), archive.getvalue())
            elif set_folder:
                table = table_inside(set_folder, csv) if csv else None
                location = set_folder if table else _opened(set_folder)
                start_folder_evaluation(folder, name.strip(), location, table)
            else:
                st.error("Choose the photographs first.")
                return
        except HarError as error:
            st.error(escape_markdown(str(error)))
            return
        st.rerun()
    _list_kept_evaluations(folder, [name for name in names if name not in BUNDLE_SPLITS])


def _list_kept_evaluations(folder: Path, kept: list[str]) -> None:
    if kept:
        model = read_manifest(folder).name  # which a copied bundle has from its original
        st.markdown("**Kept evaluations of this model**")
    for name in kept:
        with st.container(horizontal=True, vertical_alignment="center", width=620):
            st.markdown(escape_markdown(name))
            offer_deletion(
                "Delete",
                name,
                "Its answers go, for everybody. The model and the folder's photographs stay.",
                key=f"delete_{name}",
                on_click=_delete,
                args=(model, name),
            )


def _delete(model: str, name: str) -> None:
    try:
        delete_evaluation(model, name)
    except DatasetError as error:
        show_failure(error)


def _opened(folder: str) -> Dataset:
    """Open a folder as it was chosen to be read."""
    dataset = opened_dataset(folder)
    if dataset.missing:
        raise DatasetError(dataset.missing)
    return dataset


def table_inside(folder: str, name: str) -> str:
    """Return the path of a table in a dataset folder.

    A message about a table that cannot be used quotes its first line, so that a visitor who could
    name any file would read the beginning of each: of the server's environment, for one.

    Raises
    ------
    DatasetError
        If the path leads out of the folder, also by a link.
    """
    try:
        inside = real(folder)
        table = real(inside / name)
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a zero byte
        raise DatasetError(f"The table {name!r} cannot be found: {error}.") from error
    if not table.is_relative_to(inside):
        raise DatasetError(
            f"The table {name!r} is not in the folder {folder}; name a table in it, such as "
            f"{CSV_FILE}."
        )
    return str(table)
