"""A labelled folder of photographs: reading its table and splitting it without leaks."""

import os
from io import BytesIO
from pathlib import Path
from typing import Final

import pandas as pd

from har_core.errors import DatasetError
from har_core.images.decoding import PHOTO_SUFFIXES

CSV_FILE: Final = "train.csv"
PHOTO_FOLDER: Final = "train"


def load_dataset(folder: str | Path, csv: str | Path | None = None) -> pd.DataFrame:
    """Read a dataset folder: ``train.csv`` and the photographs in ``train/``.

    Parameters
    ----------
    folder : str or Path
        Holds ``train.csv`` (``filename,label``) and the folder ``train/``.
    csv : str or Path, optional
        Another table for the same photographs, e.g. an exported cleaned one.

    Returns
    -------
    DataFrame
        One row per row of the table, in its order: ``filename`` (base name), ``label``
        (surrounding spaces removed) and ``path`` (absolute; None where the photograph is missing
        or a link that leads out of the folder).

    Raises
    ------
    DatasetError
        If the folder or table is missing or has another layout.
    """
    folder = find_dataset(folder)
    csv = Path(csv) if csv is not None else folder / CSV_FILE
    # Listing comes first where there is a table: a huge one without photographs fails at once.
    photographs = list_photographs(folder) if os.path.isfile(csv) else {}  # noqa: PTH113
    table = read_labels(csv)
    paths = [photographs.get(name) for name in table["filename"]]
    table["path"] = pd.Series(paths, dtype=object)  # a str column would turn None into NaN
    return table


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
        raise DatasetError(f"There is no dataset folder {path}.")
    return path


def read_labels(csv: str | Path | BytesIO, *, strip: bool = True) -> pd.DataFrame:
    """Read a table of labels.

    Parameters
    ----------
    csv : str, Path or BytesIO
        UTF-8 CSV with the columns ``filename`` (any path; its base name counts) and ``label``;
        further columns are ignored.
    strip : bool, default True
        Remove spaces around labels; without it they can be shown and fixed.

    Returns
    -------
    DataFrame
        Columns ``filename`` and ``label``, both str; empty labels are ``""``.

    Raises
    ------
    DatasetError
        If the file cannot be read, has no rows, lacks one of the columns or has one twice, or if a
        row has more fields than the first line.
    """
    table = read_table(csv)
    label = table["label"].str.strip() if strip else table["label"]
    return pd.DataFrame({"filename": table["filename"], "label": label})


def read_table(csv: str | Path | BytesIO) -> pd.DataFrame:
    """Read a table of labels with all its columns, as they are but for ``filename``.

    Returns
    -------
    DataFrame
        All columns str, their names in lower case, nameless ones left out; ``filename`` holds base
        names.

    Raises
    ------
    DatasetError
        See `read_labels`.
    """
    source = csv if isinstance(csv, BytesIO) else Path(csv)
    name = "The table" if isinstance(csv, BytesIO) else str(csv)
    try:
        # With the names as its header pandas would take the first column for an index where rows
        # end in one comma more than the header.
        table = pd.read_csv(
            source, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except FileNotFoundError as error:
        raise DatasetError(
            f"There is no {name}; it must hold the columns filename,label."
        ) from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{name} cannot be read as UTF-8 CSV: {error}.") from error
    columns = [column.strip().lower() for column in table.iloc[0]]
    table = table.iloc[1:].reset_index(drop=True)
    table.columns = pd.Index(columns)
    repeated = sorted({column for column in columns if column and columns.count(column) > 1})
    if repeated:
        raise DatasetError(
            f"{name} has more than one column {' and '.join(repeated)}; keep one of each."
        )
    table = table.loc[:, [bool(column) for column in columns]]
    missing = [column for column in ("filename", "label") if column not in table.columns]
    if missing:
        raise DatasetError(
            f"{name} lacks the column {' and '.join(missing)}; it has "
            f"{', '.join(table.columns)}. The first line must be: filename,label"
        )
    if table.empty:
        raise DatasetError(f"{name} has no rows.")
    # Base names of both path styles: tables are often written on another system.
    filenames = table["filename"].str.strip().str.replace("\\", "/", regex=False)
    return table.assign(filename=filenames.str.rsplit("/", n=1).str[-1])


def list_photographs(folder: str | Path) -> dict[str, str]:
    """List the photographs of a dataset folder.

    Parameters
    ----------
    folder : str or Path
        Dataset folder; photographs are looked for directly in its ``train/``.

    Returns
    -------
    dict of str to str
        Base name to absolute path, of files with a photograph's suffix; links that lead out of
        the folder are left out.

    Raises
    ------
    DatasetError
        If ``train/`` is missing or holds no photograph.
    """
    return {
        name: path
        for name, path in list_files(folder).items()
        if name.lower().endswith(PHOTO_SUFFIXES)
    }


def list_files(folder: str | Path) -> dict[str, str]:
    """List the files in a dataset's ``train/`` whatever their suffix, as `list_photographs`.

    Raises
    ------
    DatasetError
        If ``train/`` is missing or holds no photograph.
    """
    photo_folder = find_dataset(folder).resolve() / PHOTO_FOLDER
    try:
        with os.scandir(photo_folder) as entries:
            files = {e.name: e.path for e in entries if _is_inside(e, photo_folder)}
    except OSError as error:
        raise DatasetError(
            f"Cannot list the photographs' folder {photo_folder}: {error.strerror}."
        ) from error
    if not any(name.lower().endswith(PHOTO_SUFFIXES) for name in files):
        raise DatasetError(f"{photo_folder} holds no photographs ({', '.join(PHOTO_SUFFIXES)}).")
    return files


def _is_inside(entry: os.DirEntry[str], folder: Path) -> bool:
    if not entry.is_symlink():
        return entry.is_file(follow_symlinks=False)
    target = Path(entry.path).resolve()
    return target.is_relative_to(folder) and target.is_file()
