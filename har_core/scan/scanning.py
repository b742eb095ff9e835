"""Scanning a dataset folder: measure every photograph once, then look for what is wrong."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.dataset.duplicates import DUPLICATE_CORRELATION, pairs_of_thumbnails
from har_core.dataset.table import Location, open_dataset
from har_core.errors import DatasetError
from har_core.images.fingerprints import FINGERPRINT_SIDE
from har_core.progress import Progress, silent
from har_core.scan.cache import FileStamp, ScanCache
from har_core.scan.duplicates import add_duplicates
from har_core.scan.issues import find_issues
from har_core.scan.measurement import Measurement, is_readable, measure_file
from har_core.storage.names import real_path
from har_core.storage.paths import is_folder
from har_core.threads import cores
from har_core.workers import ctrl_c_held_back, end_at_ctrl_c, worker_context

_CHUNK: Final = 64
# Starting worker processes takes about a second, in which threads measure some hundred files.
_PROCESSES_FROM: Final = 600
# Of a worker process: whether what it does is still wanted.
_is_dropped: Any = SimpleNamespace(value=False)


def scan_dataset(
    folder: Location,
    *,
    workers: int | None = None,
    progress: Progress = silent,
    cache: Path | None = None,
) -> pd.DataFrame:
    """Scan a dataset folder; photographs that were measured before are not read again.

    Parameters
    ----------
    folder : str, Path or Dataset
        See `har_core.dataset.table.open_dataset`. Only files in the folder are opened, whatever
        paths the table holds.
    workers : int, optional
        Parallel workers, at least 1; default: one per processor.
    progress : callable, optional
        Called with (what is being done, done, total). An exception that it raises cancels the
        scan; what was measured until then is kept, and the next scan goes on from there.
    cache : Path, optional
        SQLite file of the measurements; default: see `har_core.scan.cache.ScanCache`.

    Returns
    -------
    DataFrame
        One row per photograph, listed in the table (in its order) or only found in the folder:
        the columns of `list_rows`; of `har_core.scan.measurement.Measurement` (without the
        thumbnail); ``copies`` (photographs with exactly these pixels, itself included),
        ``correlation`` (with its nearest near duplicate, 0 if none) and ``duplicate_group``
        (nullable integer from 1); and ``<issue>_score``, ``is_<issue>_issue`` for each of
        `har_core.scan.issue_kind.ISSUE_KINDS`.

    Raises
    ------
    DatasetError
        If the folder or table cannot be read, the folder vanishes during the scan, or one of its
        processes is killed.
    """
    dataset = open_dataset(folder)
    photographs = list_rows(dataset)
    with ScanCache(cache) as store:
        paths = list(photographs["path"].dropna())
        contents = _measure_files(dataset.folder, paths, store, workers, progress)
        progress("Comparing photographs", 0, 1)
        findings = _judge(photographs, contents, store)
        progress("Comparing photographs", 1, 1)
    return findings


def load_scan(folder: Location) -> pd.DataFrame | None:
    """Return what `scan_dataset` would, if that had nothing left to measure; else None.

    Files that cannot be opened are never measured, so they count as unreadable here, too.

    Raises
    ------
    DatasetError
        If the folder or table cannot be read.
    """
    photographs = list_rows(folder)
    paths = list(photographs["path"].dropna())
    with ScanCache(may_forget=True) as store:
        contents: dict[str, str | Measurement] = dict(store.known_files(_stamp_files(paths)))
        for path in paths:
            if path not in contents:
                if is_readable(path):
                    return None
                contents[path] = Measurement("", "unreadable", "", 0)
        return _judge(photographs, contents, store)


def n_measured(paths: Sequence[str]) -> int:
    """Return how many of these photographs a scan would not read again."""
    with ScanCache(may_forget=True) as store:
        return len(store.known_files(_stamp_files(paths)))


def _judge(
    photographs: pd.DataFrame, contents: Mapping[str, str | Measurement], store: ScanCache
) -> pd.DataFrame:
    """Join measurements, find duplicates, and judge by every kind of issue."""
    measured = _measurement_table(contents, store)
    values = measured.reindex(photographs["path"])
    for column in measured.columns:
        photographs[column] = values[column].to_numpy()
    sha256 = photographs["sha256"]
    add_duplicates(photographs, lambda rows: _near_duplicates(list(sha256.iloc[rows]), store))
    return photographs.join(find_issues(photographs))


def list_rows(folder: Location) -> pd.DataFrame:
    """List every photograph of a dataset once: the table's rows, then what only the folder holds.

    Parameters
    ----------
    folder : str, Path or Dataset
        See `har_core.dataset.table.open_dataset`.

    Returns
    -------
    DataFrame
        ``filename`` (unique), ``label`` (of its first row; ``""`` if unlisted), ``listed`` (bool),
        ``labels`` (how many different labels its rows give; 0 where the table has no labels) and
        ``path`` (None if missing).

    Raises
    ------
    DatasetError
        If the folder or table cannot be read.
    """
    dataset = open_dataset(folder)
    listed = dataset.rows[["filename", "label", "path"]]
    rows = listed.drop_duplicates("filename", ignore_index=True)
    rows.insert(2, "listed", True)
    labels = 0
    if dataset.labelled:
        repeated = listed[listed["filename"].duplicated(keep=False)]
        counts = repeated.groupby("filename")["label"].nunique()
        labels = rows["filename"].map(counts).fillna(1).astype(int)
    rows.insert(3, "labels", labels)
    known = set(rows["filename"])
    extra = {name: path for name, path in dataset.unlisted.items() if name not in known}
    if not extra:
        return rows
    unlisted = pd.DataFrame({"filename": list(extra), "label": "", "listed": False, "labels": 0})
    unlisted["path"] = pd.Series(list(extra.values()), dtype=object)
    return pd.concat([rows, unlisted], ignore_index=True)


def _measure_files(
    folder: Path, paths: Sequence[str], store: ScanCache, workers: int | None, report: Progress
) -> dict[str, str | Measurement]:
    """Return path to sha256, or to the measurement where the file could not even be hashed."""
    stamps = _stamp_files(paths)
    known: dict[str, str | Measurement] = dict(store.known_files(stamps))
    pending = [path for path in paths if path not in known]
    done, total = len(paths) - len(pending), len(paths)
    report("Measuring photographs", done, total)
    for chunk in _measure_in_parallel(pending, workers):
        folders = {os.path.dirname(path) for path in chunk}  # noqa: PTH120 (many Paths take long)
        lost = next((folder for folder in folders if not is_folder(folder)), "")
        if lost:
            raise DatasetError(
                f"{lost} vanished while it was scanned; what was measured is "
                "kept. Bring the folder back and scan again."
            )
        hashed = {path: m for path, m in chunk.items() if m.sha256}
        store.store(
            {path: (stamps[path], m.sha256) for path, m in hashed.items() if path in stamps},
            hashed.values(),
        )
        known.update({path: m.sha256 or m for path, m in chunk.items()})
        done += len(chunk)
        report("Measuring photographs", done, total)
    return known


def _stamp_files(paths: Sequence[str]) -> dict[str, FileStamp]:
    stamps = {}
    for path in paths:
        try:
            status = os.stat(real_path(path))  # noqa: PTH116 (making 100,000 Paths takes a second)
        except OSError:
            continue  # measured as unreadable
        stamps[path] = FileStamp(status.st_size, status.st_mtime_ns)
    return stamps


def _measure_in_parallel(
    paths: Sequence[str], workers: int | None
) -> Iterator[Mapping[str, Measurement]]:
    """Measure in chunks; closing the generator drops what has not begun."""
    if not paths:
        return
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    with _make_executor(workers or cores(), len(paths)) as executor:
        try:
            with ctrl_c_held_back():
                pending: set[Future[dict[str, Measurement]]] = {
                    executor.submit(_measure_chunk, chunk) for chunk in chunks
                }
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool as error:
            raise DatasetError(
                "A process that measured photographs was killed; is there too little memory? What "
                "was measured is kept; scan again."
            ) from error
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _make_executor(workers: int, n_files: int) -> Executor:
    if workers == 1 or n_files < _PROCESSES_FROM:
        return ThreadPoolExecutor(workers)
    return _Processes(workers)


class _Processes(ProcessPoolExecutor):
    """Worker processes, which leave what they do when the rest is dropped."""

    def __init__(self, workers: int) -> None:
        context = worker_context("har_core.scan.measurement")
        self._dropped = context.RawValue("b")  # no lock, which a worker that is killed would keep
        super().__init__(
            workers, mp_context=context, initializer=_begin_worker, initargs=(self._dropped,)
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if cancel_futures:
            self._dropped.value = True
        super().shutdown(wait, cancel_futures=cancel_futures)


def _begin_worker(dropped: Any) -> None:
    """Run whenever nobody waits: whoever opens a page or asks for a prediction does."""
    global _is_dropped
    end_at_ctrl_c()
    if hasattr(os, "nice"):
        os.nice(10)
    _is_dropped = dropped


def _measure_chunk(paths: Sequence[str]) -> dict[str, Measurement]:
    return {path: measure_file(path) for path in paths if not _is_dropped.value}


def _measurement_table(contents: Mapping[str, str | Measurement], store: ScanCache) -> pd.DataFrame:
    """Return the measurements indexed by path."""
    hashed = pd.Series({p: c for p, c in contents.items() if isinstance(c, str)}, dtype=object)
    by_content = store.load(hashed.unique())
    table = by_content.reindex(hashed)
    table.insert(0, "sha256", hashed.to_numpy())
    table.index = hashed.index
    failed = {p: m for p, m in contents.items() if isinstance(m, Measurement)}
    if not failed:
        return table
    unread = pd.DataFrame(
        [(m.reason, m.content, m.size_bytes) for m in failed.values()],
        index=list(failed),
        columns=["reason", "content", "size_bytes"],
    )
    return pd.concat([table, unread]) if len(table) else unread.reindex(columns=table.columns)


def _near_duplicates(hashes: Sequence[str], store: ScanCache) -> tuple[np.ndarray, np.ndarray]:
    """Return near duplicates among photographs by their sha256, from the cache if possible."""
    key = hashlib.sha256(f"{DUPLICATE_CORRELATION} {' '.join(hashes)}".encode()).hexdigest()
    found = store.load_pairs(key)
    if found is None:
        thumbnails = store.load_thumbnails(hashes)
        stacked = np.array([thumbnails[sha256] for sha256 in hashes], np.uint8)
        found = pairs_of_thumbnails(stacked.reshape(-1, FINGERPRINT_SIDE**2))
        store.store_pairs(key, *found)
    return found
