"""Finding the files that a table lists, also where its names are not quite those of the files."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import unquote

from har_core.dataset.files import PHOTO_FOLDER, DatasetFiles
from har_core.dataset.slips import without_marks
from har_core.errors import some_of
from har_core.images.formats import PHOTO_SUFFIXES
from har_core.storage.paths import exists
from har_core.wording import counted

_SPLIT_OF_WORD: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# What people write around such a word: training_set, seg_train, train2017.
_AROUND_SPLIT: Final = re.compile(
    r"(?:(?:seg|images?|imgs?)[ _-])?([a-z]+?)(?:[ _-]?(?:set|data|dataset|images?|imgs?|\d{4}))?"
)
_ELSEWHERE: Final = re.compile(r"[A-Za-z]:|/|~")
_PLAIN: Final = re.compile(r"[\w-][\w. -]*")  # no folder in it
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_ONE_SUFFIX: Final = f"(?:{'|'.join(map(re.escape, PHOTO_SUFFIXES))})"
_SUFFIX: Final = re.compile(f"{_ONE_SUFFIX}$", re.IGNORECASE)
# Twice, as where a system hides the first.
_SUFFIXES: Final = re.compile(f"{_ONE_SUFFIX}+$", re.IGNORECASE)
_SHOWN: Final = 3

MISSING: Final = "missing"
_FilesByParts: TypeAlias = dict[tuple[str, ...], list[str]]

# What may differ between a listed name and its file, and how it is said.
_DIFFERENCES: Final[dict[str, Callable[[str], str]]] = {
    "escapes such as %20": unquote,
    "the Unicode form (NFC or NFD)": lambda name: unicodedata.normalize("NFC", name),
    "capital letters": str.casefold,
    "the suffix": lambda name: _SUFFIXES.sub("", name),
    # Spreadsheets take them from numbers.
    "leading zeros": lambda name: name.lstrip("0") or "0" if name.isdecimal() else name,
    # Windows puts one before a path that is copied from a file's properties.
    "marks that cannot be seen": without_marks,
}


@dataclass
class Matches:
    """Which file each listed name means.

    Parameters
    ----------
    files : list of str or None
        Relative to the dataset's folder; None where there is none.
    problems : list of str
        Why there is none, ``""`` where there is one.
    notes : list of str
        What had to be overlooked, in whole sentences.
    """

    files: list[str | None] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def split_of_word(word: str) -> str:
    """Return the split that a name such as ``Val`` or ``test_set`` means, ``""`` if none."""
    found = _AROUND_SPLIT.fullmatch(word.strip().casefold())
    return _SPLIT_OF_WORD.get(found[1], "") if found else ""


def split_of_folder(folder: str) -> str:
    """Return the split that a folder's path names, ``""`` if none."""
    return next(filter(None, map(split_of_word, folder.split("/"))), "")


def match_names(
    listed: Sequence[str], files: DatasetFiles, home: str = "", photo_folder: str = PHOTO_FOLDER
) -> Matches:
    """Find the files that a table lists.

    A path's folders count. Where they do not exist here (another machine's), the end of the path
    decides, or the base name, if that means one file and no other split's. A name that no file has
    means the one that differs only in suffix, capital letters, Unicode form or escapes, or else in
    what `relaxed` overlooks, if there is one and no other row means it.

    Parameters
    ----------
    listed : sequence of str
        Paths with either kind of slash, relative to the table, the dataset's folder or
        `photo_folder`, or of another machine.
    files : DatasetFiles
    home : str
        Folder of the table in the dataset; ``""`` for the dataset's own.
    photo_folder : str
        Where names without a folder are looked for first.

    Returns
    -------
    Matches
    """
    search = _Search(files, home, photo_folder)
    matches = Matches()
    wanted = [_parse(name, files) for name in listed]
    for name, (parts, elsewhere) in zip(listed, wanted, strict=True):
        found = None if elsewhere or not parts else search.directly(parts, _has_folder(name))
        matches.files.append(found)
        matches.problems.append("" if found else MISSING)
    unmatched = [row for row, file in enumerate(matches.files) if file is None]
    if unmatched:
        _match_loosely(listed, wanted, unmatched, search, matches)
    return matches


def _match_loosely(
    listed: Sequence[str],
    wanted: Sequence[tuple[list[str], bool]],
    unmatched: Sequence[int],
    search: "_Search",
    matches: Matches,
) -> None:
    moved: list[int] = []
    alike: dict[str, list[int]] = defaultdict(list)
    taken = {file for file in matches.files if file}
    for row in unmatched:
        parts, elsewhere = wanted[row]
        if not parts or _ADDRESS.match(listed[row].strip()):
            matches.problems[row] = "is a web address" if parts else "no filename"
            continue
        if elsewhere and search.files.follow_links and exists(listed[row].strip()):
            matches.problems[row] = "lies outside of the dataset's folder"
            continue
        found, problem = search.anywhere(parts, elsewhere, _same)
        if found:
            matches.files[row], matches.problems[row] = found, ""
            if len(parts) > 1:
                moved.append(row)
            continue
        for key in (_nearly_same, relaxed):
            if not (found or problem):
                found, problem = search.anywhere(parts, elsewhere, key, taken)
        if found:
            alike[found].append(row)
        matches.problems[row] = problem or MISSING
    moved_files = {matches.files[row] for row in moved}
    for file, rows in alike.items():
        if len({listed[row] for row in rows}) == 1 and file not in moved_files:
            for row in rows:
                matches.files[row], matches.problems[row] = file, ""
        else:
            for row in rows:
                matches.problems[row] = f"{MISSING} (other rows mean {file}, too)"
    matches.notes += _notes(listed, moved, alike, matches)


