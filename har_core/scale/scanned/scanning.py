"""Scanning photographs wherever they are: measured by workers, judged together."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from har_core.errors import DatasetError, HarError
from har_core.progress import Progress, silent
from har_core.scale.analyses import followed
from har_core.scale.jobs import Where, reachable
from har_core.scale.labels import LabelTable, read_own_labels
from har_core.scale.scanned.findings import judge_scan, write_findings
from har_core.scale.scanned.folder import ScanFolder
from har_core.scale.scanned.measuring import measure_sources
from har_core.scale.sources.listing import Matches, tables_among
from har_core.scale.sources.locations import absolute_path, is_remote
from har_core.storage.cache import cache_dir


@dataclass(frozen=True, eq=False)
class SourceScan:
    """What a scan found.

    Parameters
    ----------
    photographs : DataFrame
        See `har_core.scale.scanned.findings.judge_scan`.
    unmatched : int
        Labels of which there is no photograph.
    folder : str
        Where measurements and findings are.
    measured : int
        Photographs that this scan had to read.
    troubles : list of str
        See `har_core.scale.status.JobStatus`.
    """

    photographs: pd.DataFrame
    unmatched: int
    folder: str
    measured: int
    troubles: list[str]


def scan_sources(
    sources: Sequence[str],
    to: str | None = None,
    *,
    where: Where = Where(),  # noqa: B008 (frozen)
    column: str | None = None,
    labels: LabelTable | None = None,
    columns: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> SourceScan:
    """Scan photographs wherever they are; those that were measured before are not read again.

    Parameters
    ----------
    sources : sequence of str
        See `har_core.scale.sources.listing.list_sources`.
    to : str, optional
        Folder for measurements and findings, here or in a bucket; default: one in the cache, the
        same for the same sources.
    where : Where, optional
        Default: the cores of this machine.
    column : str, optional
        Of tables among the sources.
    labels : LabelTable, optional
        Default: those of the sources, if all of these are tables, of which one has some.
    columns : mapping, optional
        Headings in these, see `har_core.dataset.columns.parse_columns`.
    progress : callable, optional
        Called with (what is being done, done, total).

    Raises
    ------
    HarError
        If nothing could be scanned, or the scan had to stop; what was measured is kept.
    """
    known: Mapping[str, Matches] = {}
    if labels is None:
        headings = {**({"filename": column} if column else {}), **(columns or {})}
        tables, known = tables_among(sources)
        if tables is not None:
            labels = read_own_labels(tables, headings)
        elif columns:
            raise DatasetError("--columns goes with a dataset, with --table, or with tables alone.")
        column = headings.get("filename")
    to = to or str(cache_dir() / "scans" / _digest(sources, column))
    status, named = measure_sources(
        sources, to, where=where, column=column, known=known, progress=progress
    )
    folder = ScanFolder(reachable(to))
    with followed(folder, "scan", progress=progress) as analysis:
        photographs, unmatched = judge_scan(folder, named, labels, analysis.report)
        try:
            write_findings(folder, photographs)
        except OSError as error:
            raise HarError(f"Cannot write {folder.location}: {error.strerror or error}.") from error
    return SourceScan(photographs, unmatched, folder.location, status.total, status.troubles)


def _digest(sources: Sequence[str], column: str | None) -> str:
    here = [source if is_remote(source) else absolute_path(source) for source in sources]
    return hashlib.sha256(os.fsencode("\0".join([*here, column or ""]))).hexdigest()[:16]
