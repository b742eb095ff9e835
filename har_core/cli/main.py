"""The whole command line: the groups of commands, and what becomes of an error."""

import logging
import os
import sys
from collections.abc import Sequence

import typer

from har_core.cli import evaluate, models, predict, scan, train
from har_core.cli.options import EXIT_UNUSABLE
from har_core.cli.terminal import stderr
from har_core.errors import HarError

app = typer.Typer(
    name="har_core",
    help="What is the person in this photograph doing? Predict, train, evaluate, scan.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (predict, models, train, scan, evaluate):
    app.add_typer(group.app)


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # What it warns of, retracing say, is for whoever writes the program.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        app(args=_with_optional_values(sys.argv[1:]))
    except HarError as error:
        stderr.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(EXIT_UNUSABLE)


def _with_optional_values(arguments: Sequence[str]) -> list[str]:
    """Let ``--json`` and ``--csv`` stand alone, meaning stdout."""
    result: list[str] = []
    for position, argument in enumerate(arguments):
        result.append(argument)
        following = arguments[position + 1 : position + 2]
        if argument in ("--json", "--csv") and (not following or following[0].startswith("--")):
            result.append("-")
    return result
