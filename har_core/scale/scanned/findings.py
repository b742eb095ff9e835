"""What a scan found: every kind of issue, judged over all photographs of a folder of a scan."""

import tempfile
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.dataset.duplicates import pairs_of_thumbnails
from har_core.images.fingerprints import FINGERPRINT_SIDE
from har_core.model.fields import ERROR, REASON
from har_core.progress import Progress, silent
from har_core.scale.answered import MISSING
from har_core.scale.labels import NONE, LabelTable
from har_core.scale.scanned.folder import FINDINGS_FILE, ScanFolder, scan_schema
from har_core.scale.sources.items import uri_keys
from har_core.scan.duplicates import add_duplicates
from har_core.scan.issue_kind import ISSUE_KINDS, issue_column, score_column
from har_core.scan.issues import find_issues
from har_core.storage.checksums import digests_of

_THUMBNAIL: Final = "thumbnail"
_UNUSED: Final = (_THUMBNAIL, "mtime_ns", "etag", ERROR)  # of what judges a photograph
_YES_NO: Final = ("plain", "colourless")
# Their names promise no format: cells of a table, and what stands behind a question mark.
_NO_NAME: Final = r"\.parquet#\d+$|^https?://.*[?#]"


def judge_scan(
    folder: ScanFolder,
    named: np.ndarray,
    labels: LabelTable | None = None,
    progress: Progress = silent,
) -> tuple[pd.DataFrame, int]:
    """Judge what was measured, a million photographs in 1.25 GB; thumbnails lie on the disk.

    Parameters
    ----------
    folder : ScanFolder
    named : ndarray of S16
        Keys of the inputs, sorted: what else was measured earlier does not count.
    labels : LabelTable, optional
        Without labels nothing is said of them.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    photographs : DataFrame
        One row per input, by URI: as from `har_core.scan.scanning.scan_dataset`, whose ``filename``
        is the URI here.
    unmatched : int
        Labels of which there is no photograph.
    """
    progress("Comparing photographs", 0, 1)
    parts = folder.parts()
    columns = [field.name for field in scan_schema() if field.name not in _UNUSED]
    rows, order = _sorted(folder, parts, columns, named)
    photographs, unmatched = _described(rows, labels)
    del rows

    def pairs_among(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place = np.full(int(order.max(initial=NONE)) + 1, NONE)
        place[order[chosen]] = np.arange(len(chosen))
        with tempfile.TemporaryFile() as file:
            return pairs_of_thumbnails(_thumbnails(folder, parts, place, file))

    add_duplicates(photographs, pairs_among)
    found = photographs.join(find_issues(photographs))
    progress("Comparing photographs", 1, 1)
    return found, unmatched


def _sorted(
    folder: ScanFolder, parts: Any, columns: list[str], named: np.ndarray
) -> tuple[Any, np.ndarray]:
    """Return the rows of the inputs by URI, and where each was among those of the parts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    empty = pa.schema([scan_schema().field(name) for name in columns]).empty_table()
    rows = pa.concat_tables([empty, *(folder.read_part(part, columns) for part in parts)])
    order = pc.sort_indices(rows["uri"]).to_numpy().astype(np.int64)
    if len(rows) > len(named):
        order = order[np.isin(uri_keys(rows["uri"].to_pylist()), named)[order]]
    return rows.take(order), order


def _described(rows: Any, labels: LabelTable | None) -> tuple[pd.DataFrame, int]:
    """Return the rows with the columns that the kinds of issues look at."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = rows
    for name in _YES_NO:
        numbers = rows[name].cast(pa.uint8()).cast(pa.float64())
        table = table.set_column(table.schema.get_field_index(name), name, numbers)
    photographs = table.rename_columns(
        ["filename" if name == "uri" else name for name in table.column_names]
    ).to_pandas()
    photographs = photographs.rename(columns={"size": "size_bytes"})
    missing = photographs[REASON].eq(MISSING)
    photographs["path"] = photographs["filename"].mask(missing)
    photographs[REASON] = photographs[REASON].fillna("").mask(missing, "")
    nameless = pc.match_substring_regex(rows["uri"], _NO_NAME).to_numpy()
    photographs["content"] = photographs["content"].mask(nameless)
    photographs["label"], photographs["labels"], photographs["listed"] = "", 0, True
    if labels is None:
        return photographs, 0
    found = labels.find(rows["uri"], digests_of(rows["sha256"]))
    names = np.array([*labels.names, ""], dtype=object)
    photographs["label"] = names[found.label]
    photographs["labels"] = 1 + found.several
    return photographs, found.unmatched


def _thumbnails(folder: ScanFolder, parts: Any, place: np.ndarray, file: Any) -> np.ndarray:
    """Return the thumbnails of some rows, uint8 (N, 1024), from a file without a name."""
    n = int(place.max(initial=NONE)) + 1
    pixels = FINGERPRINT_SIDE**2
    if not n:
        return np.empty((0, pixels), np.uint8)
    stacked = np.memmap(file, np.uint8, "w+", shape=(n, pixels))
    start = 0
    for part in parts:
        column = folder.read_part(part, [_THUMBNAIL])[_THUMBNAIL].combine_chunks()
        here = place[start : start + len(column)]
        start += len(column)
        wanted = np.flatnonzero(here != NONE)
        if len(wanted):
            data = b"".join(column.take(wanted).to_pylist())
            stacked[here[wanted]] = np.frombuffer(data, np.uint8).reshape(-1, pixels)
    return stacked


def write_findings(folder: ScanFolder, photographs: pd.DataFrame) -> None:
    """Write the findings to ``_findings.parquet``, one row per input, at once.

    ``uri``, ``sha256``, ``label``, ``duplicate_group``, ``copies`` and ``correlation``; then
    ``<issue>_score`` (float32) and ``is_<issue>_issue`` for each kind of issue.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {"uri": photographs["filename"]}
    for name in ("sha256", "label", "duplicate_group", "copies", "correlation"):
        columns[name] = photographs[name]
    for kind in ISSUE_KINDS:
        columns[score_column(kind)] = photographs[score_column(kind)].astype(np.float32)
        columns[issue_column(kind)] = photographs[issue_column(kind)]
    arrays = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    folder.write_table(FINDINGS_FILE, pa.table(arrays))
