"""Which files the arguments of a command mean."""

import glob
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from har_core.cli.datasets import TABLE_SUFFIXES, read_dataset
from har_core.errors import HarError
from har_core.images.formats import is_photograph_name
from har_core.images.listing import files_below
from har_core.images.signatures import identify_file
from har_core.storage.names import printable
from har_core.storage.paths import exists, is_file, is_folder
from har_core.storage.patterns import matching_here
from har_core.wording import counted


def find_photographs(
    arguments: Sequence[str], columns: str | None = None
) -> tuple[list[str], list[str]]:
    """Turn files, folders and patterns into files.

    Parameters
    ----------
    arguments : sequence of str
        A table stands for the photographs that it lists. In a folder, and in those below it,
        photographs are told by their names, other files by their content. ``-`` stays, and so does
        a file that does not exist: it fails later.
    columns : str, optional
        Of the tables, see `har_core.dataset.columns.parse_columns`.

    Returns
    -------
    photographs : list of str
    notes : list of str
        What was passed over in folders and by patterns, in whole sentences.

    Raises
    ------
    HarError
        If a folder holds no photograph or cannot be listed, or a pattern matches nothing.
    """
    photographs: list[str] = []
    notes: list[str] = []
    for argument in arguments:
        if "://" in argument and not exists(argument):
            uri = shlex.quote(argument)
            if argument.lower().startswith(("http://", "https://")):
                raise HarError(
                    f"{argument} is a web address, which is not fetched; download the photograph, "
                    f"or: curl -sL {uri} | har predict -"
                )
            raise HarError(
                f"{argument} is no path, and is not fetched; its photographs are answered for by: "
                f"har score {uri} --to FOLDER"
            )
        if argument != "-" and is_folder(argument):
            found, others = _in_folder(argument)
            if not found:
                raise HarError(
                    f"The folder {argument} holds no photographs{_listed(others, ': ')}."
                )
            if others:
                files = counted(
                    sum(others.values()),
                    "file that is no photograph",
                    "files that are no photographs",
                )
                notes.append(f"{argument}: passed over {files}{_listed(others, ' (', ')')}.")
        elif argument.lower().endswith(TABLE_SUFFIXES) and is_file(argument):
            found = _listed_in(Path(argument), columns)
        elif argument == "-" or is_file(argument) or not glob.has_magic(argument):
            found = [argument]
        else:
            found, unlisted = _matching(argument)
            if not found:
                raise HarError(" ".join([f"Nothing matches {argument}.", *unlisted]))
            notes += unlisted
        photographs += found
    return photographs, notes


def _listed_in(table: Path, columns: str | None) -> list[str]:
    """Return the photographs that a table lists; one that is missing stays and fails later."""
    dataset = read_dataset(table.parent, table, columns=columns)
    return [
        path or str(dataset.folder / filename)
        for filename, path in zip(dataset.rows["filename"], dataset.rows["path"], strict=True)
    ]


def _matching(pattern: str) -> tuple[list[str], list[str]]:
    """Return the files that a pattern matches, sorted, and which folders could not be listed."""
    unlisted: list[str] = []

    def failed(folder: str, error: OSError) -> None:
        unlisted.append(f"Cannot list {printable(Path(folder))}: {error.strerror or error}.")

    # All that is below, where a job would list the folders that it matches.
    pattern = f"{pattern}/*" if Path(pattern).name == "**" else pattern
    found = matching_here(pattern, failed)
    # Without the "./" of the present folder.
    return sorted(str(Path(entry.path)) for entry in found if is_file(entry.path)), unlisted


def _in_folder(folder: str) -> tuple[list[str], Counter[str]]:
    """Return the photographs in and below a folder, sorted, and how many other files there are."""
    photographs = []
    others: Counter[str] = Counter()
    for entry in files_below(folder):
        path = str(Path(entry.path))  # without the "./" of the present folder
        if not is_file(path):
            linked = entry.is_symlink()
            others["a link that leads nowhere" if linked else "a pipe or device"] += 1
            continue
        kind = None if is_photograph_name(path) else identify_file(path)
        if kind is None or kind.category == "readable":
            photographs.append(path)
        else:
            others[kind.description] += 1
    return sorted(photographs), others


def _listed(others: Counter[str], before: str, behind: str = "") -> str:
    if not others:
        return ""
    kinds = ", ".join(f"{n:,} × {kind}" for kind, n in others.most_common(4))
    return f"{before}{kinds}{', …' if len(others) > 4 else ''}{behind}"
