"""Which results are open, and what is held of them for all visitors."""

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Concatenate, Final, ParamSpec

import pandas as pd
import streamlit as st

from dashboard import sidebar
from dashboard.resources import Reading, file_stamp, opened_dataset, reading_of
from dashboard.widgets.sections import runs_alone
from har_core.dataset.table import Dataset
from har_core.errors import DatasetError, HarError
from har_core.model.bundle import list_bundles
from har_core.model.manifest import ONNX_FILE
from har_core.model.records import read_lineage
from har_core.scale.labels import LABEL, SHA256, LabelTable, read_label_table
from har_core.scale.models import fingerprint
from har_core.scale.opened.labels import JoinedLabels, count_among, join_labels
from har_core.scale.opened.metrics import MassResult, evaluate_results
from har_core.scale.opened.table import ResultsTable, open_results
from har_core.scale.sources.locations import absolute_path, is_remote, local_path, location_stamp
from har_core.storage.checksums import sha256_of_files
from har_core.storage.names import storable
from har_core.storage.paths import expanded, is_folder
from har_core.wording import counted

_HELD: Final = 4
_LIST_AGAIN_S: Final = 2.0
# More photographs would take minutes to read, only to tell which they are.
_MOST_TO_READ: Final = 20_000
_tables: Final[OrderedDict[str, tuple[float, ResultsTable]]] = OrderedDict()
_locks: Final[defaultdict[str, threading.Lock]] = defaultdict(threading.Lock)


def opened_results(location: str) -> ResultsTable:
    """Open results once, and read what has been added since.

    Raises
    ------
    HarError
        See `har_core.scale.opened.table.open_results`.
    """
    checked, before = _tables.get(location, (0.0, None))
    if before is not None and time.monotonic() - checked < _LIST_AGAIN_S:
        return before
    # In a part of the page that runs alone it would move what follows.
    place = st.empty() if before is None else None
    outside = copy_context()

    def report(what: str, done: int, total: int) -> None:
        if place is not None:
            outside.run(
                place.progress, done / total, f"{what}: {done:,} of {counted(total, 'part')}"
            )

    with _locks[location]:  # two visitors do not read the same, and wait for nobody else
        checked, before = _tables.get(location, (0.0, None))
        table = open_results(location, before, report)
        _tables.pop(location, None)  # the latest comes last; others may be let go of meanwhile
        _tables[location] = (time.monotonic(), table)
        while len(_tables) > _HELD:
            _tables.popitem(last=False)
    if place is not None:
        place.empty()
    return table


_P = ParamSpec("_P")
_Draw = Callable[Concatenate[ResultsTable, _P], None]


def section(*, key: str | None = None) -> Callable[[_Draw[_P]], _Draw[_P]]:
    """Let a part of a page run alone; see `dashboard.widgets.sections.runs_alone`."""
    return runs_alone(_is_current, key=key)


def _is_current(table: ResultsTable) -> bool:
    try:
        return opened_results(table.results.location).identity == table.identity
    except HarError:
        return False  # the page says why


def measured(table: ResultsTable, source: str) -> tuple[JoinedLabels, MassResult, str]:
    """Join results with labels, and measure the model on them.

    Returns
    -------
    JoinedLabels, MassResult
    str
        What to know of photographs that the model was trained on, ``""`` if there are none.

    Parameters
    ----------
    table : ResultsTable
    source : str
        File of a table of labels, or a dataset folder.

    Raises
    ------
    DatasetError
        If there are no labels, or none of these photographs.
    """
    path = expanded(local_path(source))
    if is_folder(path):
        dataset = opened_dataset(str(path))
        stamps = tuple(map(file_stamp, (path, *dataset.tables)))
        return _measure(table.identity, source, reading_of(dataset.folder), stamps, table, dataset)
    stamp = location_stamp(source) if is_remote(source) else file_stamp(path)
    return _measure(table.identity, source, Reading(), (stamp,), table, None)


@st.cache_resource(max_entries=3, show_spinner="Joining the labels, and measuring …")
def _measure(
    identity: tuple[str, int, int],
    source: str,
    reading: Reading,
    stamps: tuple[tuple[int, int], ...],
    _table: ResultsTable,
    _dataset: Dataset | None,
) -> tuple[JoinedLabels, MassResult, str]:
    with ThreadPoolExecutor(1) as beside:  # of a million rows each takes half a second
        beside.submit(lambda: _table.digest)
        labels = (
            read_label_table(source) if _dataset is None else _labels_of(_dataset, source, _table)
        )
    joined = join_labels(_table, labels)
    result = evaluate_results(_table, joined)
    _ = result.headline_intervals, result.per_class  # which takes a moment, too
    return joined, result, _seen_before(_table, joined)


def _seen_before(table: ResultsTable, joined: JoinedLabels) -> str:
    """Say how many of the measured photographs the model was trained or tuned on."""
    for entry in list_bundles():
        if entry.manifest is None or ONNX_FILE not in entry.manifest.files:
            continue
        if fingerprint(entry.manifest, table.info.precision) != table.info.fingerprint:
            continue
        splits = read_lineage(entry.path)
        if splits is None:
            break
        seen = splits.loc[splits["split"].isin(["train", "validation"]), "sha256"]
        n = count_among(table, joined.counted, seen[seen.ne("")].drop_duplicates())
        return (
            f"{counted(n, 'of these photographs is', 'of these photographs are')} among those "
            "that the model was trained or tuned on; on these it looks better than it is."
            if n
            else ""
        )
    return "It is not known which photographs the model was trained on; these may be among them."


def _labels_of(dataset: Dataset, source: str, results: ResultsTable) -> LabelTable:
    """Take a dataset's labels, by what its photographs are where that can be told."""
    if not dataset.labelled:
        raise DatasetError(f"The dataset {dataset.folder} has no labels.")
    table = dataset.table
    known = next((name for name in table if name.lower() == SHA256), SHA256)
    if known not in table and not dataset.missing:
        if len(table) <= _MOST_TO_READ:
            table[known] = sha256_of_files(dataset.rows["path"].tolist())
        else:
            paths = dataset.rows["path"].fillna(table["filename"])
            table["filename"] = _as_scored(paths, str(dataset.folder), source, results)
    return LabelTable.of(table[[name for name in (known, "filename", LABEL) if name in table]])


def _as_scored(paths: pd.Series, folder: str, source: str, results: ResultsTable) -> pd.Series:
    """Name photographs below a link as it does, if photographs were scored below it."""
    import pyarrow.compute as pc

    link = absolute_path(source)

    def is_below(_: slice, part: Any) -> bool:
        return bool(pc.any(pc.starts_with(part["uri"], f"{storable(link)}/")).as_py())

    if link == folder or not any(results.map_parts(("uri",), is_below)):
        return paths
    inside = paths.str.startswith(f"{folder}/")
    return paths.mask(inside, link + paths.str.slice(len(folder)))


def close_results() -> None:
    """Let the pages show the dataset and the evaluations again."""
    st.session_state[sidebar.RESULTS_KEY] = ""