def _notes(
    listed: Sequence[str], moved: list[int], alike: dict[str, list[int]], matches: Matches
) -> list[str]:
    notes = []
    if moved:
        first = moved[0]
        notes.append(
            f"{counted(len(moved), 'name is', 'names are')} listed with folders that do "
            f"not exist here; the end of the path was used, e.g. "
            f"{matches.files[first]} for {listed[first].strip()}."
        )
    causes: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for file, rows in alike.items():
        for row in rows:
            if matches.files[row]:
                causes[_difference(listed[row], file)].append((listed[row].strip(), file))
    for cause, pairs in causes.items():
        name, file = pairs[0]
        notes.append(
            f"{counted(len(pairs), 'listed name differs', 'listed names differ')} from the files "
            f"in {cause}, e.g. {name} is {file}."
        )
    return notes


def _same(name: str) -> str:
    return name


def _nearly_same(name: str) -> str:
    """Return what names share that differ in less than `relaxed` overlooks."""
    return _SUFFIX.sub("", unicodedata.normalize("NFC", unquote(name)).casefold())


def relaxed(name: str) -> str:
    """Return what two names share that differ only in ways that copying and tools cause."""
    for change in _DIFFERENCES.values():
        name = change(name)
    return name


def _difference(listed: str, file: str) -> str:
    """Say in what the base names differ: each change without which they would still differ."""
    ends = [path.strip().replace("\\", "/").rsplit("/", 1)[-1] for path in (listed, file)]
    needed = []
    for cause in _DIFFERENCES:
        left, right = ends
        for other, change in _DIFFERENCES.items():
            if other != cause:
                left, right = change(left), change(right)
        if left != right:
            needed.append(cause)
    return " and ".join(needed) or "the spelling"


def _parse(listed: str, files: DatasetFiles) -> tuple[list[str], bool]:
    """Return a path's parts, and whether it is absolute or leads out of the dataset."""
    path = listed.strip()
    if _PLAIN.fullmatch(path):
        return [path], False
    root = f"{files.root}{os.sep}"
    if path.startswith(root):
        path = path[len(root) :]
    path = path.replace("\\", "/")
    elsewhere = bool(_ELSEWHERE.match(path))
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            elsewhere = elsewhere or not parts
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return parts, elsewhere


def _has_folder(listed: str) -> bool:
    """Tell whether a path names a folder: ``./a.jpg``, as `name_of_file` says, does, too."""
    return "/" in listed or "\\" in listed


class _Search:
    def __init__(self, files: DatasetFiles, home: str, photo_folder: str) -> None:
        self.files = files
        inner = [home] * bool(home)
        self._bases = [*inner, "", photo_folder]
        self._bases_of_names = [*inner, photo_folder, ""]
        self._indexes: dict[Callable[[str], str], tuple[_FilesByParts, _FilesByParts]] = {}
        self._deepest = 1  # parts of a file's path

    def directly(self, parts: list[str], has_folder: bool) -> str | None:
        """Find a file where the table says that it is."""
        name = "/".join(parts)
        for base in self._bases if has_folder else self._bases_of_names:
            file = f"{base}/{name}" if base else name
            if self.files.path(file):
                return file
        return None

    def anywhere(
        self,
        parts: list[str],
        elsewhere: bool,
        key: Callable[[str], str],
        taken: frozenset[str] | set[str] = frozenset(),
    ) -> tuple[str | None, str]:
        """Find the one file that a name can mean; else say why it is none, ``""`` for none."""
        by_path, by_end = self._index(key)
        keyed = [key(part) for part in parts]
        if not elsewhere:
            for base in self._bases if len(parts) > 1 else self._bases_of_names:
                path = [*map(key, base.split("/")), *keyed] if base else keyed
                found = [file for file in by_path.get(tuple(path), ()) if file not in taken]
                if found:
                    return _only(found)
        folder = "/".join(parts[:-1])
        split, bases = split_of_folder(folder), () if elsewhere else self._bases
        is_here = folder and any(self.files.exists(f"{b}/{folder}" if b else folder) for b in bases)
        # The longest end of the path that a file has; of a folder that is here, the file is not.
        for start in range(max(len(keyed) - self._deepest, 0), len(keyed)):
            found = [file for file in by_end.get(tuple(keyed[start:]), ()) if file not in taken]
            allowed = [file for file in found if not _is_other_split(file, split)]
            if allowed:
                return (None, "") if is_here else _only(allowed)
        return None, f"{MISSING} (only in another split: {_shown(found)})" if found else ""

    def _index(self, key: Callable[[str], str]) -> tuple[_FilesByParts, _FilesByParts]:
        """Return files by their whole paths, and by each end of these, of keyed parts."""
        if key not in self._indexes:
            by_path: _FilesByParts = defaultdict(list)
            by_end: _FilesByParts = defaultdict(list)
            for file in self.files.walk():
                parts = tuple(key(part) for part in file.split("/"))
                by_path[parts].append(file)
                self._deepest = max(self._deepest, len(parts))
                for start in range(len(parts)):
                    by_end[parts[start:]].append(file)
            self._indexes[key] = by_path, by_end
        return self._indexes[key]


def _only(found: list[str]) -> tuple[str | None, str]:
    if len(found) > 1:
        return None, f"several files fit: {_shown(found)}"
    return (found[0], "") if found else (None, "")


def _shown(files: list[str]) -> str:
    return some_of(sorted(files), _SHOWN)


def _is_other_split(file: str, split: str) -> bool:
    return bool(split) and split_of_folder(file.rpartition("/")[0]) not in ("", split)
