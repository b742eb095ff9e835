"""Options that several commands share."""

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from har_core.errors import HarError
from har_core.settings import DATASET

# How the help calls what is text and names a place: a file may be - for stdout.
_FILE_OR_STDOUT: Final = "[FILE]"  # if it stands alone
_FILES: Final = ("FILE", _FILE_OR_STDOUT)
_TABLE: Final = "FILE|URI"
_NO_STREAMS: Final = ("FOLDER", "RESULTS", _TABLE)

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


def labels_option(meaning: str) -> Any:
    """Return the option that names a table of labels, here or in a bucket."""
    return typer.Option("--table", metavar=_TABLE, parser=_path_or_uri, help=meaning)


def _path_or_uri(text: str) -> str:
    from har_core.scale.sources.locations import local_path  # few commands need it

    return local_path(text)


def with_optional_values(arguments: Sequence[str], options: Container[str]) -> list[str]:
    """Let options such as ``--json`` stand alone, meaning stdout.

    Done by hand, because Typer refuses Click's optional option values (`flag_value`).

    Parameters
    ----------
    arguments : sequence of str
        What stands behind the command.
    options : container of str
        Those that may stand alone, see `stand_alone`.
    """
    result: list[str] = []
    for position, argument in enumerate(arguments):
        if argument == "--":  # what follows are no options
            return [*result, *arguments[position:]]
        result.append(argument)
        following = arguments[position + 1 : position + 2]
        alone = not following or (following[0].startswith("-") and following[0] != "-")
        if argument in options and alone:
            result.append("-")
    return result


def stand_alone(parameters: Iterable[Any]) -> set[str]:
    """Return the options of a command that may stand alone, as their help says."""
    return {name for p in parameters if p.metavar == _FILE_OR_STDOUT for name in p.opts}


def with_homes(arguments: Sequence[str], options: Container[str]) -> list[str]:
    """Read ``~`` as the home folder, which a shell leaves as it is behind ``=``.

    Parameters
    ----------
    arguments : sequence of str
        What stands behind the command.
    options : container of str
        Those that name a place, see `name_places`.
    """
    end = [*arguments, "--"].index("--")  # what follows are no options
    result: list[str] = []
    for before, argument in pairwise(["", *arguments[:end]]):
        name, equals, value = argument.partition("=")
        if equals and name in options:
            argument = name + equals + os.path.expanduser(value)  # noqa: PTH111 (may be a URI)
        elif before in options:
            argument = os.path.expanduser(argument)  # noqa: PTH111
        result.append(argument)
    return [*result, *arguments[end:]]


def name_places(parameters: Iterable[Any]) -> set[str]:
    """Return the options of a command that name a file or folder."""
    options = (p for p in parameters if p.param_type_name == "option")
    return {name for p in options if _is_place(p) for name in p.opts}


def check_places(parameters: Iterable[Any], given: Mapping[str, Any]) -> None:
    """Refuse what names no file or folder: nothing at all, or ``-`` where that is no stream.

    Parameters
    ----------
    parameters : iterable of typer.core.TyperOption or typer.core.TyperArgument
        Those of the command.
    given : mapping of str to object
        What the command line says of them, by their names: a text, several, or something else.

    Raises
    ------
    HarError
    """
    for parameter in parameters:
        said = given.get(parameter.name)
        texts = [said] if isinstance(said, str) else said if isinstance(said, list | tuple) else []
        if parameter.param_type_name == "argument":
            if "" in texts:
                raise HarError("An argument is empty; is a variable not set? Here is '.'")
            continue
        if not _is_place(parameter):
            continue
        name = parameter.opts[0]
        if "" in texts:
            raise HarError(f"{name} is empty; is a variable not set?")
        if "-" in texts and _is_no_stream(parameter):
            raise HarError(f"{name} takes no -, which is a stream; one called so is ./-")


def _is_place(parameter: Any) -> bool:
    return _is_no_stream(parameter) or parameter.metavar in _FILES


def _is_no_stream(parameter: Any) -> bool:
    return parameter.type.name == "path" or parameter.metavar in _NO_STREAMS


def check_address(engine: Engine, address: str | None) -> None:
    """Refuse the address of a cluster that is not asked for.

    Raises
    ------
    typer.BadParameter
    """
    if address is not None and engine is not Engine.RAY:
        raise typer.BadParameter("--address goes with --engine ray.")
