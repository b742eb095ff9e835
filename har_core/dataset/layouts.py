"""How people lay out labelled photographs: where in a folder the labels are."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from har_core.dataset.cells import TABLE_SUFFIXES, read_headings
from har_core.dataset.columns import has_filenames, has_labels, without_headings
from har_core.dataset.files import (
    ANNOTATIONS,
    PHOTO_FOLDER,
    DatasetFiles,
    folders_unread,
    links_refused,
)
from har_core.dataset.names import split_of_folder, split_of_word
from har_core.errors import NoTableError, UnclearTableError, some_of
from har_core.images.formats import is_photograph_name
from har_core.wording import counted

CSV_FILE: Final = "train.csv"
# Of ImageFolder, as the library datasets reads it.
METADATA: Final = "metadata"
# Folders that say what is in them, as YOLO's train/images, where no other is beside them.
_ONLY_PHOTOGRAPHS: Final = frozenset(
    ("images", "image", "imgs", "img", "photos", "pictures", "jpegimages", "frames")
)
_HEADINGS_SHOWN: Final = 8
_JSON: Final = ".json"  # of annotations and settings, more often than of a table
# Of tables in other folders than the dataset's own.
_BELOW: Final = (".csv", ".tsv", ".jsonl")
_OWN_FAILURES: Final = {"filename", "error"}
_MOST_ELSEWHERE: Final = 100  # more are annotations, one for each photograph
OTHER_TABLES: Final = (".xlsx", ".xls", ".ods", ".csv.gz", ".csv.zip", ".ndjson", ".feather")
_OWN_RESULTS: Final = (
    {"is_unreadable_issue"},
    {"prediction", "confidence"},
    {"action_1"},
    {"action", "all_predictions"},
    {"decision", "new_label"},
)


@dataclass(frozen=True)
class TableSource:
    """One table of a dataset, and where its names are looked for.

    Parameters
    ----------
    path : Path
    home : str
        Its folder, relative to the dataset's.
    photo_folder : str
        Where names without a folder are looked for first.
    split : str
        Split of all its rows, ``""`` if it does not say.
    """

    path: Path
    home: str = ""
    photo_folder: str = PHOTO_FOLDER
    split: str = ""


@dataclass(frozen=True)
class ClassFolders:
    """Photographs whose labels are their folders' names.

    Parameters
    ----------
    labels : dict of str to str
        File, relative to the dataset's folder, to label.
    splits : dict of str to str
        File to split; empty where the folders name none.
    n_loose : int
        Photographs that lie in no class's folder.
    others : tuple of str
        Files in folders that are neither photographs nor annotations of these.
    """

    labels: Mapping[str, str]
    splits: Mapping[str, str]
    n_loose: int = 0
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Where a dataset's labels are.

    Parameters
    ----------
    tables : tuple of TableSource
        Empty where folders are the labels.
    classes : ClassFolders or None
        None where there are none, or tables have labels.
    note : str
        What was chosen, ``""`` for the usual layout.
    choices : tuple of str
        Names of the tables that fit, if there are several.
    """

    tables: tuple[TableSource, ...] = ()
    classes: ClassFolders | None = None
    note: str = ""
    choices: tuple[str, ...] = ()


