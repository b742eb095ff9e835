"""A labelled folder of photographs: reading its table and finding what it lists."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from har_core.dataset.cells import Cells, read_cells
from har_core.dataset.columns import Columns, choose_columns, doubt_about_labels
from har_core.dataset.embedded import describe_inside
from har_core.dataset.files import (
    PHOTO_FOLDER,
    DatasetFiles,
    find_dataset,
    folders_unread,
    links_refused,
    may_follow_links,
    name_of_file,
    no_photographs,
)
from har_core.dataset.layouts import ClassFolders, Layout, TableSource, find_layout
from har_core.dataset.names import MISSING, match_names, split_of_folder
from har_core.errors import DatasetError, some_of
from har_core.storage.names import real_path
from har_core.storage.paths import is_file


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset's folder, read.

    Parameters
    ----------
    folder : Path
        Absolute.
    tables : tuple of Path
        Empty where folders are the labels.
    rows : DataFrame
        One per row of the tables, in their order: ``filename`` (relative to the folder; of
        photographs directly in ``train/`` the base name), ``label`` (surrounding spaces removed;
        ``""`` where there is none), ``path`` (absolute; None where there is no such photograph),
        ``problem`` (why, else ``""``), and ``split`` where the folders say it.
    records : DataFrame
        The same rows as the tables have them: every column under its own heading.
    columns : dict
        ``"filename"`` and, in a labelled dataset, ``"label"``: their headings in `records`.
    labelled : bool
        Whether there are labels at all.
    unlisted : dict of str to str
        Filename to path of further photographs beside the listed ones.
    notes : tuple of str
        What was assumed, for people; a sentence each.
    missing : str
        Why there are no photographs at all, ``""`` if there are.
    choices : tuple of str
        Names of the tables that fit as well as the one that was read, that one included.
    """

    folder: Path
    tables: tuple[Path, ...]
    rows: pd.DataFrame
    records: pd.DataFrame
    columns: Mapping[str, str]
    labelled: bool
    unlisted: Mapping[str, str]
    notes: tuple[str, ...] = ()
    missing: str = ""
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the folder, for messages."""
        return str(self.folder)

    @property
    def table(self) -> pd.DataFrame:
        """`records` as a table to work on, with `rows`' names.

        The columns of filenames and labels are called ``filename`` and ``label``; `columns` gives
        them back their headings, see `har_core.dataset.decisions.labels_csv`.
        """
        roles = {heading: role for role, heading in self.columns.items()}
        kept = [h for h in self.records if h in roles or h not in ("filename", "label")]
        table = self.records[kept].rename(columns=roles)
        return table.assign(filename=self.rows["filename"], label=self.rows["label"])

    @cached_property
    def sources(self) -> tuple[Path, ...]:
        """What decides about the rows: tables and the folders that photographs lie in or below."""
        # Making 100,000 Paths takes a second.
        paths = self.rows["path"].dropna()
        root = str(self.folder)
        folders = {os.path.dirname(real_path(path)) for path in paths} or {root}  # noqa: PTH120
        for folder in tuple(folders):  # one around them tells of a new class
            outer = os.path.dirname(folder)  # noqa: PTH120
            while outer.startswith(root + os.sep) and outer not in folders:
                folders.add(outer)
                outer = os.path.dirname(outer)  # noqa: PTH120
        return (*self.tables, *map(Path, sorted(folders)))


Location: TypeAlias = str | Path | Dataset


def open_dataset(
    folder: Location,
    csv: str | Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    follow_links: bool | None = None,
    photographs_needed: bool = True,
) -> Dataset:
    """Read a dataset's folder in any layout that `har_core.dataset.layouts.find_layout` knows.

    Parameters
    ----------
    folder : str, Path or Dataset
        One that is open already is returned.
    csv : str or Path, optional
        Another table for the same photographs, e.g. an exported cleaned one.
    columns : mapping, optional
        Headings of ``"filename"`` and ``"label"``, see `har_core.dataset.columns.parse_columns`.
    follow_links : bool, optional
        Follow links that lead out of the folder. Only for a folder that the operator named.
        Default: see `har_core.dataset.files.may_follow_links`.
    photographs_needed : bool, default True
        Refuse a table none of whose photographs is there.

    Raises
    ------
    DatasetError
        If the folder or table is missing, cannot be read or has another layout.
    """
    if isinstance(folder, Dataset):
        return folder
    root = find_dataset(folder)
    if follow_links is None:
        follow_links = may_follow_links(root)
    files = DatasetFiles(root, follow_links=follow_links)
    try:
        layout = find_layout(files, _find_table(files.root, csv), columns)
    except DatasetError as error:
        if csv is None and (inside := describe_inside(files)):
            raise DatasetError(inside) from error
        raise
    if not layout.tables and layout.classes is not None:
        return _of_folders(files, layout, layout.classes)
    parts = [_read_part(files, source, columns) for source in layout.tables]
    for part in parts:
        if layout.classes is not None and not part.labelled:
            known = layout.classes.labels
            part.rows["label"] = [known.get(file, "") for file in part.rows["file"]]
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    headings: dict[str, str] = {}
    for part in parts:
        headings = part.columns | headings
    records = pd.concat(_under_one_heading(parts, headings), ignore_index=True).fillna("")
    folders = rows["file"].fillna("").str.rpartition("/")[0]
    rows["split"] = rows["split"].mask(rows["split"].eq(""), folders.map(split_of_folder))
    splits = rows.loc[rows["file"].notna(), "split"]
    if splits.nunique() < 2 or splits.eq("").any():
        rows = rows.drop(columns="split")
        splits = splits.head(0)
    unlisted = _unlisted(files, rows["file"].dropna(), layout.tables)
    notes = [layout.note, *(note for part in parts for note in part.notes)]
    notes += [links_refused(files), folders_unread(files)]
    if len(splits):
        notes.append(f"The splits are those of the folders: {some_of(sorted(set(splits)))}.")
    missing = ""
    if not unlisted and rows["problem"].eq(MISSING).all():
        missing = no_photographs(files, layout.tables[0].photo_folder)
        if photographs_needed:
            raise DatasetError(missing)
    return Dataset(
        files.root,
        tuple(source.path for source in layout.tables),
        rows.drop(columns="file"),
        records,
        headings,
        layout.classes is not None or any(part.labelled for part in parts),
        unlisted,
        tuple(dict.fromkeys(filter(None, notes))),
        missing,
        layout.choices,
    )


def _find_table(root: Path, csv: str | Path | None) -> Path | None:
    """Return a table's path: as it is given, or else in the dataset's folder."""
    if csv is None:
        return None
    inside = root / csv
    return inside if not is_file(csv) and is_file(inside) else Path(csv)


def load_dataset(folder: Location, csv: str | Path | None = None) -> pd.DataFrame:
    """Read a dataset's rows: ``train.csv`` and the photographs in ``train/``, or another layout.

    Parameters
    ----------
    folder : str, Path or Dataset
        See `open_dataset`.
    csv : str or Path, optional
        Another table for the same photographs, e.g. an exported cleaned one.

    Returns
    -------
    DataFrame
        `Dataset.rows`.

    Raises
    ------
    DatasetError
        If the folder or table is missing or has another layout, or there are no labels.
    """
    dataset = open_dataset(folder, csv)
    if not dataset.labelled:
        names = ", ".join(dataset.records.columns[:12])
        raise DatasetError(
            f"{dataset.tables[0]} lacks the column label; it has {names}. Without labels its "
            "photographs can be predicted and scanned only; or say which column it is: --columns "
            "label=HEADING"
        )
    return dataset.rows


def read_table(
    csv: str | Path | BytesIO,
    *,
    may_be_empty: bool = False,
    may_lack_labels: bool = False,
    columns: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read a table with all its columns, as they are but for ``filename``.

    Parameters
    ----------
    csv : str, Path or BytesIO
        A table that `har_core.dataset.cells.read_cells` reads, with a column of filenames and one
        of labels.
    may_be_empty : bool
        Take a table without rows, too.
    may_lack_labels : bool
        Take a table without a column of labels, too.
    columns : mapping of str to str, optional
        ``"filename"`` and ``"label"`` to the headings to take for these.

    Returns
    -------
    table : DataFrame
        All columns str, nameless ones left out. The columns of filenames and labels, however they
        are headed, are ``filename`` (as listed, with ``/``, without ``train/``) and ``label``.
    columns : dict of str to str
        ``"filename"`` and, if there is one, ``"label"`` to the headings of these.

    Raises
    ------
    DatasetError
        If the file cannot be read, has no rows, lacks one of the columns or has one twice, or if a
        row has more fields than the first line.
    """
    cells, found, _ = _read_cells(csv, columns, may_be_empty=may_be_empty)
    headings = list(cells.headings)
    if found.label is None and not may_lack_labels:
        name = "The table" if isinstance(csv, BytesIO) else str(csv)
        raise DatasetError(
            f"{name} lacks the column label; it has {', '.join(filter(None, headings))}. The first "
            "line must be: filename,label"
        )
    places = {"filename": found.filename}
    if found.label is not None:
        places["label"] = found.label
    chosen = {role: headings[place] for role, place in places.items()}
    for role, place in places.items():
        headings[place] = role
    values = cells.values.copy()
    values.columns = pd.Index(headings)
    table = values.loc[:, [bool(heading) for heading in headings]]
    return table.assign(filename=table["filename"].map(_plain_name)), chosen


