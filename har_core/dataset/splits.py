"""Which photograph is in which split, and what leaks from one into another."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from har_core.dataset.names import split_of_word
from har_core.dataset.table import Dataset
from har_core.errors import DatasetError

SPLITS: Final = ("train", "validation", "test")
SEVERAL_SPLITS: Final = " + "  # as `har_core.model.records.match_splits` joins them


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the sorted class names of a training table.

    Raises
    ------
    DatasetError
        If a label is empty, there is a single class, or a class is too small to split.
    """
    counts = pd.Series(labels).value_counts()
    if "" in counts.index:
        raise DatasetError(
            f"{counts['']} rows have an empty label; fill them in or remove those rows."
        )
    if len(counts) < 2:
        raise DatasetError(
            f"All photographs have the label {counts.index[0]!r}; training needs two classes."
        )
    small = counts[counts < len(SPLITS)]
    if len(small):
        listed = ", ".join(f"{name!r} ({n})" for name, n in small.items())
        raise DatasetError(
            f"Too few usable photographs for a training, validation and test split: {listed}; "
            f"each class needs {len(SPLITS)}."
        )
    return tuple(sorted(counts.index))


def stratified_group_split(
    labels: Sequence[str],
    groups: Sequence[int] | np.ndarray,
    *,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """Split into train, validation and test so that no group is in two of them.

    Each class is dealt out by itself: its groups are shuffled, then the first go to the test
    split until that has its share, the next to validation, the rest to training. A group with
    several labels is dealt with its most frequent one.

    Parameters
    ----------
    labels : sequence of str, length N
        Class of each photograph.
    groups : sequence of int, length N
        Near-duplicate group of each photograph.
    validation, test : float
        Shares of the photographs, in (0, 1); the rest is training.
    seed : int
        Makes the split repeatable.

    Returns
    -------
    ndarray of str, shape (N,)
        ``"train"``, ``"validation"`` or ``"test"``. Every class with at least three groups is in
        all three.

    See Also
    --------
    har_core.duplicates.duplicate_groups : makes the groups.
    """
    table = pd.DataFrame({"label": np.asarray(labels, dtype=object), "group": np.asarray(groups)})
    by_group = table.groupby("group")["label"].agg([lambda s: s.mode().iloc[0], "size"])
    by_group.columns = ["label", "size"]
    rng = np.random.default_rng(seed)
    split_of_group: dict[int, str] = {}
    for _, members in by_group.groupby("label", sort=True):
        order = members.iloc[rng.permutation(len(members))]
        wanted = {
            name: max(1, round(share * int(members["size"].sum())))
            for name, share in (("test", test), ("validation", validation))
        }
        for group, size in zip(order.index, order["size"], strict=True):
            name = next((n for n, left in wanted.items() if left > 0), "train")
            split_of_group[group] = name
            if name in wanted:
                wanted[name] -= size
    return table["group"].map(split_of_group).to_numpy(dtype=str)


def split_columns(dataset: Dataset) -> pd.DataFrame:
    """Return what divides a dataset into splits: columns of its table, or its folders.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    DataFrame
        ``filename`` and every further column whose values are all names of splits (train,
        validation, test and their usual variants, or empty), at least two of them; ``folder``
        where folders say it. Variants are made one: ``Val`` and ``dev`` are ``validation``.
    """
    columns = {"filename": dataset.rows["filename"]}
    if "split" in dataset.rows:
        columns["folder"] = dataset.rows["split"]
    for heading in dataset.records.columns.drop(list(dataset.columns.values())):
        words = dataset.records[heading].str.strip()
        splits = words.map(split_of_word)
        if (splits.ne("") | words.eq("")).all() and splits[splits.ne("")].nunique() >= 2:
            columns[heading.lower()] = splits
    return pd.DataFrame(columns).drop_duplicates("filename", ignore_index=True)


def rows_of_own_split(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the rows of one of the splits that a dataset's folders say.

    Parameters
    ----------
    table : DataFrame
        With the column ``split``.
    split : str
        One of `SPLITS`, or a usual variant such as ``val``.

    Raises
    ------
    DatasetError
        If there is none of that name.
    """
    chosen = table[table["split"] == (split_of_word(split) or split)]
    if chosen.empty:
        names = ", ".join(name for name in SPLITS if (table["split"] == name).any())
        raise DatasetError(f"There is no split {split!r}; the dataset's folders are {names}.")
    return chosen.reset_index(drop=True)


def inherited_split(
    table: pd.DataFrame, recorded: pd.DataFrame | None, *, seed: int = 0
) -> np.ndarray:
    """Split like an earlier model, so that what neither learns from can compare the two.

    Photographs are told by their sha256: wherever their labels have changed, each stays where it
    was. New ones join the split of their near duplicates, the test split before the others, as
    nothing that is like a test photograph may be learned from; the rest is split anew.

    Parameters
    ----------
    table : DataFrame
        ``label``, ``sha256`` and ``duplicate_group`` of each photograph.
    recorded : DataFrame or None
        ``sha256`` and ``split`` of the earlier model; None splits all anew.
    seed : int
        See `stratified_group_split`.

    Returns
    -------
    ndarray of str, shape (N,)
        ``"train"``, ``"validation"`` or ``"test"``.
    """
    split = pd.Series("", index=table.index, dtype=object)
    if recorded is not None:
        names = ("test", "validation", "train")  # the first of several wins
        ranks = dict(zip(names, range(3), strict=True))
        known = recorded.assign(rank=recorded["split"].map(ranks)).sort_values("rank")
        rank = table["sha256"].map(known.drop_duplicates("sha256").set_index("sha256")["rank"])
        of_group = rank.groupby(table["duplicate_group"]).transform("min")
        split = rank.fillna(of_group).map(dict(enumerate(names))).fillna("").astype(object)
    new = split.eq("").to_numpy()
    if new.any():
        rows = table[new]
        split[new] = stratified_group_split(rows["label"], rows["duplicate_group"], seed=seed)
    return split.to_numpy(dtype=str)


def leaking_groups(photographs: pd.DataFrame, split: pd.Series) -> pd.DataFrame:
    """Find duplicate groups whose photographs are in more than one split.

    Parameters
    ----------
    photographs : DataFrame
        ``filename``, ``label``, ``duplicate_group`` of a scan.
    split : Series of str
        Split of each, ``""`` for none; ``"test + train"`` for a photograph that is in both.

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
    crossing |= rows["split"].str.contains(SEVERAL_SPLITS, regex=False)
    return rows[crossing].sort_values("duplicate_group", kind="stable")
