"""Which folders of results and scans there are in a place, and what became of their jobs."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from har_core.errors import DatasetError, HarError
from har_core.scale.analyses import AnalysisStatus, read_analyses
from har_core.scale.opened.table import results_at
from har_core.scale.results import INFO_FILE
from har_core.scale.scanned.folder import ScanFolder
from har_core.scale.sources.locations import open_filesystem
from har_core.scale.status import ACTIVE, JobStatus, read_status

MOST_FOLDERS: Final = 200


@dataclass(frozen=True)
class FoundJob:
    """A folder of results or of a scan, and its latest job.

    Parameters
    ----------
    command : {"score", "scan"}
        What makes such a folder.
    location : str
    model : str
        Which answered, and whether with 8 bits; ``""`` for a scan, that needs none.
    created : str
        ISO 8601 time in UTC; ``""`` if the folder does not say.
    status : JobStatus or None
        None if the folder does not say.
    analyses : tuple of AnalysisStatus
        What was, or is, computed from the rows; the latest of each kind.
    """

    command: Literal["score", "scan"]
    location: str
    model: str
    created: str
    status: JobStatus | None
    analyses: tuple[AnalysisStatus, ...] = ()

    @property
    def state(self) -> str:
        """As `Status.seen`, or ``"unknown"``."""
        return "unknown" if self.status is None else self.status.seen

    @property
    def is_active(self) -> bool:
        """Whether something is at work in the folder."""
        return any(state in ACTIVE for state in (self.state, *(a.seen for a in self.analyses)))


def find_jobs(place: str) -> list[FoundJob]:
    """List folders of results and scans in a place, those of the latest jobs first.

    Of the `MOST_FOLDERS` folders that were written to last, where the file system says when.

    Parameters
    ----------
    place : str
        A folder of `har score` or `har scan`, or one that such folders lie in, directly; path or
        URI.

    Raises
    ------
    HarError
        If it cannot be read, or there are none.
    """
    from pyarrow import fs

    location = results_at(place).location
    if (job := _job_in(location)) is not None:
        return [job]
    filesystem, folder = open_filesystem(location)
    try:
        inside: list[Any] = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    except OSError as error:
        raise DatasetError(f"Cannot list {place}: {error}.") from error
    folders = [file for file in inside if file.type == fs.FileType.Directory]
    folders.sort(key=lambda file: (file.mtime_ns or 0, file.base_name), reverse=True)
    found = []
    for name in [file.base_name for file in folders[:MOST_FOLDERS]]:
        try:
            job = _job_in(f"{location}/{name}")
        except HarError:
            continue  # a folder that is none of ours, or half written
        if job is not None:
            found.append(job)
    if not found:
        raise DatasetError(
            f"{place} holds no results; make some with 'har score SOURCE --to {place}'."
        )
    return sorted(found, key=_when, reverse=True)


def _job_in(location: str) -> FoundJob | None:
    results = results_at(location)
    if results.read_text(INFO_FILE) is not None:
        info = results.read_info()
        status, analyses = read_status(results), read_analyses(results)
        return FoundJob("score", location, info.answered_by, info.created, status, analyses)
    scan = ScanFolder(location)
    if scan.read_text(ScanFolder.info_file) is not None:
        return FoundJob("scan", location, "", "", read_status(scan), read_analyses(scan))
    return None


def _when(job: FoundJob) -> str:
    told = [job.status] if job.status is not None else []
    return max((status.updated for status in (*told, *job.analyses)), default=job.created)