def find_layout(
    files: DatasetFiles, table: Path | None = None, columns: Mapping[str, str] | None = None
) -> Layout:
    """Find where the labels of a dataset are.

    In this order: the given table; ``train.csv``; the only table with filenames and labels in the
    folder, under usual headings or those that `columns` names; ``metadata.csv`` or ``.jsonl`` in
    the folders of splits; one folder for each class; the only table with filenames alone; the only
    one with filenames and labels further down, or in ``.json``.

    Raises
    ------
    NoTableError
        If there is nothing of the kind.
    DatasetError
        If there is more than one.
    """
    if table is not None:
        return Layout((_source(files, table),))
    names = sorted(filter(_is_table_name, files.files("")))
    headings = {name: read_headings(Path(files.files("")[name])) for name in names}
    naming = [n for n, found in headings.items() if found and _names_photographs(found, columns)]
    fitting = [n for n in naming if has_labels(headings[n] or [], columns)]
    if CSV_FILE in names:
        others = [name for name in fitting if name != CSV_FILE]
        note = f"Using {CSV_FILE}; {some_of(others)} would fit, too (--table)." if others else ""
        choices = (CSV_FILE, *others) if others else ()
        return Layout((_source(files, files.root / CSV_FILE),), note=note, choices=choices)
    if len(fitting) > 1:
        raise UnclearTableError(
            f"Several tables in {files.root} have filenames and labels: {some_of(fitting)}. Say "
            f"which one, --table {fitting[0]}, or call it {CSV_FILE}.",
            tables=fitting,
        )
    if fitting:
        source = _source(files, files.root / fitting[0])
        return Layout((source,), note=f"Using {fitting[0]}; there is no {CSV_FILE}.")
    if metadata := list(_split_metadata(files)):
        note = f"Using {some_of(_relative(files, source.path) for source in metadata)}."
        return Layout(tuple(metadata), find_class_folders(files), note)
    unlabelled = [name for name in naming if name not in fitting]
    classes = find_class_folders(files) if not _is_flat(files) else None
    if classes and (not unlabelled or Path(unlabelled[0]).stem.lower() != METADATA):
        return Layout(classes=classes, note=_note(classes))
    if len(unlabelled) == 1:
        source = _source(files, files.root / unlabelled[0])
        return Layout((source,), classes, f"Using {unlabelled[0]}; there is no {CSV_FILE}.")
    if unlabelled:
        raise UnclearTableError(
            f"Several tables in {files.root} have filenames, none has labels: "
            f"{some_of(unlabelled)}. Say which one: --table {unlabelled[0]}",
            tables=unlabelled,
        )
    return _find_elsewhere(files, columns, {name: headings[name] or [] for name in names})


def _find_elsewhere(
    files: DatasetFiles, columns: Mapping[str, str] | None, headings: Mapping[str, list[str]]
) -> Layout:
    """Find the only table further down or in ``.json``; else say what there is instead."""
    found = _tables_elsewhere(files, columns)
    fitting = [file for file in found if has_labels(found[file], columns)]
    if len(fitting) == 1:
        source = _source(files, files.root / fitting[0])
        return Layout((source,), note=f"Using {fitting[0]}; there is no {CSV_FILE}.")
    if fitting:
        raise UnclearTableError(
            f"Several tables in and below {files.root} have filenames and labels: "
            f"{some_of(fitting)}. Say which one: --table {shlex.quote(fitting[0])}",
            tables=fitting,
        )
    message = _nothing_found(files, headings)
    if found:
        message = f"No column is known to hold the labels of {some_of(found)}. {message}"
    if columned := [
        name
        for name, there in headings.items()
        if len(there) > 1 and not any(map(is_photograph_name, there))
    ]:
        only = headings[columned[0]] if len(columned) == 1 else []
        raise UnclearTableError(message, tables=columned, headings=list(filter(None, only)))
    raise NoTableError(message)


