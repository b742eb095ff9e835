"""What all commands share on the terminal: progress bars, error lines, output files."""

import functools
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import typer

from har_core import progress
from har_core.cli.exit_codes import ExitCode
from har_core.errors import HarError
from har_core.storage.files import write_named
from har_core.storage.names import one_line

if TYPE_CHECKING:  # imported where it is used: a twentieth of a second, and most starts say nothing
    from rich.console import Console
    from rich.progress import Progress, Task, TaskID
    from rich.table import Table


class _Messages:
    """Messages on stderr, which is not steered by what a file is called."""

    def print(self, text: str, style: str | None = None) -> None:
        """Print text as it is; nothing in it is markup, and where it is long the terminal wraps."""
        harmless = "\n".join(map(one_line, text.split("\n")))
        try:
            _console().print(harmless, style=style, soft_wrap=True)
        except OSError:  # a full disk: the exit code has to say it all
            sys.stderr = nowhere("w")


@functools.cache
def _console() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def stdout() -> "Console":
    """Return the console on stdout, to which nothing in a text is markup."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def make_table(*headings: str) -> "Table":
    """Return a table for a terminal; a narrow one breaks its cells and cuts nothing off."""
    from rich.table import Column, Table

    columns = [Column(heading, overflow="fold") for heading in headings]
    return Table(*columns, box=None, pad_edge=False)


stderr = _Messages()


def nowhere(mode: str) -> IO[str]:
    """Return what stands in for a stream that is closed or full, until the program ends."""
    return Path(os.devnull).open(mode)


@contextmanager
def progress_bar() -> Iterator[progress.Progress]:
    """Show progress, rate and remaining time on stderr, so that stdout stays clean for pipes.

    Yields
    ------
    callable
        Called with (what is being done, done, total); another "what" starts a new bar. There is
        none where stderr is no terminal, nor of what is already done.
    """
    with ExitStack() as stack:
        bars: Progress | None = None
        shown: dict[str, TaskID] = {}  # none or one

        def report(what: str, done: int, total: int) -> None:
            nonlocal bars
            if what not in shown:
                if done == total or not sys.stderr.isatty():
                    return
                bars = bars or stack.enter_context(_bars())
                for finished in shown.values():
                    bars.remove_task(finished)
                shown.clear()
                shown[what] = bars.add_task(what, total=total)
            assert bars is not None
            bars.update(shown[what], completed=done, total=total)

        yield report


def _bars() -> "Progress":
    from rich import progress as columns

    class Rate(columns.ProgressColumn):
        """How many a second, once that is known."""

        def render(self, task: "Task") -> str:
            speed = task.finished_speed or task.speed
            if not speed:
                return ""
            return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s"

    return columns.Progress(
        columns.TextColumn("{task.description}"),
        columns.BarColumn(),
        columns.MofNCompleteColumn(),
        Rate(),
        columns.TimeElapsedColumn(),
        columns.TextColumn("left"),
        columns.TimeRemainingColumn(),
        console=_console(),
        transient=True,
    )


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
