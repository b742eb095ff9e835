"""Turning a dataset folder into what training reads: pixels in one array, and the split."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from har_core.dataset.duplicates import groups_of, near_duplicate_pairs
from har_core.dataset.given_splits import left_out, split_of_folders
from har_core.dataset.splits import check_labels, inherited_split, stratified_group_split
from har_core.dataset.table import Location, load_dataset
from har_core.errors import DatasetError, LabelsError, some_of
from har_core.images.reading import Photograph, read_photographs
from har_core.model.fields import check_class_names
from har_core.model.loading import find_model
from har_core.model.records import read_lineage
from har_core.progress import Progress, silent
from har_core.storage.disk_arrays import make_disk_array
from har_core.training.run_folder import PIXELS_FILE
from har_core.wording import counted

STORED_SIZE: Final = 256
MAX_UNUSABLE_SHARE: Final = 0.05
_LISTED: Final = 20


@dataclass(frozen=True, eq=False)
class SplitDataset:
    """The usable photographs of a dataset, each in a split.

    Parameters
    ----------
    table : DataFrame
        One row per usable photograph: ``filename``, ``label``, ``path``, ``sha256`` (hex),
        ``duplicate_group`` (int), ``split``.
    skipped : DataFrame
        ``filename``, ``label``, ``reason`` of the rows that cannot be used.
    class_names : tuple of str
        Sorted.
    """

    table: pd.DataFrame
    skipped: pd.DataFrame
    class_names: tuple[str, ...]

    @property
    def label_indices(self) -> np.ndarray:
        """Class of each photograph as an index into `class_names`, int64, shape (N,)."""
        return pd.Index(self.class_names).get_indexer(self.table["label"])

    @property
    def fingerprint(self) -> str:
        """The sha256 over all filenames, labels and contents: changes when any of them does."""
        return dataset_fingerprint(self.table)

    @property
    def split_fingerprint(self) -> str:
        """The sha256 over all contents and the split of each: what is learned from may not move."""
        return _checksum(self.table[["sha256", "split"]].sort_values(["sha256", "split"]))

    @property
    def counts(self) -> dict[str, int]:
        """How many photographs each split has; those that are left out are not counted."""
        splits = self.table.loc[self.table["split"].ne(""), "split"]
        return {str(split): int(n) for split, n in splits.value_counts().items()}

    def rows_of(self, split: str) -> np.ndarray:
        """Return the row numbers of a split, ascending, int64."""
        return np.flatnonzero(self.table["split"].to_numpy() == split)


@dataclass(frozen=True, eq=False)
class PreparedDataset(SplitDataset):
    """A dataset whose usable photographs are decoded; see `SplitDataset`.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (N, 256, 256, 3)
        Row *i* belongs to row *i* of the table; mapped from disk.
    fingerprints : ndarray
        Of each photograph, see `har_core.images.fingerprints.fingerprint_image`.
    """

    pixels: np.ndarray
    fingerprints: np.ndarray


def dataset_fingerprint(table: pd.DataFrame) -> str:
    """Return the sha256 over all filenames, labels and contents: changes when any of them does."""
    return _checksum(table[["filename", "label", "sha256"]].sort_values(["filename", "sha256"]))


def _checksum(rows: pd.DataFrame) -> str:
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def prepare_dataset(
    folder: Location,
    store: str | Path,
    *,
    csv: str | Path | None = None,
    seed: int = 0,
    splits_of: str = "",
    shares: tuple[float, float] = (0.1, 0.1),
    progress: Progress = silent,
) -> PreparedDataset:
    """Decode every photograph once, find near duplicates and split by their groups.

    Parameters
    ----------
    folder : str, Path or Dataset
        Dataset folder, see `har_core.dataset.table.open_dataset`.
    store : str or Path
        Existing folder for the decoded pixels (197 KB per photograph).
    csv : str or Path, optional
        Table to use instead of the folder's ``train.csv``.
    seed : int
        Of the split.
    splits_of : str
        Name or path of a bundle whose split is kept.
    shares : tuple of float
        Of the photographs in the validation and in the test split.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    PreparedDataset

    Raises
    ------
    HarError
        If the disk is full.
    DatasetError
        See `rows_to_train_on`, `read_rows`, `check_labels` and `check_split`.
    """
    table = rows_to_train_on(folder, csv)
    shape = (len(table), STORED_SIZE, STORED_SIZE, 3)
    pixels = make_disk_array(Path(store) / PIXELS_FILE, shape, np.uint8)
    fingerprints: list[np.ndarray] = []
    hashes: list[str] = []

    def keep(photograph: Photograph) -> None:
        pixels[len(hashes)] = photograph.square
        fingerprints.append(photograph.fingerprint)
        hashes.append(photograph.sha256)

    skipped = read_rows(table, keep, "Reading photographs", progress)
    usable = table.drop(index=skipped.index).reset_index(drop=True)
    prints = np.stack(fingerprints)
    pairs, _ = near_duplicate_pairs(prints)
    usable["duplicate_group"] = groups_of(np.array(hashes), pairs)
    recorded = read_lineage(find_model(splits_of)) if splits_of else None
    usable["sha256"] = hashes
    split_anew = recorded is None and "split" not in usable
    class_names = check_labels(usable["label"], usable["duplicate_group"] if split_anew else None)
    check_no_class_lost(table["label"], class_names)
    split = split_dataset(
        usable, skipped, class_names, recorded, base=splits_of, seed=seed, shares=shares
    )
    if not len(split.rows_of("validation")):  # that bundle has learned from its own
        rows = split.table[split.table["split"] == "train"]
        apart = stratified_group_split(
            rows["label"], rows["duplicate_group"], validation=shares[0], seed=seed
        )
        split.table.loc[rows.index[apart == "validation"], "split"] = "validation"
    return PreparedDataset(split.table, split.skipped, class_names, pixels[: len(usable)], prints)


def split_dataset(
    usable: pd.DataFrame,
    skipped: pd.DataFrame,
    class_names: tuple[str, ...],
    recorded: pd.DataFrame | None,
    *,
    base: str,
    seed: int,
    shares: tuple[float, float] = (0.1, 0.1),
) -> SplitDataset:
    """Split photographs as the dataset's folders say and an earlier model did, or else anew.

    Parameters
    ----------
    usable : DataFrame
        ``filename``, ``label``, ``sha256``, ``duplicate_group``; ``split`` where folders say it.
    skipped, class_names
        See `SplitDataset`; photographs that would leak between splits are added to the skipped.
    recorded : DataFrame or None
        Splits of the earlier model.
    base : str
        Its name or path; ``""`` for none.
    seed, shares
        As of `prepare_dataset`.

    Raises
    ------
    DatasetError
        See `check_split`.
    """
    given = "split" in usable
    validation, test = shares
    split = (split_of_folders if given else inherited_split)(
        usable, recorded, validation=validation, test=test, seed=seed
    )
    table = usable.assign(split=split)
    skipped = pd.concat([skipped, left_out(table)])
    check_split(table, class_names, base, given=given)
    return SplitDataset(table, skipped, class_names)


def rows_to_train_on(folder: Location, csv: str | Path | None = None) -> pd.DataFrame:
    """Return the rows of a dataset, each once; see `har_core.dataset.table.load_dataset`.

    Raises
    ------
    DatasetError
        If the folder or table is unusable; a `LabelsError` if a filename is listed under two
        labels, or a label cannot be a class's name.
    """
    table = load_dataset(folder, csv).drop_duplicates(["filename", "label"], ignore_index=True)
    check_class_names(table["label"])
    repeated = table.loc[table["filename"].duplicated(), "filename"]
    if len(repeated):
        raise LabelsError(
            f"Photographs are listed under two labels: {some_of(repeated.unique(), 5)}; keep one "
            "row for each."
        )
    return table


def check_split(table: pd.DataFrame, class_names: Sequence[str], base: str, *, given: bool) -> None:
    """Refuse a split that nothing can be learned from or measured on.

    Parameters
    ----------
    table : DataFrame
        ``label`` and ``split``.
    class_names : sequence of str
    base : str
        Name or path of the bundle whose split is kept; ``""`` for none.
    given : bool
        Whether the dataset's folders say the rest.

    Raises
    ------
    LabelsError
        If a class has no photograph to learn from, or there is none to test on.
    """
    name = " and ".join(["the dataset's folders"] * given + [Path(base).name] * bool(base))
    anew = (
        f" Add some that {Path(base).name} has not seen, or train without --effort and --base, "
        f"which {'follows the folders alone' if given else 'splits anew'}."
        if base
        else ""
    )
    learned = set(table.loc[table["split"] == "train", "label"])
    lost = [class_name for class_name in class_names if class_name not in learned]
    if lost:
        raise LabelsError(
            f"No photograph of the class {some_of(map(repr, lost))} is left to learn from: all are "
            f"held out by {name}.{anew}"
        )
    if not (table["split"] == "test").any():
        raise LabelsError(
            f"No photograph is left to test on: none is held out for that by {name}.{anew}"
        )


def check_no_class_lost(labels: Iterable[str], class_names: Iterable[str]) -> None:
    """Raise `DatasetError` if a class of the table has no usable photograph."""
    lost = sorted(set(labels) - set(class_names))
    if lost:
        raise DatasetError(f"No usable photograph is left of the class {some_of(map(repr, lost))}.")


def read_rows(
    table: pd.DataFrame, keep: Callable[[Photograph], object], what: str, progress: Progress
) -> pd.DataFrame:
    """Read the photographs of a table, and refuse one of which too much cannot be used.

    Parameters
    ----------
    table : DataFrame
        From `rows_to_train_on`.
    keep : callable
        Called with each photograph that can be used, in the order of the table.
    what, progress : str and callable
        What is being done, and what is called with that, done and total.

    Returns
    -------
    DataFrame
        ``filename``, ``label`` and ``reason`` of the others; index as `table`.

    Raises
    ------
    DatasetError
        If they are more than 5 % of the rows; the message lists them.
    """
    reasons: dict[int, str] = {}
    for row, found in enumerate(read_photographs(table["path"].tolist(), STORED_SIZE)):
        if isinstance(found, Photograph):
            keep(found)
        else:
            reasons[row] = str(found or table["problem"].iloc[row])
        progress(what, row + 1, len(table))
    skipped = table.loc[list(reasons), ["filename", "label"]].assign(reason=list(reasons.values()))
    if len(skipped) <= MAX_UNUSABLE_SHARE * len(table):
        return skipped
    listed = "\n".join(
        f"  {row.filename}: {row.reason}" for row in skipped.head(_LISTED).itertuples()
    )
    more = f"\n  … and {len(skipped) - _LISTED} more" if len(skipped) > _LISTED else ""
    raise DatasetError(
        f"{len(skipped):,} of {counted(len(table), 'photograph')} cannot be used, more than "
        f"{MAX_UNUSABLE_SHARE:.0%}; mend the table or the folder first:\n{listed}{more}"
    )
