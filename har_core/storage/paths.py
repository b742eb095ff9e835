"""Asking about paths without an error: one that cannot even be looked at is simply not there.

`pathlib` raises where a name is too long, a folder must not be entered, links go in a circle or
``~somebody`` has no home, so that every question would need a ``try`` of its own.
"""

import os
from pathlib import Path

PathLike = str | os.PathLike[str]


def is_file(path: PathLike) -> bool:
    """Tell whether a path leads to a regular file."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: PathLike) -> bool:
    """Tell whether a path leads to a folder."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: PathLike) -> bool:
    """Tell whether a path leads to anything."""
    return os.path.exists(path)  # noqa: PTH110


def real(path: PathLike) -> Path:
    """Return the absolute path with ``~`` expanded and links followed, as far as that goes."""
    path = os.path.expanduser(path)  # noqa: PTH111
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a NUL is in it
        return Path(os.path.abspath(path))  # noqa: PTH100


def expanded(path: PathLike) -> Path:
    """Return the path with ``~`` expanded, and ``~somebody`` without a home as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111
