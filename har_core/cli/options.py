"""Options that several commands share."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from har_core.errors import HarError
from har_core.settings import DATASET

# How the help calls what is text and names a place: a file may be - for stdout.
_FILES: Final = ("FILE", "[FILE]")
_FOLDERS: Final = ("FOLDER", "RESULTS")

_MODEL: Final = "Bundle name or path. Default: HAR_MODEL, else the newest."
ModelOption = Annotated[str | None, typer.Option("--model", metavar="NAME", help=_MODEL)]
ModelArgument = Annotated[str | None, typer.Argument(metavar="[NAME]", help=_MODEL)]
_DATASET = typer.Option(
    envvar=DATASET.name,
    help="Folder with train.csv (filename,label) and the photographs in train/.",
)
DatasetOption = Annotated[Path, _DATASET]
OptionalDatasetOption = Annotated[Path | None, _DATASET]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace a bundle of that name.")
]


class Engine(StrEnum):
    """Where the work is done."""

    LOCAL = "local"
    RAY = "ray"


EngineOption = Annotated[
    Engine, typer.Option(help="The cores of this machine, or a Ray cluster (extra: scale).")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="auto|ray://HOST:10001",
        help="Of the Ray cluster.",
        show_default="one of this machine alone",
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Workers, one core each.", show_default="one per core")
]
ColumnOption = Annotated[
    str | None,
    typer.Option(
        help="Of tables: the photographs' paths, URIs or bytes.",
        show_default="found by its usual names",
    ),
]


def check_places(parameters: Iterable[Any], arguments: Sequence[str]) -> None:
    """Refuse what names no file or folder: nothing at all, or ``-`` where that is no stream.

    Parameters
    ----------
    parameters : iterable of typer.core.TyperOption or typer.core.TyperArgument
        Those of the command.
    arguments : sequence of str
        What stands behind the command.

    Raises
    ------
    HarError
    """
    options = {name: p for p in parameters if p.param_type_name == "option" for name in p.opts}
    named = [tuple(argument.split("=", 1)) for argument in arguments if argument[:2] == "--"]
    named += pairwise(arguments)
    for name, place in (pair for pair in named if len(pair) == 2 and pair[0] in options):
        parameter = options[name]
        is_path = parameter.type.name == "path"
        if not (is_path or parameter.metavar in (*_FILES, *_FOLDERS)):
            continue
        if not place:
            raise HarError(f"{name} is empty; is a variable not set?")
        if place == "-" and (is_path or parameter.metavar in _FOLDERS):
            raise HarError(f"{name} takes no -, which is a stream; one called so is ./-")
    valued = {name for name, parameter in options.items() if not parameter.is_flag}
    for before, argument in pairwise(("", *arguments)):
        if not argument and before not in valued:
            raise HarError("An argument is empty; is a variable not set? Here is '.'")


def check_address(engine: Engine, address: str | None) -> None:
    """Refuse the address of a cluster that is not asked for.

    Raises
    ------
    typer.BadParameter
    """
    if address is not None and engine is not Engine.RAY:
        raise typer.BadParameter("--address goes with --engine ray.")
