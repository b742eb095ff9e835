"""What is in a folder of a scan, counted for looking at."""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from har_core.model.fields import REASON
from har_core.scale.scanned.folder import FINDINGS_FILE, ScanFolder
from har_core.scan.issues import ISSUE_KINDS, issue_column


@dataclass(frozen=True, eq=False)
class ScanCounts:
    """Counts of a folder of a scan.

    Parameters
    ----------
    parts_written : DataFrame
        When which number of rows was written: ``time`` (UTC) and ``rows``, oldest first.
    reasons : dict of str to int
        Photographs that could not be measured, by why; the most frequent first.
    issues : dict of str to int, or None
        Photographs by kind of issue, in registry order; None before the findings of all that is
        measured are written.
    """

    parts_written: pd.DataFrame
    reasons: dict[str, int]
    issues: dict[str, int] | None


def scan_stamp(location: str) -> tuple[int, ...]:
    """Return what is another one once a folder of a scan has changed."""
    folder = ScanFolder(location)
    return (hash(tuple(folder.parts())), *folder.stamp(FINDINGS_FILE))


def count_scan(location: str) -> ScanCounts:
    """Count what a folder of a scan holds, from one column and the findings' flags.

    Raises
    ------
    HarError
        If a part cannot be read.
    """
    folder = ScanFolder(location)
    times, sizes, reasons = [], [], Counter[str]()
    for rows in folder.read_rows([REASON]):
        times.append(folder.written_ns(rows))
        sizes.append(len(rows))
        counted = rows[REASON].drop_null().value_counts()
        reasons.update({count["values"]: count["counts"] for count in counted.to_pylist()})
    written = pd.DataFrame({"time": pd.to_datetime(times, utc=True), "rows": sizes})
    return ScanCounts(written.sort_values("time"), dict(reasons.most_common()), _issues(folder))


def _issues(folder: ScanFolder) -> dict[str, int] | None:
    import pyarrow.compute as pc

    measured = max((part.mtime_ns for part in folder.parts()), default=0)
    if folder.stamp(FINDINGS_FILE)[1] < measured:
        return None
    columns = {name: issue_column(name) for name in ISSUE_KINDS}
    flags = folder.read_table(FINDINGS_FILE, list(columns.values()))
    if flags is None:
        return None
    return {name: int(pc.sum(flags[c]).as_py() or 0) for name, c in columns.items()}
