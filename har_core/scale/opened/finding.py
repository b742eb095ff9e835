"""Which folders of results and scans there are in a place, and what became of their jobs."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from har_core.errors import DatasetError, HarError
from har_core.scale.opened.table import results_at
from har_core.scale.results import INFO_FILE
from har_core.scale.scanned.folder import ScanFolder
from har_core.scale.sources.locations import open_filesystem
from har_core.scale.status import JobStatus, read_status

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
        Which answered; ``""`` for a scan, that needs none.
    created : str
        ISO 8601 time in UTC; ``""`` if the folder does not say.
    status : JobStatus or None
        None if the folder does not say.
    """

    command: Literal["score", "scan"]
    location: str
    model: str
    created: str
    status: JobStatus | None

    @property
    def state(self) -> str:
        """As `JobStatus.state`, but ``"lost"`` for one that went silent, ``"unknown"``."""
        if self.status is None:
            return "unknown"
        silent = self.status.state in ("listing", "running") and not self.status.is_alive
        return "lost" if silent else self.status.state


def find_jobs(place: str) -> list[FoundJob]:
    """List the folders of results and scans in a place, those of the latest jobs first.

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
    names = sorted(file.base_name for file in inside if file.type == fs.FileType.Directory)
    found = []
    for name in names[:MOST_FOLDERS]:
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
        return FoundJob("score", location, info.model, info.created, read_status(results))
    scan = ScanFolder(location)
    if scan.read_text(ScanFolder.info_file) is not None:
        return FoundJob("scan", location, "", "", read_status(scan))
    return None


def _when(job: FoundJob) -> str:
    return job.created if job.status is None else job.status.updated
