"""Cached handles for the pages; keys are bytes and names, never arrays, which hash by sample."""

import gc
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import pandas as pd
import streamlit as st

from dashboard.classification import ClassifiedPhoto, classify_photo, make_preview
from dashboard.widgets import tab_memory
from har_core import ActionModel, InvalidImageError
from har_core.dataset.files import PHOTO_FOLDER, find_dataset
from har_core.dataset.layouts import CSV_FILE
from har_core.dataset.table import Dataset, open_dataset
from har_core.model.explanation import Explanation, explain, gradient_map
from har_core.model.records import read_splits
from har_core.storage.names import real_path
from har_core.storage.paths import real


def spare_the_collector() -> None:
    """Keep what modules hold out of garbage collections, again whenever some came along.

    Streamlit collects garbage after every run of a page, and looks at each object for that. Those
    of 2,000 imported modules take a tenth of a second, in which no other visitor is served. Call
    this when a page has run, which imports the most.
    """
    _freeze(len(sys.modules))


@st.cache_resource(max_entries=1, show_spinner=False)
def _freeze(n_modules: int) -> None:
    gc.collect()  # what is garbage now would stay
    gc.freeze()


# What tells a model from others; to write it anew for each of many photographs takes longer than
# all else that a rerun does with them.
_manifests: Final[WeakKeyDictionary[ActionModel, str]] = WeakKeyDictionary()


def _manifest_of(model: ActionModel) -> str:
    if (text := _manifests.get(model)) is None:
        text = _manifests[model] = model.manifest.to_json()
    return text


_BY_MANIFEST: Final[dict[str | type, Any]] = {ActionModel: _manifest_of}


# Of more photographs than these at a time, each run of the page would classify all anew. Each takes
# some kilobytes.
@st.cache_data(max_entries=20_000, show_spinner=False, hash_funcs=_BY_MANIFEST)
def classified(model: ActionModel, data: bytes) -> ClassifiedPhoto | InvalidImageError:
    """Classify a photograph once per model; see `dashboard.classification.classify_photo`."""
    return classify_photo(model, data)


@st.cache_data(max_entries=100, show_spinner=False)
def preview_of(data: bytes) -> bytes:
    """Make a photograph's preview once; see `dashboard.classification.make_preview`."""
    return make_preview(data)


@st.cache_data(max_entries=200, show_spinner=False, hash_funcs=_BY_MANIFEST)
def explained(model: ActionModel, data: bytes, action: str) -> Explanation:
    """Explain a photograph once; see `har_core.model.explanation.explain`."""
    return explain(model, data, action)


@st.cache_data(max_entries=200, show_spinner=False, hash_funcs=_BY_MANIFEST)
def sketched(model: ActionModel, folder: Path, data: bytes, action: str) -> Explanation | None:
    """Explain a photograph at once; see `har_core.model.explanation.gradient_map`."""
    return gradient_map(model, folder, data, action)


@st.cache_data(max_entries=400, show_spinner=False, hash_funcs=_BY_MANIFEST)
def similar_photographs(model: ActionModel, folder: Path, data: bytes) -> pd.DataFrame | None:
    """Find the three training photographs that are most like one to the model.

    Returns
    -------
    DataFrame or None
        ``filename``, ``label`` and ``sha256``, the most similar first, itself left out; None if
        the model remembers none.
    """
    rows = model.similar_rows(data, k=4)
    splits = read_splits(folder) if rows is not None else None
    if splits is None or rows is None:
        return None
    found = splits.iloc[rows][["filename", "label", "sha256"]]
    others = found[found["sha256"] != hashlib.sha256(data).hexdigest()]
    return others[:3].reset_index(drop=True)


@dataclass(frozen=True)
class Reading:
    """How a visitor wants a dataset's folder to be read; ``""`` is as it is found.

    Parameters
    ----------
    table : str
        Name of a table in the folder.
    filename, label : str
        Headings of its columns.
    tables : tuple of str
        From which the table was chosen.
    """

    table: str = ""
    filename: str = ""
    label: str = ""
    tables: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """What makes a command read the folder so, too."""
        columns = {"filename": self.filename, "label": self.label}
        chosen = ",".join(f"{role}={heading}" for role, heading in columns.items() if heading)
        return ["--table", self.table] * bool(self.table) + ["--columns", chosen] * bool(chosen)


def reading_of(root: Path) -> Reading:
    """Return how this visitor wants a folder to be read."""
    readings: dict[str, Reading] = st.session_state.get(_READINGS, {})
    return readings.get(str(root), Reading())


def read_as(root: Path, reading: Reading) -> None:
    """Read a folder so from now on, on every page of this visitor's."""
    readings: dict[str, Reading] = st.session_state.get(_READINGS, {})
    st.session_state[_READINGS] = {**readings, str(root): reading}
    tab_memory.keep(_READINGS)


def opened_dataset(folder: str) -> Dataset:
    """Open a dataset once, and again when its tables or the folders of its photographs change.

    It is read as this visitor has chosen, see `read_as`.

    Raises
    ------
    DatasetError
        See `har_core.dataset.table.open_dataset`; a table without photographs is opened.
    """
    root = real(find_dataset(folder))
    reading = reading_of(root)
    chosen = root / (reading.table or CSV_FILE)
    watched = (root, chosen, root / PHOTO_FOLDER, *_sources.get(root, ()))
    dataset = _open(str(root), reading, tuple(map(file_stamp, watched)))
    if _sources.get(root) != dataset.sources:
        _sources[root] = dataset.sources
        for oldest in list(_sources)[:-_REMEMBERED]:
            _sources.pop(oldest, None)  # another visitor's thread may have done so
    return dataset


def file_stamp(path: Path) -> tuple[int, int]:
    """Return what changes when a file or folder does; zeros where there is none."""
    try:
        status = Path(real_path(path)).stat()
    except (OSError, ValueError):  # ValueError: a zero byte
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


_READINGS: Final = "readings"
# What to watch is known only once a dataset has been opened.
_sources: Final[dict[Path, tuple[Path, ...]]] = {}
_REMEMBERED: Final = 16


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs={Reading: repr})
def _open(root: str, reading: Reading, stamps: tuple[tuple[int, int], ...]) -> Dataset:
    columns = {"filename": reading.filename, "label": reading.label}
    return open_dataset(
        root,
        Path(root) / reading.table if reading.table else None,
        columns={role: heading for role, heading in columns.items() if heading},
        photographs_needed=False,
    )
