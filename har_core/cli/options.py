"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from har_core.settings import DATASET

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


def check_named(arguments: list[str] | None) -> list[str] | None:
    """Refuse an empty argument, which would be the present folder; for Typer's callbacks.

    Raises
    ------
    typer.BadParameter
    """
    if "" in (arguments or []):
        raise typer.BadParameter("an argument is empty; is a variable not set? Here is '.'")
    return arguments


def check_address(engine: Engine, address: str | None) -> None:
    """Refuse the address of a cluster that is not asked for.

    Raises
    ------
    typer.BadParameter
    """
    if address is not None and engine is not Engine.RAY:
        raise typer.BadParameter("--address goes with --engine ray.")