def find_class_folders(files: DatasetFiles) -> ClassFolders | None:
    """Find photographs that lie in one folder for each class, below folders of splits or not.

    The class is the first folder below that of the split, so that a class may have folders of its
    own, as for the frames of a video.

    Returns
    -------
    ClassFolders or None
        None if there are fewer than two classes, or one without a split.
    """
    every = list(files.walk())
    folders = {file: file.split("/")[:-1] for file in every if files.is_photograph(file)}
    shared = _shared_folders(folders.values())
    below: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for file, parts in folders.items():
        inner = parts[shared:]
        at = next((n for n, part in enumerate(inner) if split_of_word(part)), None)
        if rest := inner if at is None else inner[at + 1 :]:
            below[file] = rest
            if at is not None:
                splits[file] = split_of_word(inner[at])
    if splits:  # what lies beside the folders of the splits is none of theirs
        below = {file: rest for file, rest in below.items() if file in splits}
    if splits and all(_is_repeated(splits[file], rest) for file, rest in below.items()):
        below = {file: rest[1:] for file, rest in below.items()}
    if {rest[0].casefold() for rest in below.values()} <= _ONLY_PHOTOGRAPHS:
        below = {file: rest[1:] for file, rest in below.items() if len(rest) > 1}
        splits = {file: split for file, split in splits.items() if file in below}
    labels = {file: rest[0] for file, rest in below.items()}
    if len(set(labels.values())) < 2 and not splits:
        return None
    if not labels:
        return None
    several = len(set(splits.values())) > 1
    beside = (file for file in every if "/" in file and file not in folders)
    others = tuple(file for file in beside if not file.lower().endswith(ANNOTATIONS))
    return ClassFolders(labels, splits if several else {}, len(folders) - len(labels), others)


def _is_repeated(split: str, rest: Sequence[str]) -> bool:
    """Tell whether a split's folder holds one of its own name: seg_train/seg_train/CLASS."""
    return len(rest) > 1 and split_of_word(rest[0]) == split


def _shared_folders(folders: Iterable[list[str]]) -> int:
    """Count the outer folders that all photographs share and that name no split."""
    every = list(folders)
    if not every:
        return 0
    first = every[0]
    n = 0
    while all(len(parts) > n + 1 and parts[n] == first[n] for parts in every):
        if split_of_word(first[n]):
            break
        n += 1
    return n


def _is_flat(files: DatasetFiles) -> bool:
    """Tell whether the usual layout only lacks its table."""
    return bool(files.photographs(PHOTO_FOLDER)) and not files.folders(PHOTO_FOLDER)


def _split_metadata(files: DatasetFiles) -> Iterable[TableSource]:
    for outer in ("", "data"):
        for name in files.folders(outer) if files.exists(outer) else ():
            home = f"{outer}/{name}" if outer else name
            if not split_of_word(name):
                continue
            for file in sorted(files.files(home)):
                if _is_metadata(file):
                    path = Path(files.files(home)[file])
                    yield TableSource(path, home, home, split_of_word(name))
                    break


def _source(files: DatasetFiles, table: Path) -> TableSource:
    """Say where a table's names are looked for: beside it, in the folder that it is named of."""
    try:
        home = table.absolute().parent.resolve().relative_to(files.root).as_posix()
    except (OSError, RuntimeError, ValueError):
        home = "."
    home = "" if home == "." else home
    words = table.stem.lower().replace("-", "_").replace(".", "_").replace(" ", "_").split("_")
    split = next(filter(None, map(split_of_word, words)), split_of_word(PHOTO_FOLDER))
    beside = [f"{home}/{name}" for name in files.folders(home)] if home else []
    folders = (
        folder
        for folder in (*sorted(beside, key=len), *sorted(files.folders(""), key=len))
        if split_of_word(folder.rpartition("/")[2]) == split
    )
    # The plainest, train before image_train.
    return TableSource(table, home, next(folders, PHOTO_FOLDER), split_of_folder(home))


def not_read(tables: Iterable[str]) -> str:
    """Say that there are tables in forms that are not read."""
    return f"Not read: {some_of(tables)}; save the table as CSV."


def is_label_table(path: Path) -> bool:
    """Tell whether a file is a table of photographs, and none of this program's results."""
    if not path.name.lower().endswith(TABLE_SUFFIXES):
        return False
    headings = read_headings(path)
    return headings is not None and _names_photographs(headings)


def is_table_by_name(path: Path) -> bool:
    """Tell whether a file is read as a dataset's table for its name, whatever is in it."""
    return path.name == CSV_FILE or (
        _is_metadata(path.name) and bool(split_of_word(path.absolute().parent.name))
    )


