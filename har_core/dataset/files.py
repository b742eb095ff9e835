"""The files below a dataset's folder, and the rule about links that lead out of it."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from har_core.errors import DatasetError
from har_core.images.formats import PHOTO_SUFFIXES, is_passed_over, is_photograph_name
from har_core.images.signatures import identify_file
from har_core.settings import DATASET, LINKED_DATASETS
from har_core.storage.names import printable, storable
from har_core.storage.paths import real

PHOTO_FOLDER: Final = "train"
DECISIONS_FILE: Final = "har_decisions.json"
_MAX_FOLDERS: Final = 20_000
# One may lie beside every photograph: to read them all would take long.
ANNOTATIONS: Final = (".txt", ".xml", ".json", ".csv")


def may_follow_links(folder: Path) -> bool:
    """Tell whether the operator vouches for the links in a dataset's folder.

    That is so for the folder in ``HAR_DATASET`` and for folders in or below those of
    ``HAR_LINKED_DATASETS``, which are separated as in ``PATH``. A folder that a visitor names is
    none of these, so its links are not followed out of it.
    """
    here = real(folder)
    if DATASET.value and here == real(DATASET.value):
        return True
    roots = filter(str.strip, LINKED_DATASETS.value.split(os.pathsep))
    return any(here.is_relative_to(real(root)) for root in roots)


class DatasetFiles:
    """The files of a dataset, listed one folder at a time and remembered.

    Hidden files and what systems leave behind (``Thumbs.db``) are passed over. A link counts as
    what it leads to if that is a regular file or a folder inside the dataset, or anywhere if
    `follow_links`.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    follow_links : bool
        Follow links that lead out of it, say into the cache of another program.

    Attributes
    ----------
    refused_links : list of str
        Links that were met and not followed, relative to `root`.
    """

    def __init__(self, root: Path, *, follow_links: bool) -> None:
        self.root = real(root)
        self.follow_links = follow_links
        self.refused_links: list[str] = []
        self.unreadable_folders: dict[str, str] = {}  # to the system's reason
        self._reachable: dict[str, dict[str, str]] = {}
        self._listed: dict[str, tuple[dict[str, str], list[str]]] = {}
        # Of all folders that are known; some names are only printable here.
        self._paths: dict[str, str] = {"": str(self.root)}

    def files(self, folder: str) -> dict[str, str]:
        """Return name to absolute path of the files directly in a folder.

        Parameters
        ----------
        folder : str
            Relative to the root, with ``/``; ``""`` for the root. One that does not exist holds
            nothing; of one that cannot be listed, `folders_unread` tells.
        """
        return self._list(folder)[0]

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder, sorted."""
        return self._list(folder)[1]

    def exists(self, folder: str) -> bool:
        """Tell whether there is such a folder in the dataset."""
        known = ""
        for part in () if folder in self._paths else folder.split("/"):
            self._list(known)
            known = f"{known}/{part}" if known else part
            if not part or known not in self._paths:
                return False
        return True

    def path(self, file: str) -> str | None:
        """Return the absolute path of a file, given relative to the root; None if it is none."""
        folder, _, name = file.rpartition("/")
        reachable = self._reachable.get(folder)
        if reachable is None:
            reachable = self.files(folder) if self.exists(folder) else {}
            self._reachable[folder] = reachable
        return reachable.get(name)

    def photographs(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder that are photographs."""
        return [name for name, path in self.files(folder).items() if _is_photograph(name, path)]

    def is_photograph(self, file: str) -> bool:
        """Tell whether a file that `walk` has yielded is a photograph."""
        folder, _, name = file.rpartition("/")
        return _is_photograph(name, self.files(folder)[name])

    def walk(self) -> Iterator[str]:
        """Yield every file below the root once, relative to it, by its own folder before links.

        Raises
        ------
        DatasetError
            If there are so many folders that it is hardly a dataset.
        """
        waiting, seen = [""], set()
        links: list[str] = []
        while waiting or links:
            folder = waiting.pop() if waiting else links.pop()
            here = os.path.realpath(self._paths[folder])
            if here in seen:  # a circle of links
                continue
            seen.add(here)
            if len(seen) > _MAX_FOLDERS:
                raise DatasetError(
                    f"{self.root} holds more than {_MAX_FOLDERS:,} folders; name the folder of the "
                    "dataset itself."
                )
            prefix = f"{folder}/" if folder else ""
            for name in self.files(folder):
                yield prefix + name
            for name in reversed(self.folders(folder)):
                is_link = os.path.islink(self._paths[prefix + name])  # noqa: PTH114
                (links if is_link else waiting).append(prefix + name)

    def _list(self, folder: str) -> tuple[dict[str, str], list[str]]:
        if folder not in self._listed:
            if not self.exists(folder):  # or behind a link that is not followed
                return {}, []
            files: dict[str, str] = {}
            folders: list[str] = []
            try:
                with os.scandir(self._paths[folder]) as entries:
                    for entry in entries:
                        if is_passed_over(entry.name):
                            continue
                        kind = self._kind(entry)
                        if kind == stat.S_IFREG:
                            files[printable(entry.name)] = storable(entry.path)
                        elif kind == stat.S_IFDIR:
                            name = printable(entry.name)
                            folders.append(name)
                            self._paths[f"{folder}/{name}" if folder else name] = entry.path
            except (OSError, ValueError) as error:
                self.unreadable_folders[folder] = getattr(error, "strerror", None) or str(error)
            self._listed[folder] = files, sorted(folders)
        return self._listed[folder]

    def _kind(self, entry: os.DirEntry[str]) -> int:
        """Return the type of a file as in ``stat``; 0 for what does not count."""
        try:
            if not entry.is_symlink():
                if entry.is_file(follow_symlinks=False):
                    return stat.S_IFREG
                return stat.S_IFDIR if entry.is_dir(follow_symlinks=False) else 0
            kind = stat.S_IFMT(entry.stat().st_mode)
            inside = Path(entry.path).resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):
            return 0  # a link to nothing, or a circle
        if inside or self.follow_links:
            return kind
        self.refused_links.append(printable(os.path.relpath(entry.path, self.root)))
        return 0


def _is_photograph(name: str, path: str) -> bool:
    """Tell by the name, or by the content of a file whose name says nothing."""
    if is_photograph_name(name):
        return True
    return not name.lower().endswith(ANNOTATIONS) and identify_file(path).category == "readable"


def find_dataset(folder: str | Path) -> Path:
    """Return a dataset's folder, ``~`` expanded.

    Raises
    ------
    DatasetError
        If it does not exist, or the system does not even let one ask: a name that is too long, a
        folder around it that must not be entered, ``~somebody`` without a home.
    """
    try:
        path = Path(folder).expanduser()
        is_folder = path.is_dir()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"There is no dataset folder {folder}: {reason}.") from error
    if not is_folder:
        is_file = path.is_file()
        hint = f" It is a file; name the folder that it is in: {path.parent}." if is_file else ""
        raise DatasetError(f"There is no dataset folder {path}.{hint}")
    return path


def find_photographs(folder: str | Path, filenames: Sequence[str]) -> list[str | None]:
    """Return the absolute paths of a dataset's photographs by what `name_of_file` calls them.

    Returns
    -------
    list of str or None
        None where there is none, also for a name that leads out of the folder.

    Raises
    ------
    DatasetError
        If there is no such folder.
    """
    root = find_dataset(folder)
    files = DatasetFiles(root, follow_links=may_follow_links(root))

    def find(filename: str) -> str | None:
        if "/" in filename:
            return files.path(filename.removeprefix("./"))
        return files.path(f"{PHOTO_FOLDER}/{filename}") or files.path(filename)

    return [find(filename) for filename in filenames]


def name_of_file(file: str, files: DatasetFiles) -> str:
    """Return what a file of a dataset is called: without the folder ``train/``, where it can be."""
    folder, _, name = file.rpartition("/")
    if folder == PHOTO_FOLDER:
        return name
    return f"./{name}" if not folder and name in files.files(PHOTO_FOLDER) else file


def links_refused(files: DatasetFiles) -> str:
    """Say which links were not followed, and what to do about it; ``""`` if all were."""
    if not files.refused_links:
        return ""
    n, first = len(files.refused_links), files.refused_links[0]
    which = f"The link {first} leads" if n == 1 else f"{n:,} links ({first}, …) lead"
    return (
        f"{which} out of the folder and {'is' if n == 1 else 'are'} not followed: name the dataset "
        "on the command line, or its folder in HAR_LINKED_DATASETS."
    )


def folders_unread(files: DatasetFiles) -> str:
    """Say which folders the system did not list, and what to do about it; ``""`` if it listed all.

    What lies in them is missing from the dataset.
    """
    if not files.unreadable_folders:
        return ""
    n, (first, reason) = len(files.unreadable_folders), next(iter(files.unreadable_folders.items()))
    which = f"The folder {first or files.root}" if n == 1 else f"{n:,} folders ({first}, …)"
    return (
        f"{which} cannot be listed ({reason}): what is in {'it' if n == 1 else 'them'} is missing "
        "here. Let the server read it and open the dataset again."
    )


def no_photographs(files: DatasetFiles, folder: str) -> str:
    """Say why a folder of a dataset holds no photographs."""
    where = files.root / folder
    if files.refused_links:
        return f"{where} holds no photographs that may be read: {links_refused(files)}"
    if files.unreadable_folders:
        return f"{where} holds no photographs that may be read: {folders_unread(files)}"
    if not files.exists(folder):
        return f"Cannot list the photographs' folder {where}: there is none."
    return f"{where} holds no photographs ({', '.join(PHOTO_SUFFIXES)})."
