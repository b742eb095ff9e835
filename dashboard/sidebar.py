"""The choices that all pages share: the model and the dataset folder."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import streamlit as st

from dashboard.resources import Reading, opened_dataset, read_as, reading_of
from dashboard.widgets import folder_steps, tab_memory
from dashboard.widgets.path_field import bare_path, path_field
from dashboard.wording.names import accuracy, escape_markdown, short_accuracy
from har_core import ActionModel, DatasetError, ModelBundleError, load_model
from har_core.dataset.files import find_dataset
from har_core.dataset.layouts import CSV_FILE
from har_core.errors import UnclearTableError
from har_core.model.bundle import BundleEntry, list_bundles
from har_core.model.loading import find_model
from har_core.model.manifest import read_manifest
from har_core.settings import DATASET
from har_core.storage.paths import is_folder, real
from har_core.wording import counted

MODEL_KEY: Final = "model"
DATASET_KEY: Final = "dataset"
RESULTS_KEY: Final = "results"
_PAGE: Final = "page_of_model"
_LOST: Final = "lost_model"


def pick_model(page: str) -> None:
    """Draw the model picker; the choice is part of the page's address.

    Parameters
    ----------
    page : str
        Address of the page: what leads from one to another may name a model.
    """
    entries = _entries()
    usable = {entry.name: entry.manifest for entry in entries if entry.manifest is not None}
    asked = st.query_params.get(MODEL_KEY, "")  # by a link, perhaps an old one
    # Streamlit keeps what is chosen on every page, whatever the link says.
    if st.session_state.get(_PAGE, page) != page and asked in usable:
        st.session_state[MODEL_KEY] = asked
    st.session_state[_PAGE] = page
    if usable:
        wanted = (asked, st.session_state.get(MODEL_KEY))  # one that was deleted by hand, perhaps
        lost = next((name for name in wanted if name and name not in usable), None)
        name = st.selectbox(
            "Model",
            list(usable),
            index=_default_position(entries),
            key=MODEL_KEY,
            bind="query-params",
        )
        if lost is not None and lost != st.session_state.get(_LOST):
            st.toast(
                f"There is no model {escape_markdown(lost)} here (any more): "
                f"{escape_markdown(name)} answers.",
                icon=":material/model_training:",
                duration="long",
            )
        st.session_state[_LOST] = lost  # an address keeps it, and it is said once
        st.caption(accuracy(usable[name]))
    _mention_keras_file()
    if len(entries) > 1 or (entries and not usable):
        with st.expander("All models"):
            for entry in entries:
                name = escape_markdown(entry.name)
                if entry.manifest is not None:
                    st.markdown(f"{name} · {short_accuracy(entry.manifest) or 'not measured'}")
                else:
                    st.markdown(f"{name}  \n:red[:small[{escape_markdown(entry.error or '')}]]")


def _mention_keras_file() -> None:
    """Say why a ``.keras`` file that ``HAR_MODEL`` names is not among the models on offer."""
    default = default_model_folder()
    if default is not None and not is_folder(default):
        st.caption(
            f"{escape_markdown(default.name)} (`HAR_MODEL`) is no model bundle and cannot be "
            "chosen here: `har import-model` makes one of it."
        )


def pick_dataset() -> None:
    """Draw the field for the dataset folder, which starts with ``HAR_DATASET``."""
    st.session_state.setdefault(DATASET_KEY, DATASET.value)
    folder_steps.follow(DATASET_KEY)
    folder = path_field(
        "Dataset folder",
        key=DATASET_KEY,
        persist_state="session",
        placeholder="/path/to/DataSet",
        help="A folder on the server with `train.csv` (filename,label) and `train/`, with another "
        "table, or with one folder of photographs for each class. Optional.",
    )
    tab_memory.keep(DATASET_KEY)
    folder_steps.mount()
    if folder:
        try:
            dataset = opened_dataset(folder)
            rows = dataset.rows
            labelled = rows.loc[rows["label"].ne(""), "filename"].nunique()  # some in several rows
            unlabelled = rows["filename"].nunique() - labelled
            if dataset.labelled:
                st.caption(
                    counted(labelled, "labelled photograph")
                    + (f", {unlabelled:,} without a label" if unlabelled else "")
                )
            else:
                st.caption(f"{counted(unlabelled, 'photograph')} without labels")
            unlabelled_table = bool(dataset.tables) and not dataset.labelled
            headings = list(dataset.records) if unlabelled_table else []
            _choose_reading(folder, dataset.choices, headings)
        except UnclearTableError as error:
            _choose_reading(folder, error.tables, error.headings)
            st.error(escape_markdown(str(error)))
        except DatasetError as error:
            st.error(escape_markdown(str(error)))
            with contextlib.suppress(DatasetError):  # of a folder that is gone
                _choose_reading(folder, (), ())


def _choose_reading(folder: str, tables: Sequence[str], headings: Sequence[str]) -> None:
    """Let a visitor choose the table, or its columns, where several or none are meant by it.

    What was chosen stays on offer, so that it can be changed. It is kept as the reading alone: that
    names the widgets, so that none remembers a choice which a reload brought back.
    """
    root = real(find_dataset(folder))
    reading = reading_of(root)
    if offered := list(tables or reading.tables):
        known = reading.table or (CSV_FILE if CSV_FILE in offered else None)
        table = st.selectbox(
            "Table",
            offered,
            index=offered.index(known) if known else None,
            placeholder="Choose the table",
            key=f"table of {root} {reading}",
        )
        if table and table != known:
            read_as(root, Reading(table, tables=tuple(offered)))
            st.rerun()
    named = list(dict.fromkeys([*headings, *filter(None, [reading.filename, reading.label])]))
    if not named:
        return
    chosen = {}
    for role, label in (("filename", "Column of the filenames"), ("label", "Column of the labels")):
        known = getattr(reading, role) or None
        chosen[role] = st.selectbox(
            label,
            named,
            index=named.index(known) if known else None,
            placeholder="As it is found",
            key=f"{role} of {root} {reading}",
        )
    wanted = replace(reading, filename=chosen["filename"] or "", label=chosen["label"] or "")
    if wanted != reading:
        read_as(root, wanted)
        st.rerun()


def pick_results() -> None:
    """Draw the field for results of ``har score`` while some are open; else the Jobs page has it.

    Their location is part of the page's address, so that it can be passed on.
    """
    if not chosen_results():
        return
    path_field(
        "Results",
        key=RESULTS_KEY,
        bind="query-params",
        help="What *Dataset* and *Evaluation* show instead of the dataset folder: a folder of "
        "results of `har score`, here or in a bucket.",
    )


def chosen_results() -> str:
    """Return the location of the results that are open, ``""`` if none are."""
    if RESULTS_KEY in st.session_state:
        return bare_path(str(st.session_state[RESULTS_KEY] or ""))
    return bare_path(st.query_params.get(RESULTS_KEY, ""))


def chosen_model() -> ActionModel | None:
    """Return the chosen model, loaded; without one say what to do and return None."""
    folder = chosen_model_folder()
    known = any(entry.manifest is not None for entry in _entries())
    if folder is None and known and st.session_state.get(MODEL_KEY):
        st.rerun()  # it vanished: a part of a page that runs alone leaves the picker as it was
    try:
        return load_model(folder)
    except ModelBundleError as error:
        st.error(escape_markdown(str(error)), icon=":material/model_training:")
        return None


def chosen_model_folder() -> Path | None:
    """Return the folder of the chosen model's bundle, None if there is none to choose."""
    name = st.session_state.get(MODEL_KEY)
    return next((entry.path for entry in _entries() if entry.name == name), None)


def default_model_folder() -> Path | None:
    """Return the model that answers where none is chosen, None if there is none."""
    try:
        return find_model()
    except ModelBundleError:
        return None


def chosen_dataset() -> str | None:
    """Return the chosen dataset folder if it can be used, else None."""
    folder = str(st.session_state.get(DATASET_KEY, "")).strip()
    try:
        return folder if folder and len(opened_dataset(folder).rows) else None
    except DatasetError:
        return None


def _entries() -> list[BundleEntry]:
    """List the models folder, led by the default model if that one lies elsewhere."""
    entries = list_bundles()
    try:
        default = find_model()
        if is_folder(default) and default not in [entry.path.resolve() for entry in entries]:
            # The name is what is chosen, so that it must be no other model's.
            taken = default.name in [entry.name for entry in entries]
            name = str(default) if taken else default.name
            entries.insert(0, BundleEntry(name, default, read_manifest(default)))
    except ModelBundleError:
        return entries  # `chosen_model` says why there is no default
    return entries


def _default_position(entries: Sequence[BundleEntry]) -> int:
    """Return where the default model stands among the usable ones."""
    default = default_model_folder()
    usable = [entry.path.resolve() for entry in entries if entry.manifest is not None]
    return usable.index(default) if default in usable else 0
