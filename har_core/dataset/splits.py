"""Which photograph is in which split, and what leaks from one into another."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from har_core.dataset.names import split_of_word
from har_core.dataset.table import Dataset
from har_core.errors import DatasetError, LabelsError, some_of
from har_core.wording import counted

SPLITS: Final = ("train", "validation", "test")
# A group that is in several counts for the first of them: what measures a model is not learned.
PRECEDENCE: Final = ("test", "validation", "train")
SEVERAL_SPLITS: Final = " + "  # as `har_core.model.records.match_splits` joins them


def check_labels(
    labels: Sequence[str] | np.ndarray, groups: Sequence[int] | np.ndarray | None = None
) -> tuple[str, ...]:
    """Return the sorted class names of a training table.

    Parameters
    ----------
    labels : sequence of str, length N
        Class of each photograph.
    groups : sequence of int, length N, optional
        Near-duplicate group of each: a burst of twenty copies is one photograph to a split.

    Raises
    ------
    LabelsError
        If a label is empty, there is a single class, or a class has too few photographs that
        differ to be in every split.
    """
    counts = pd.Series(labels).value_counts()
    if "" in counts.index:
        # Of a table without any label it leaves no row out.
        cleaned = ", as --cleaned does" if len(counts) > 1 else ""
        raise LabelsError(
            f"{counted(int(counts['']), 'row has', 'rows have')} an empty label; "
            f"fill it in or leave the row out{cleaned}."
        )
    if len(counts) < 2:
        raise LabelsError(
            f"All photographs have the label {counts.index[0]!r}; training needs two classes."
        )
    if groups is not None:
        table = pd.DataFrame({"label": np.asarray(labels, dtype=object), "group": groups})
        counts = table.groupby("label")["group"].nunique()
    small = counts[counts < len(SPLITS)]
    if len(small):
        classes = some_of(f"{name!r} ({n})" for name, n in small.items())
        alike = " that are no near duplicates of each other" if groups is not None else ""
        raise LabelsError(
            f"Too few usable photographs{alike} for a training, validation and test split: "
            f"{classes}; each class needs {len(SPLITS)}."
        )
    return tuple(sorted(counts.index))


def stratified_group_split(
    labels: Sequence[str] | np.ndarray,
    groups: Sequence[int] | np.ndarray,
    *,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """Split into train, validation and test so that no group is in two of them.

    Each class is dealt out by itself: its largest group goes to training; of the others, drawn in
    random order, those go to the test split whose sizes add up to as near its share as they can,
    then the same for validation. A group with several labels is dealt with the one that has the
    fewest groups.

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
        all three; `check_labels` refuses smaller ones.

    Raises
    ------
    DatasetError
        If a class misses a split because all its near duplicates carry other labels.

    See Also
    --------
    har_core.dataset.duplicates.duplicate_groups : makes the groups.
    """
    names, label_of = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    size = np.bincount(group_of)
    label_of_pair, group_of_pair = np.unique(np.stack([label_of, group_of]), axis=1)
    n_groups = np.bincount(label_of_pair)
    # The rarest label of a group deals it out: the others have more groups to be dealt.
    rarest_first = np.argsort(n_groups, kind="stable")
    rank = np.full(len(size), len(names))
    np.minimum.at(rank, group_of_pair, np.argsort(rarest_first)[label_of_pair])
    owner = rarest_first[rank]
    rng = np.random.default_rng(seed)
    split_of_group = np.full(len(size), "train", dtype=f"U{max(map(len, SPLITS))}")
    for label in range(len(names)):
        left = rng.permutation(np.flatnonzero(owner == label))
        n_photographs = int(size[left].sum())
        left = np.delete(left, size[left].argmax()) if len(left) else left
        for split, share, reserved in (("test", test, 1), ("validation", validation, 0)):
            chosen = _choose_groups(size[left], round(share * n_photographs), reserved)
            split_of_group[left[chosen]] = split
            left = np.delete(left, chosen)
    split_of = split_of_group[group_of]
    absent = [
        f"{str(names[label])!r} ({split})"
        for split in SPLITS
        for label in np.flatnonzero(n_groups >= len(SPLITS))
        if not (split_of[label_of == label] == split).any()
    ]
    if absent:
        raise DatasetError(
            f"Some classes cannot be in every split: {some_of(absent)} would have no photograph, "
            "because their near duplicates carry other labels. Settle those labels first."
        )
    return split_of


def _choose_groups(sizes: np.ndarray, wanted: int, reserved: int) -> list[int]:
    """Return positions of groups whose sizes add up to as near `wanted` as they can, at least one.

    The earliest groups that do are taken; the last `reserved` ones are left over.
    """
    sizes = sizes[: max(len(sizes) - reserved, 0)]
    if not len(sizes):
        return []
    wanted = max(wanted, 1)
    # The group that completes each sum first. One sum beyond what is wanted may be the nearest;
    # further ones never are.
    completed_by = np.full(wanted + sizes.max(), -1)
    for position, size in enumerate(sizes):
        sums = np.r_[0, np.flatnonzero(completed_by[:wanted] >= 0)] + size
        completed_by[sums[completed_by[sums] < 0]] = position
        if completed_by[wanted] >= 0:
            break
    reached = np.flatnonzero(completed_by >= 0)
    total = reached[np.abs(reached - wanted).argmin()]
    chosen = []
    while total:
        chosen.append(int(completed_by[total]))
        total -= sizes[chosen[-1]]
    return chosen


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
        where folders say it. Variants are made one: ``Val`` and ``dev`` are ``validation``. A
        photograph that rows put in several is in ``"test + train"``.
    """
    columns = {"filename": dataset.rows["filename"]}
    if "split" in dataset.rows:
        columns["folder"] = dataset.rows["split"]
    for heading in dataset.records.columns.drop(list(dataset.columns.values())):
        words = dataset.records[heading].str.strip()
        splits = words.map(split_of_word)
        if (splits.ne("") | words.eq("")).all() and splits[splits.ne("")].nunique() >= 2:
            columns[heading.lower()] = splits
    table = pd.DataFrame(columns)
    once = table.drop_duplicates("filename").set_index("filename")
    repeated = table[table["filename"].duplicated(keep=False)]
    for column in once if len(repeated) else ():
        of_name = repeated.groupby("filename")[column].agg(_joined)
        once.loc[of_name.index, column] = of_name
    return once.reset_index()


