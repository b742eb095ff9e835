"""Patterns of names, here and in buckets: ``*`` stays within a folder, ``**`` does not."""

import fnmatch
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from har_core.storage.paths import is_folder, real

Failed = Callable[[str, OSError], object]
Listed = Callable[[str], object]


class Entry(NamedTuple):
    """What a folder holds.

    Parameters
    ----------
    path : str
    is_folder : bool
        Or a link to one.
    info : object, optional
        What else the file system says of it.
    """

    path: str
    is_folder: bool
    info: Any = None


Inside = Callable[[str], Sequence[Entry]]


def matching(pattern: str, inside: Inside) -> Iterator[Entry]:
    """Yield what a pattern matches, folder by folder.

    Parameters
    ----------
    pattern : str
        Names between ``/``, of which one at least has `glob.has_magic`. Names that begin with a dot
        are matched only by such as do, too.
    inside : callable
        Returns what a folder holds, by its path; called once for each.
    """
    segments = pattern.split("/")
    n_fixed = next(i for i, segment in enumerate(segments) if glob.has_magic(segment))
    yield from _matching(inside, "/".join(segments[:n_fixed]), {tuple(segments[n_fixed:])})


def _matching(inside: Inside, folder: str, wanted: set[tuple[str, ...]]) -> Iterator[Entry]:
    """Yield what is in a folder and matches one of some rests of a pattern."""
    for segments in list(wanted):
        while segments[0] == "**" and len(segments) > 1:  # it stands for no folder, too
            segments = segments[1:]
            wanted.add(segments)
    for entry in inside(folder):
        name = entry.path.rpartition("/")[2]
        rests = set()
        for first, *rest in wanted:
            if name.startswith(".") and not first.startswith("."):
                continue
            if first == "**" and rest:
                rests.add((first, *rest))
            elif fnmatch.fnmatchcase(name, first):
                rests.add(tuple(rest))
        if () in rests:
            yield entry
            rests.remove(())
        if rests and entry.is_folder:
            yield from _matching(inside, entry.path, rests)


def matching_here(
    pattern: str, failed: Failed, listed: Listed = lambda folder: None
) -> Iterator[Entry]:
    """Yield what a pattern matches on this machine; links are followed, but not in circles.

    Parameters
    ----------
    pattern : str
        See `matching`.
    failed : callable
        Called with each folder that cannot be listed, and why. One that is not there is empty.
    listed : callable, optional
        Called with each of the others.
    """

    def inside(folder: str) -> list[Entry]:
        try:
            with os.scandir(folder or "/") as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return []
        except OSError as error:
            failed(folder, error)
            return []
        listed(folder)
        kinds = [(e, is_folder(e.path) if e.is_symlink() else e.is_dir()) for e in entries]
        return [
            Entry(entry.path, is_a_folder)
            for entry, is_a_folder in kinds
            if not (is_a_folder and entry.is_symlink() and _leads_up(entry.path))
        ]

    path = Path(pattern)
    yield from matching(str(path) if path.is_absolute() else f"./{path}", inside)


def _leads_up(link: str) -> bool:
    target = real(link)
    return any(real(folder).is_relative_to(target) for folder in Path(link).parents)