def _is_metadata(name: str) -> bool:
    return _is_table_name(name) and Path(name).stem.lower() == METADATA


def _is_table_name(name: str) -> bool:
    return name.lower().endswith(TABLE_SUFFIXES) and not name.lower().endswith(_JSON)


def _tables_elsewhere(
    files: DatasetFiles, columns: Mapping[str, str] | None
) -> dict[str, list[str]]:
    """Return the tables with filenames in the folders below or in JSON, and their headings."""
    others = [
        file
        for file in files.walk()
        if file.lower().endswith((_JSON, *_BELOW) if "/" in file else _JSON)
    ]
    if len(others) > _MOST_ELSEWHERE:
        return {}
    headings = {file: read_headings(Path(files.path(file) or "")) or [] for file in sorted(others)}
    return {file: found for file, found in headings.items() if _names_photographs(found, columns)}


def _names_photographs(headings: list[str], columns: Mapping[str, str] | None = None) -> bool:
    lowered = {heading.lower() for heading in headings}
    is_own = lowered == _OWN_FAILURES or any(own <= lowered for own in _OWN_RESULTS)
    return has_filenames(headings, columns) and not is_own


def _note(classes: ClassFolders) -> str:
    n = len(set(classes.labels.values()))
    note = f"There is no {CSV_FILE}: the labels are the names of {counted(n, 'folder')}"
    if classes.splits:
        counts = {
            s: list(classes.splits.values()).count(s) for s in ("train", "validation", "test")
        }
        note += f", the splits too ({', '.join(f'{k} {v:,}' for k, v in counts.items() if v)})"
    if classes.n_loose:
        are = "photograph in no such folder is", "photographs in no such folder are"
        note += f"; {counted(classes.n_loose, *are)} passed over"
    if classes.others:
        are = "file that is no photograph is", "files that are no photographs are"
        note += f"; {counted(len(classes.others), *are)} passed over ({classes.others[0]}"
        note += ", …)" if len(classes.others) > 1 else ")"
    return f"{note}."


def _nothing_found(files: DatasetFiles, headings: Mapping[str, list[str]]) -> str:
    names = list(headings)
    wanted = (
        "Also read: another table with such columns, or one folder of photographs for each class."
    )
    message = (
        f"There is no {files.root / CSV_FILE}; it must hold the columns filename,label. {wanted}"
    )
    if not names and not any(map(files.is_photograph, files.walk())):
        message = (
            f"The folder {files.root} holds neither photographs nor a table of them. A dataset has "
            f"{CSV_FILE}, with the columns filename,label, and a folder of photographs "
            f"({PHOTO_FOLDER}). {wanted}"
        )
    holding = {f.rpartition("/")[0].split("/")[0] for f in files.walk() if files.is_photograph(f)}
    if not names and len(holding) == 1 and not holding <= {"", PHOTO_FOLDER, *_ONLY_PHOTOGRAPHS}:
        message += f" All photographs are in one folder, {min(holding)}: labels take two or more."
    if unread := [name for name in files.files("") if name.lower().endswith(OTHER_TABLES)]:
        message += f" {not_read(unread)}"
    begun = {n: next(filter(is_photograph_name, found), "") for n, found in headings.items()}
    if any(begun.values()):
        message = " ".join(without_headings(n, first) for n, first in begun.items() if first)
    elif names:
        there = some_of(
            f"{name} ({', '.join(filter(None, found[:_HEADINGS_SHOWN])) or 'no headings'})"
            for name, found in headings.items()
        )
        chosen = f"--table {shlex.quote(names[0])} " if len(names) > 1 else ""
        message += (
            f" No column is known to hold filenames of {there}; say which one does: {chosen}"
            "--columns filename=HEADING,label=HEADING"
        )
    return " ".join(filter(None, (message, links_refused(files), folders_unread(files))))


def _relative(files: DatasetFiles, path: Path) -> str:
    return path.relative_to(files.root).as_posix()
