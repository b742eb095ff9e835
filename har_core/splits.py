"""Which photograph is in which split, and what leaks from one into another."""

from pathlib import Path
from typing import Final

import pandas as pd

from har_core.dataset import read_table
from har_core.errors import DatasetError

_SPLIT_OF_WORD: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_columns(csv: str | Path) -> pd.DataFrame:
    """Read the columns of a dataset's table that divide it into splits.

    Parameters
    ----------
    csv : str or Path
        E.g. a dataset's ``train.csv``.

    Returns
    -------
    DataFrame
        ``filename`` and every other column whose values are all names of splits (train,
        validation, test and their usual variants, or empty), at least two of them. Variants are
        made one: ``Val`` and ``dev`` are ``validation``.

    Raises
    ------
    DatasetError
        If the table cannot be read.
    """
    table = read_table(csv)
    columns = {"filename": table["filename"]}
    for column in table.columns.drop(["filename", "label"]):
        words = table[column].str.strip().str.lower()
        splits = words.map(_SPLIT_OF_WORD).fillna("")
        if words.isin(["", *_SPLIT_OF_WORD]).all() and splits[splits.ne("")].nunique() >= 2:
            columns[column] = splits
    return pd.DataFrame(columns).drop_duplicates("filename", ignore_index=True)


def leaking_groups(photographs: pd.DataFrame, split: pd.Series) -> pd.DataFrame:
    """Find duplicate groups whose photographs are in more than one split.

    Parameters
    ----------
    photographs : DataFrame
        ``filename``, ``label``, ``duplicate_group`` of a scan.
    split : Series of str
        Split of each, ``""`` for none.

    Returns
    -------
    DataFrame
        ``duplicate_group``, ``filename``, ``label``, ``split`` of all photographs of those groups,
        by group; index as `photographs`.
    """
    if len(split) != len(photographs):
        raise DatasetError(f"{len(split)} splits for {len(photographs)} photographs.")
    rows = photographs[["duplicate_group", "filename", "label"]].assign(split=split)
    rows = rows[rows["duplicate_group"].notna() & rows["split"].ne("")]
    crossing = rows.groupby("duplicate_group")["split"].transform("nunique").gt(1)
    return rows[crossing].sort_values("duplicate_group", kind="stable")