def _joined(splits: pd.Series) -> str:
    return SEVERAL_SPLITS.join(sorted(set(splits) - {""}))


def splits_in(splits: pd.Series) -> list[str]:
    """Return the splits that occur, without ``""``: those of `SPLITS`, then what is in several."""
    found = set(splits.unique()) - {""}
    return [*(name for name in SPLITS if name in found), *sorted(found - set(SPLITS))]


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
    table: pd.DataFrame,
    recorded: pd.DataFrame | None,
    *,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """Split like an earlier model, so that what neither learns from can compare the two.

    Photographs are told by their sha256: wherever their labels have changed, each stays where it
    was. New ones join the split of their near duplicates, and are left out if these are in several:
    what is like a test photograph may not be learned from, nor the other way round. The rest is
    split anew.

    Parameters
    ----------
    table : DataFrame
        ``label``, ``sha256`` and ``duplicate_group`` of each photograph.
    recorded : DataFrame or None
        ``sha256`` and ``split`` of the earlier model; None splits all anew.
    validation, test, seed : float, float, int
        See `stratified_group_split`.

    Returns
    -------
    ndarray of str, shape (N,)
        ``"train"``, ``"validation"`` or ``"test"``; ``""`` for what is left out.
    """
    split = pd.Series("", index=table.index, dtype=object)
    torn = np.zeros(len(table), bool)
    if recorded is not None:
        ranks = {name: rank for rank, name in enumerate(PRECEDENCE)}
        known = recorded.assign(rank=recorded["split"].map(ranks)).sort_values("rank")
        rank = table["sha256"].map(known.drop_duplicates("sha256").set_index("sha256")["rank"])
        of_group = rank.groupby(table["duplicate_group"])
        first = of_group.transform("min")
        torn = (first.ne(of_group.transform("max")) & first.notna()).to_numpy()
        joined = rank.fillna(first.mask(torn))
        split = joined.map(dict(enumerate(PRECEDENCE))).fillna("").astype(object)
    new = split.eq("").to_numpy() & ~torn
    if new.any():
        rows = table[new]
        split[new] = stratified_group_split(
            rows["label"], rows["duplicate_group"], validation=validation, test=test, seed=seed
        )
    return split.to_numpy(dtype=str)


def leaking_groups(photographs: pd.DataFrame, split: pd.Series) -> pd.DataFrame:
    """Find photographs and duplicate groups that are in more than one split.

    Parameters
    ----------
    photographs : DataFrame
        ``filename``, ``label``, ``duplicate_group`` of a scan.
    split : Series of str
        Split of each, ``""`` for none; ``"test + train"`` for a photograph that is in both.

    Returns
    -------
    DataFrame
        ``duplicate_group`` (missing for a photograph without duplicates), ``filename``, ``label``,
        ``split`` of all photographs of those groups, by group; index as `photographs`.
    """
    if len(split) != len(photographs):
        raise DatasetError(f"{len(split)} splits for {len(photographs)} photographs.")
    rows = photographs[["duplicate_group", "filename", "label"]].assign(split=split)
    rows = rows[rows["split"].ne("")]
    crossing = rows.groupby("duplicate_group")["split"].transform("nunique").gt(1)
    crossing |= rows["split"].str.contains(SEVERAL_SPLITS, regex=False)
    return rows[crossing].sort_values("duplicate_group", kind="stable")
