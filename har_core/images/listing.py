"""The photographs in a folder and in those below it, for every command that is given a folder."""

import os
from collections.abc import Callable, Iterator

from har_core.errors import HarError
from har_core.images.formats import is_passed_over, is_photograph_name
from har_core.images.signatures import identify_file
from har_core.storage.paths import is_file, is_folder

Told = Callable[[str, OSError | None], object]


def _raise(folder: str, error: OSError | None) -> None:
    if error is not None:
        raise HarError(f"Cannot list {folder}: {error.strerror or error}.") from error


def photographs_below(
    folder: str | os.PathLike[str], told: Told = _raise
) -> Iterator[os.DirEntry[str]]:
    """Yield the files of `files_below` that are photographs by their name or their content."""
    for entry in files_below(folder, told):
        # Asking a link may raise; asking what is none costs no call of the system.
        is_regular = is_file(entry.path) if entry.is_symlink() else entry.is_file()
        if is_regular and (
            is_photograph_name(entry.name) or identify_file(entry.path).category == "readable"
        ):
            yield entry


def files_below(folder: str | os.PathLike[str], told: Told = _raise) -> Iterator[os.DirEntry[str]]:
    """Yield all but folders in and below a folder, sorted; those of one folder are in memory.

    What systems leave behind is passed over, and links to folders are not followed.

    Parameters
    ----------
    folder : str or path
    told : callable, optional
        Called with each folder, and why it cannot be listed or None. Default: raises then.

    Raises
    ------
    HarError
        If a folder cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        told(os.fspath(folder), error)
        return
    told(os.fspath(folder), None)
    for entry in entries:
        if is_passed_over(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(entry.path, told)
        elif not (entry.is_symlink() and is_folder(entry.path)):
            yield entry
