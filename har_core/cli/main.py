"""The whole command line: the groups of commands, and what becomes of an error."""

import atexit
import gc
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from har_core.cli.exit_codes import ExitCode
from har_core.cli.options import (
    check_places,
    name_places,
    stand_alone,
    with_homes,
    with_optional_values,
)
from har_core.cli.terminal import nowhere, stderr
from har_core.errors import HarError
from har_core.settings import DISTRIBUTION
from har_core.storage.names import printable

# Which module of this package holds which commands, in the order of the help: only that of the
# command that is asked for is imported.
COMMANDS: Final = {
    "predict": ("predict",),
    "score": ("score", "suspects"),
    "serve": ("serve",),
    "models": ("import-model", "calibrate", "quantise", "models", "export"),
    "train": ("train", "publish"),
    "review": ("review",),
    "scan": ("scan",),
    "prepare": ("unpack", "merge-labels"),
    "evaluate": ("evaluate", "compare"),
}


class _Commands(TyperGroup):
    """Commands that Ctrl-C ends with a word and our exit code, where Typer says nothing and 130.

    Those that can say what is kept do so themselves, see `terminal.ended_by_interrupt`.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, arguments = super().resolve_command(ctx, args)
        if command is None or ctx.resilient_parsing:  # while a shell completes the line
            return name, command, arguments
        arguments = with_optional_values(arguments, stand_alone(command.params))
        arguments = with_homes(arguments, name_places(command.params))
        own = type(ctx)(command, info_name=name, parent=ctx)
        given, _, _ = command.make_parser(own).parse_args(list(arguments))
        check_places(command.params, given)  # as texts: Path("") is the present folder
        return name, command, arguments

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say_interrupted()
            raise typer.Exit(ExitCode.UNUSABLE) from None


def _say_interrupted() -> None:
    stderr.print("Interrupted.")


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the program with the group of the command that the arguments name, else with all."""
    app = typer.Typer(
        name="har",
        cls=_Commands,
        help="What is the person in this photograph doing? Predict, serve, train, evaluate, scan.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options)
    first = next(iter(arguments), "")
    groups = [group for group, commands in COMMANDS.items() if first in commands]
    for group in groups or COMMANDS:
        app.add_typer(import_module(f"har_core.cli.{group}").app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"har {version(DISTRIBUTION)}")
        raise typer.Exit


def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Say the version."),
    ] = False,
) -> None:
    """Take the options that stand before the command."""


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    # Python would look for circles among all objects, several times, before it lets go of them.
    atexit.register(gc.freeze)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # What it warns of, retracing say, is for whoever writes the program.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started the program
            setattr(sys, name, nowhere(mode))
    for stream in (sys.stdout, sys.stderr):  # a name that is no Unicode ends no command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            application(sys.argv[1:])(args=sys.argv[1:])
        finally:
            sys.stdout.flush()  # Python would do so when nobody can say any more what is wrong
    except KeyboardInterrupt:  # before a command has begun
        _say_interrupted()
        sys.exit(ExitCode.UNUSABLE)
    except HarError as error:
        stderr.print(f"Error: {error}", style="red")
        sys.exit(ExitCode.UNUSABLE)
    except BrokenPipeError:  # whoever reads has seen enough
        sys.stdout = nowhere("w")
        sys.exit(ExitCode.INCOMPLETE)
    except OSError as error:  # of a file or folder that nobody foresaw: never a traceback
        stderr.print(f"Error: Cannot {_use_of(error)}: {error.strerror or error}.", style="red")
        sys.exit(ExitCode.UNUSABLE)


def _use_of(error: OSError) -> str:
    """Return what could not be done: only what has to do with a path says with which."""
    if isinstance(error.filename, str):
        return f"use {printable(error.filename)}"
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = nowhere("w")
        return "write to stdout"
    return "write to stdout or use a file"
