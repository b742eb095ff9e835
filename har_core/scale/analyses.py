"""How far what is computed from a folder of rows is, for whoever looks from outside."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from har_core.progress import Progress, silent
from har_core.scale.parts import PartsFolder
from har_core.scale.status import State, Status, StatusFile, read_status_file

Command = Literal["suspects", "evaluate", "scan"]
# Of a scan it is the findings, made of what was measured.
COMMANDS: Final[tuple[Command, ...]] = ("suspects", "evaluate", "scan")


@dataclass
class AnalysisStatus(Status):
    """The latest run of a command over the rows of a folder.

    Parameters
    ----------
    command : {"suspects", "evaluate", "scan"}
    labels : str
        The table of labels, as on the command line; ``""`` without one.
    step : str
        What is being done.
    done, total : int
        How much of that.
    found : str
        What came out, in a sentence.
    """

    command: Command
    labels: str
    step: str = ""
    done: int = 0
    total: int = 0
    found: str = ""


class Analysis(StatusFile[AnalysisStatus]):
    """A run of a command that says how far it is."""

    def __init__(
        self, folder: PartsFolder, command: Command, labels: str, progress: Progress
    ) -> None:
        super().__init__(folder, _file(command), AnalysisStatus(command, labels))
        self._began = time.monotonic()
        self._progress = progress

    def report(self, what: str, done: int, total: int) -> None:
        """Say what is being done; see `har_core.progress.Progress`."""
        status = self.status
        another = what != status.step
        status.step, status.done, status.total = what, done, total
        if another:
            self.write()
        else:
            self.write_now_and_then()
        self._progress(what, done, total)

    def write(self, state: State | None = None, message: str = "") -> None:
        """See `StatusFile.write`."""
        self.status.elapsed_s = round(time.monotonic() - self._began, 1)
        super().write(state, message)


@contextlib.contextmanager
def followed(
    folder: PartsFolder, command: Command, labels: object = None, progress: Progress = silent
) -> Iterator[Analysis]:
    """Let a folder say how far a command over its rows is, and how that ended.

    Parameters
    ----------
    folder : PartsFolder
        Whose rows; where it cannot be written to, it says nothing.
    command : {"suspects", "evaluate", "scan"}
    labels : path or str, optional
        The table of labels.
    progress : callable, optional
        Called with (what is being done, done, total).

    Raises
    ------
    DatasetError
        If it is no folder of this kind.
    """
    folder.read_body()  # nothing is written into another's folder
    analysis = Analysis(folder, command, str(labels or ""), progress)
    with analysis.recorded():
        yield analysis


def read_analyses(folder: PartsFolder) -> tuple[AnalysisStatus, ...]:
    """Return the latest run of each command over the rows of a folder.

    Raises
    ------
    HarError
        If a file cannot be read.
    """
    read = (read_status_file(folder, _file(command), AnalysisStatus) for command in COMMANDS)
    return tuple(status for status in read if status is not None)


def _file(command: Command) -> str:
    return f"_{command}_job.json"
