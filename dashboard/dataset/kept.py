"""Photographs that are uploaded here: kept under a name, opened, and removed again."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import streamlit as st

from dashboard import sidebar
from dashboard.jobs.registry import Job, start_job
from dashboard.jobs.view import JobEnd, show_jobs
from dashboard.widgets.messages import offer_deletion, show_failure
from dashboard.wording.names import escape_markdown
from har_core.dataset.kept import (
    check_kept_name,
    keep_dataset,
    kept_datasets,
    kept_name,
    remove_dataset,
)
from har_core.errors import DatasetError, HarError

MAX_ZIP_MB: Final = 200  # as server.maxUploadSize in .streamlit/config.toml
_PREFIX: Final = "keep/"
_AS_ZIP: Final = "a ZIP archive"
_AS_FOLDER: Final = "a folder"


def show_upload() -> None:
    """Draw the form that uploads photographs, and those that were kept."""
    _list_kept()
    source = st.segmented_control(
        "Upload",
        [_AS_ZIP, _AS_FOLDER],
        default=_AS_ZIP,
        required=True,
        key="upload_source",
    )
    with st.form("upload", width=620):
        if source == _AS_FOLDER:
            files = st.file_uploader(
                "Folder with a table (filename,label) and photographs, or one folder for each "
                "class: drag it here",
                accept_multiple_files="directory",
                max_upload_size=MAX_ZIP_MB,
                key="upload_folder",
            )
        else:
            archive = st.file_uploader(
                "ZIP with a table (filename,label) and the photographs, or one folder for each "
                "class",
                type="zip",
                max_upload_size=MAX_ZIP_MB,
                key="upload_zip",
            )
            files = [archive] if archive is not None else []
        name = st.text_input(
            "Name",
            key="upload_name",
            placeholder="holiday 2024",
            help="Letters, digits, spaces, '.', '_' and '-'. Without one, that of the file.",
        )
        st.caption("The photographs stay on this server until somebody removes them here.")
        sent = st.form_submit_button("Keep these", type="primary", icon=":material/save:")
    show_jobs(_PREFIX, JobEnd(_describe, _open_result))
    if not sent:
        return
    if not files:
        st.error("Choose the photographs first.")
        return
    try:
        name = check_kept_name(name.strip() or _name_of(files[0].name))
        archive_file = zip_of(files) if source == _AS_FOLDER else io.BytesIO(files[0].getvalue())
        start_job(
            f"{_PREFIX}{name}",
            f"Keeping {name}",
            lambda job: keep_dataset(archive_file, name, progress=job.report_step),
            shared=False,
        )
    except HarError as error:
        st.error(escape_markdown(str(error)))
        return
    st.rerun()


def show_kept(folder: Path) -> None:
    """Say that a dataset is one that was uploaded here, and offer to remove it."""
    name = kept_name(folder)
    if name is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Uploaded here as **{escape_markdown(name)}**.", width="content")
        _offer_removal(name, key="remove_open")


def zip_of(files: Sequence[IO[bytes]]) -> IO[bytes]:
    """Pack the files of a folder, whose names are their paths in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.writestr(file.name, file.read())
    packed.seek(0)
    return packed


def _name_of(file: str) -> str:
    """Return the outermost folder of an uploaded file, or its name, as a dataset's name."""
    first = file.replace("\\", "/").removeprefix("./").split("/")[0]
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else " " for c in first)
    return " ".join(kept.removesuffix(".zip").split())[:64].strip(" .") or "photographs"


def _describe(job: Job) -> str:
    return f"{job.result.name} is kept."


def _open_result(job: Job) -> None:
    st.session_state[sidebar.DATASET_KEY] = str(job.result)


def _list_kept() -> None:
    kept = kept_datasets()
    if kept:
        st.markdown("**Uploaded before**")
    for name, folder in kept.items():
        with st.container(horizontal=True, vertical_alignment="center", width=620):
            st.button(
                escape_markdown(name),
                key=f"open_kept {name}",
                help="Open this dataset.",
                icon=":material/folder_open:",
                type="tertiary",
                on_click=_open,
                args=(folder,),
            )
            _offer_removal(name, key=f"remove_kept {name}")


def _open(folder: Path) -> None:
    st.session_state[sidebar.DATASET_KEY] = str(folder)


def _offer_removal(name: str, *, key: str) -> None:
    offer_deletion(
        "Remove",
        name,
        "Its photographs go, and what was decided about them. Evaluations and models stay.",
        key=key,
        on_click=_remove,
        args=(name,),
    )


def _remove(name: str) -> None:
    is_open = kept_name(str(st.session_state.get(sidebar.DATASET_KEY, "")).strip() or ".") == name
    try:
        remove_dataset(name)
    except DatasetError as error:
        show_failure(error)
        return
    if is_open:
        st.session_state[sidebar.DATASET_KEY] = ""
