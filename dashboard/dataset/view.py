"""What the Dataset page shows, loaded once and again when a file behind it changes."""

import contextlib
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.jobs.registry import is_at_work
from dashboard.resources import Reading, file_stamp, opened_dataset, reading_of
from dashboard.widgets.sections import runs_alone
from har_core.analysis.whole_set import Analysis, load_analysis
from har_core.dataset.table import Dataset
from har_core.errors import ModelBundleError
from har_core.model.manifest import MANIFEST_FILE, BundleManifest, read_manifest
from har_core.model.records import (
    held_out_predictions,
    match_probabilities,
    match_splits,
    read_lineage,
)
from har_core.progress import Progress
from har_core.scan.cache import ScanCache, scan_cache_path
from har_core.scan.issues import ISSUE_KINDS, any_issue, issue_column
from har_core.scan.scanning import list_rows, load_scan, n_measured
from har_core.storage.cache import cache_dir
from har_core.storage.checksums import sha256_of_files
from har_core.storage.paths import is_file

_SHOW_PROGRESS_FROM: Final = 2_000  # photographs; fewer are read within half a second


@dataclass(frozen=True)
class Identity:
    """The same for views of the same state of the same files, and only for those.

    Parameters
    ----------
    folder : Path
        Of the dataset.
    reading : Reading
    model_folder : Path or None
    stamps : tuple of (int, int)
        Of the files and folders that the view is made from; see `dashboard.resources.file_stamp`.
    """

    folder: Path
    reading: Reading
    model_folder: Path | None
    stamps: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class DatasetView:
    """A dataset as the page sees it; shared between visitors, so nobody changes it.

    Parameters
    ----------
    folder : Path
        Dataset folder.
    dataset : Dataset
        As it was opened.
    photographs : DataFrame
        One row per photograph: ``filename``, ``label``, ``listed``, ``path``, ``sha256``,
        ``size_bytes``, ``split`` (``""`` if unknown), ``prediction`` and ``confidence``
        (missing if unknown), and after a scan what `har_core.scan.scanning.scan_dataset` returns.
    scanned : bool
        Whether the scan is complete.
    n_measured : int
        How many photographs a scan that is not complete has measured.
    photographs_missing : str
        Why there are no photographs to show, ``""`` if there are.
    model_folder : Path or None
        The chosen model.
    manifest : BundleManifest or None
        Its manifest.
    analysis : Analysis or None
        The model's view of the scanned photographs, if it was computed.
    identity : Identity
    """

    folder: Path
    dataset: Dataset
    photographs: pd.DataFrame
    scanned: bool
    n_measured: int
    photographs_missing: str
    model_folder: Path | None
    manifest: BundleManifest | None
    analysis: Analysis | None
    identity: Identity

    @cached_property
    def class_names(self) -> list[str]:
        """Labels in use, sorted, unlabelled left out."""
        return sorted(set(self.photographs["label"].unique()) - {""})

    @cached_property
    def n_missing(self) -> int:
        """How many photographs the table lists that are not there."""
        return int(self.photographs["path"].isna().sum())

    @cached_property
    def sha256_by_name(self) -> dict[str, str]:
        """The sha256 of the photographs' files by filename, of those that can be read."""
        known = self.photographs[self.photographs["sha256"].fillna("").ne("")]
        return dict(zip(known["filename"].tolist(), known["sha256"].tolist(), strict=True))

    @cached_property
    def analysed(self) -> pd.DataFrame:
        """The photographs of the analysis, in its order; none without one."""
        rows = self.photographs.index[:0] if self.analysis is None else self.analysis.table.index
        return self.photographs.loc[rows]

    @cached_property
    def has_finding(self) -> pd.Series:
        """Whether each photograph has a finding, as an outlier, too; bool, after a scan."""
        found = any_issue(self.photographs)
        if self.analysis is None:
            return found
        return found | self.photographs[issue_column("outlier")].eq(True)

    @cached_property
    def orders(self) -> dict[str, np.ndarray]:
        """The photographs' positions in each order that somebody wanted, by its title."""
        return {}

    def issues_of(self, row: pd.Series) -> list[str]:
        """Return the names of a photograph's findings, an outlier included."""
        names = [*ISSUE_KINDS, "outlier"]
        # A row holds numpy's booleans, and None or NaN where something was not judged.
        flags = {name: row.get(issue_column(name)) for name in names}
        return [name for name, flag in flags.items() if pd.notna(flag) and bool(flag)]


# For what is worked out once of a view. Streamlit would look at each field of a dataclass alone.
BY_IDENTITY: Final[dict[str | type, Any]] = {DatasetView: lambda view: repr(view.identity)}