@dataclass(frozen=True, eq=False)
class _Part:
    rows: pd.DataFrame
    records: pd.DataFrame
    columns: dict[str, str]
    labelled: bool
    notes: list[str]


def _read_part(
    files: DatasetFiles, source: TableSource, columns: Mapping[str, str] | None
) -> _Part:
    cells, found, notes = _read_cells(source.path, columns)
    listed = list(cells.values[found.filename])
    matches = match_names(listed, files, source.home, source.photo_folder)
    rows = pd.DataFrame(
        {
            "filename": [
                name_of_file(file, files) if file else _plain_name(name)
                for file, name in zip(matches.files, listed, strict=True)
            ],
            "label": "" if found.label is None else cells.values[found.label].str.strip(),
        }
    )
    paths = [files.path(file) if file else None for file in matches.files]
    rows["path"] = pd.Series(paths, dtype=object)  # a str column would turn None into NaN
    rows["problem"] = matches.problems
    rows["split"] = source.split
    rows["file"] = pd.Series(matches.files, dtype=object)
    records = cells.values.copy()
    records.columns = pd.Index(cells.headings)
    records = records.loc[:, [bool(heading) for heading in cells.headings]]
    headings = {"filename": cells.headings[found.filename]}
    if found.label is not None:
        headings["label"] = cells.headings[found.label]
    name = source.path.name
    said = [f"{name}: {note}" for note in (*notes, *matches.notes)]
    return _Part(rows, records, headings, found.label is not None, said)


