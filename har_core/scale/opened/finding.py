"""Which RESULTS folders there are in a place, and what became of their jobs."""

from dataclasses import dataclass
from typing import Any, Final

from har_core.errors import DatasetError, HarError
from har_core.scale.opened.table import results_at
from har_core.scale.results import INFO_FILE, Results, ResultsInfo
from har_core.scale.sources.locations import open_filesystem
from har_core.scale.status import JobStatus, read_status

MOST_FOLDERS: Final = 200


@dataclass(frozen=True)
class FoundJob:
    """A RESULTS folder and its latest job.

    Parameters
    ----------
    location : str
    info : ResultsInfo
    status : JobStatus or None
        None if the folder does not say.
    """

    location: str
    info: ResultsInfo
    status: JobStatus | None

    @property
    def state(self) -> str:
        """As `JobStatus.state`, but ``"lost"`` for one that went silent, ``"unknown"``."""
        if self.status is None:
            return "unknown"
        silent = self.status.state in ("listing", "running") and not self.status.is_alive
        return "lost" if silent else self.status.state


def find_results(place: str) -> list[FoundJob]:
    """List the RESULTS folders of a place, those of the latest jobs first.

    Parameters
    ----------
    place : str
        A RESULTS folder, or one that such folders lie in, directly; path or URI.

    Raises
    ------
    HarError
        If it cannot be read, or there are none.
    """
    from pyarrow import fs

    results = results_at(place)
    if results.read_text(INFO_FILE) is not None:
        return [_found(results)]
    filesystem, folder = open_filesystem(results.location)
    try:
        inside: list[Any] = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    except OSError as error:
        raise DatasetError(f"Cannot list {place}: {error}.") from error
    names = sorted(file.base_name for file in inside if file.type == fs.FileType.Directory)
    found = []
    for name in names[:MOST_FOLDERS]:
        below = Results(f"{results.location}/{name}")
        try:
            if below.read_text(INFO_FILE) is not None:
                found.append(_found(below))
        except HarError:
            continue  # a folder that is none of ours, or half written
    if not found:
        raise DatasetError(
            f"{place} holds no results; make some with 'har score SOURCE --to {place}'."
        )
    return sorted(found, key=_when, reverse=True)


def _found(results: Results) -> FoundJob:
    return FoundJob(results.location, results.read_info(), read_status(results))


def _when(job: FoundJob) -> str:
    return job.info.created if job.status is None else job.status.updated
