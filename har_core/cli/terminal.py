"""What all commands share on the terminal: progress bars, error lines, output files."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from har_core import progress
from har_core.cli.exit_codes import ExitCode
from har_core.errors import HarError
from har_core.storage.files import write_named
from har_core.storage.names import one_line


class _Messages(Console):
    """A console whose terminal is not steered by what a file is called."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(_harmless(o) if isinstance(o, str) else o for o in objects), **options)


def _harmless(text: str) -> str:
    return "\n".join(map(one_line, text.split("\n")))


stderr = _Messages(stderr=True, highlight=False)


class _RateColumn(ProgressColumn):
    """How many a second, once that is known."""

    def render(self, task: Task) -> str:
        speed = task.finished_speed or task.speed
        if not speed:
            return ""
        return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s"


@contextmanager
def progress_bar() -> Iterator[progress.Progress]:
    """Show progress, rate and remaining time on stderr, so that stdout stays clean for pipes.

    Yields
    ------
    callable
        Called with (what is being done, done, total); another "what" starts a new bar.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, transient=True) as bars:
        shown: dict[str, TaskID] = {}  # none or one

        def report(what: str, done: int, total: int) -> None:
            if what not in shown:
                for finished in shown.values():
                    bars.remove_task(finished)
                shown.clear()
                shown[what] = bars.add_task(what, total=total)
            bars.update(shown[what], completed=done, total=total)

        yield report


@contextmanager
def ended_by_interrupt(message: str) -> Iterator[None]:
    """Say what became of it when Ctrl-C or SIGTERM ends what is being done, and end the program."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        stderr.print(message)
        raise typer.Exit(ExitCode.UNUSABLE) from None
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)  # None: not set by Python


def write_output(destination: str, text: str) -> None:
    """Write a command's result to a file, or to stdout for ``-``.

    Raises
    ------
    HarError
        If the file cannot be written.
    """
    if destination == "-":
        sys.stdout.write(text)
        return
    path = Path(destination)
    try:
        write_named(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise HarError(f"Cannot write {path}: {error.strerror or error}.") from error