def _under_one_heading(parts: Sequence[_Part], headings: Mapping[str, str]) -> list[pd.DataFrame]:
    """Return the records of all tables, what is the same under the heading that the first has."""
    known: dict[str, str] = {}
    found = []
    for part in parts:
        roles = {h: headings[role] for role, h in part.columns.items()}
        others = {h: known.get(h.lower(), h) for h in part.records if h not in roles}
        others = {h: name for h, name in others.items() if name not in roles.values()}
        found.append(part.records[[h for h in part.records if h in roles or h in others]])
        found[-1] = found[-1].rename(columns=roles | others)
        known |= {h.lower(): h for h in found[-1]}
    return found


def _read_cells(
    csv: str | Path | BytesIO, columns: Mapping[str, str] | None, *, may_be_empty: bool = False
) -> tuple[Cells, Columns, list[str]]:
    source = csv if isinstance(csv, BytesIO) else Path(csv)
    name = "The table" if isinstance(csv, BytesIO) else str(csv)
    cells = read_cells(source, name)
    found = choose_columns(cells.headings, name, columns)
    if cells.values.empty and not may_be_empty:
        raise DatasetError(f"{name} has no rows.")
    guessed = (cells.note, found.note, doubt_about_labels(cells.headings, found, cells.values))
    return cells, found, [f"{note}." for note in guessed if note]


def _plain_name(listed: str) -> str:
    """Call a listed photograph as `name_of_file` would if it were there."""
    path = listed.strip().replace("\\", "/").removeprefix("./")
    folder, _, name = path.rpartition("/")
    return name if folder == PHOTO_FOLDER else path


def _of_folders(files: DatasetFiles, layout: Layout, classes: ClassFolders) -> Dataset:
    listed = sorted(classes.labels)
    rows = pd.DataFrame(
        {
            "filename": [name_of_file(file, files) for file in listed],
            "label": [classes.labels[file].strip() for file in listed],
        }
    )
    rows["path"] = pd.Series([files.path(file) for file in listed], dtype=object)
    rows["problem"] = ""
    if classes.splits:
        rows["split"] = [classes.splits[file] for file in listed]
    notes = tuple(filter(None, (layout.note, links_refused(files), folders_unread(files))))
    records = pd.DataFrame({"filename": listed, "label": rows["label"]})
    headings = {"filename": "filename", "label": "label"}
    return Dataset(files.root, (), rows, records, headings, True, {}, notes)


def _unlisted(
    files: DatasetFiles, listed: pd.Series, tables: tuple[TableSource, ...]
) -> dict[str, str]:
    """Find photographs that no row lists in the folders that the listed ones lie in."""
    folders = set(listed.str.rpartition("/")[0]) if len(listed) else set()
    folders |= {source.photo_folder for source in tables} - {""}
    known = set(listed)
    found = {}
    for folder in sorted(folders):
        for name in sorted(files.photographs(folder)):
            file = f"{folder}/{name}" if folder else name
            if file not in known:
                found[name_of_file(file, files)] = files.files(folder)[name]
    return found