def dataset_view(folder: str, model_folder: Path | None) -> DatasetView:
    """Load a dataset, its scan, and what the model knows of it.

    Raises
    ------
    DatasetError
        If the folder or table cannot be read.
    """
    dataset = opened_dataset(folder)
    place = st.empty()
    outside = copy_context()

    def report(what: str, done: int, total: int) -> None:
        if total >= _SHOW_PROGRESS_FROM:
            # Outside, or Streamlit would take the bar for a part of what it caches.
            outside.run(place.progress, done / total, f"{what}: {done:,} of {total:,}")

    if not is_file(scan_cache_path()):
        ScanCache(may_forget=True).close()  # made later, it would be a change to what is shown
    view = _load_view(_identity(dataset, model_folder), dataset, report)
    place.empty()
    return view


def _identity(dataset: Dataset, model_folder: Path | None) -> Identity:
    manifest_file = model_folder / MANIFEST_FILE if model_folder else None
    # A scan writes all the time, and says something new only at its end.
    watched = (
        *dataset.sources,
        *([] if is_at_work("scan/") else [scan_cache_path()]),
        cache_dir() / "analyses",
        manifest_file or dataset.folder,
    )
    stamps = tuple(map(file_stamp, watched))
    return Identity(dataset.folder, reading_of(dataset.folder), model_folder, stamps)


_P = ParamSpec("_P")
_Draw = Callable[Concatenate[DatasetView, _P], None]


def section(*, key: str | None = None) -> Callable[[_Draw[_P]], _Draw[_P]]:
    """Let a part of the page run alone; see `dashboard.widgets.sections.runs_alone`."""
    return runs_alone(_is_current, key=key)


def _is_current(view: DatasetView) -> bool:
    return _identity(view.dataset, view.identity.model_folder) == view.identity


@st.cache_resource(max_entries=4, show_spinner="Reading the dataset …", hash_funcs={Identity: repr})
def _load_view(identity: Identity, _dataset: Dataset, _report: Progress) -> DatasetView:
    model_folder, manifest = identity.model_folder, None
    try:
        manifest = read_manifest(model_folder) if model_folder else None
    except ModelBundleError:
        model_folder = None  # damaged since it was chosen; the sidebar says so
    scan, measured = None, 0
    if _dataset.missing:  # a table without photographs still has a class balance
        rows = _dataset.rows[["filename", "label"]]
        photographs = rows.assign(listed=True, path=None, sha256="")
    else:
        scan = load_scan(_dataset)
        photographs = scan if scan is not None else _list_unscanned(_dataset, _report)
        measured = 0 if scan is not None else n_measured(photographs["path"].dropna().tolist())
    photographs["split"] = _splits(photographs, model_folder, manifest)
    analysis = None
    if scan is not None and manifest is not None:
        analysis = load_analysis(manifest, scan)
    photographs = _with_predictions(photographs, analysis, model_folder, manifest)
    return DatasetView(
        folder=_dataset.folder,
        dataset=_dataset,
        photographs=photographs,
        scanned=scan is not None,
        n_measured=measured,
        photographs_missing=_dataset.missing,
        model_folder=model_folder,
        manifest=manifest,
        analysis=analysis,
        identity=identity,
    )


def _list_unscanned(dataset: Dataset, report: Progress) -> pd.DataFrame:
    photographs = list_rows(dataset)
    paths = photographs["path"].tolist()
    sizes = [file_stamp(Path(path))[1] if path else np.nan for path in paths]
    return photographs.assign(size_bytes=sizes, sha256=sha256_of_files(paths, report))


def _splits(
    photographs: pd.DataFrame, model_folder: Path | None, manifest: BundleManifest | None
) -> pd.Series | str:
    if model_folder is None or manifest is None:
        return ""
    try:
        recorded = read_lineage(model_folder)
    except ModelBundleError:
        return ""  # the sidebar and the Predict page say what is wrong with the model
    return "" if recorded is None else match_splits(photographs["sha256"], recorded)


def _with_predictions(
    photographs: pd.DataFrame,
    analysis: Analysis | None,
    model_folder: Path | None,
    manifest: BundleManifest | None,
) -> pd.DataFrame:
    if analysis is not None:
        return photographs.join(analysis.table)
    photographs = photographs.assign(prediction=None, confidence=np.nan)
    held_out = None
    if model_folder is not None and manifest is not None:
        with contextlib.suppress(ModelBundleError):  # the label suspects say what is wrong
            held_out = held_out_predictions(model_folder, manifest)
    if held_out is not None and manifest is not None:
        # What the model says of a photograph that is also in training is no second opinion.
        apart = photographs["sha256"][photographs["split"].isin(["validation", "test"])]
        found = match_probabilities(apart, held_out, manifest.class_names)
        photographs.loc[found.index, "confidence"] = found.max(axis=1)
        predicted = np.array(manifest.class_names, dtype=object)[found.to_numpy().argmax(axis=1)]
        photographs.loc[found.index, "prediction"] = predicted
    return photographs
