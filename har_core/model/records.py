"""Which photographs a bundle's records mean: a photograph is the sha256 of its file, not a name."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from har_core.errors import DatasetError, ModelBundleError
from har_core.model.manifest import (
    CROSS_VALIDATED_FILE,
    INHERITED_FILE,
    KERAS_FILE,
    MANIFEST_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    UNLABELLED_FILE,
    BundleManifest,
    read_manifest,
)
from har_core.progress import Progress, silent
from har_core.storage.checksums import sha256_of_files
from har_core.storage.paths import is_file
from har_core.wording import counted

_SPLIT_COLUMNS: Final = ("filename", "label", "split", "duplicate_group", "sha256")
INHERITED_COLUMNS: Final = ("sha256", "split", "duplicate_group")
SEVERAL_SPLITS: Final = " + "


def join_probabilities(
    table: pd.DataFrame, class_names: Sequence[str], probabilities: np.ndarray
) -> pd.DataFrame:
    """Return a table with one column of probabilities for each class, as records hold them.

    Parameters
    ----------
    table : DataFrame
    class_names : sequence of str, length C
    probabilities : ndarray, shape (N, C)
        In [0, 1]; kept as float32.
    """
    # All at once: one column after another is slow, and pandas warns of it, with many classes.
    columns = pd.DataFrame(
        probabilities.astype(np.float32), index=table.index, columns=list(class_names)
    )
    return pd.concat([table, columns], axis=1)


def read_splits(folder: str | Path) -> pd.DataFrame | None:
    """Read which photographs a model was trained, tuned and tested on.

    Parameters
    ----------
    folder : str or Path
        Of the bundle.

    Returns
    -------
    DataFrame or None
        ``filename``, ``label``, ``split``, ``duplicate_group`` and ``sha256``; None if the bundle
        does not record it. Photographs that were learned from without their labels come last,
        with ``train``, the label ``""`` and negative groups.

    Raises
    ------
    ModelBundleError
        If a file cannot be read or lacks a column.
    """
    path, unlabelled = Path(folder) / SPLITS_FILE, Path(folder) / UNLABELLED_FILE
    if not is_file(path):
        return None
    splits = read_parquet(path, _SPLIT_COLUMNS)
    if not is_file(unlabelled):
        return splits
    further = read_parquet(unlabelled, ("filename", "sha256"))
    further = further.assign(label="", split="train", duplicate_group=-1 - np.arange(len(further)))
    return pd.concat([splits, further[list(_SPLIT_COLUMNS)]], ignore_index=True)


def read_lineage(folder: str | Path) -> pd.DataFrame | None:
    """Read the splits of a model and of those that it builds on.

    Parameters
    ----------
    folder : str or Path
        Of the bundle, or of a training run.

    Returns
    -------
    DataFrame or None
        As of `read_splits`. What only earlier models have met or learned from comes last, with
        their splits, the name and label ``""``. Groups are numbered anew.

    Raises
    ------
    ModelBundleError
        If a file cannot be read or lacks a column.
    """
    splits, path = read_splits(folder), Path(folder) / INHERITED_FILE
    if splits is None or not is_file(path):
        return splits
    inherited = read_parquet(path, INHERITED_COLUMNS).assign(filename="", label="")
    # Such as a test photograph of an earlier model that this one learned from without its label.
    inherited.loc[were_seen(inherited["sha256"], splits, ["train"]), "split"] = "train"
    return join_records([splits, inherited[list(_SPLIT_COLUMNS)]])


def join_records(records: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put records under each other, of which each has near-duplicate groups of its own."""
    joined = pd.concat(records, keys=range(len(records)), names=["record", None])
    joined["duplicate_group"] = joined.groupby(["record", "duplicate_group"]).ngroup()
    return joined.reset_index(drop=True)


def unrecorded_ancestors(folder: str | Path) -> list[str]:
    """Name the models that one builds on and of whose photographs nothing is known here.

    Parameters
    ----------
    folder : str or Path
        Of the bundle; one of a training run, which has no manifest, names none.

    Raises
    ------
    ModelBundleError
        If the manifest cannot be read.
    """
    if not is_file(Path(folder) / MANIFEST_FILE):
        return []
    manifest = read_manifest(folder)
    training = manifest.training
    if INHERITED_FILE in manifest.files:
        return list(training.get("unrecorded", ()))
    # Bundles from before that was recorded.
    weights = Path(str((training.get("settings") or {}).get("backbone_weights")))
    base = training.get("base") or (weights.parent.name if weights.name == KERAS_FILE else "")
    return [str(base)] if base else []


def match_splits(sha256: pd.Series, splits: pd.DataFrame) -> pd.Series:
    """Return the recorded split of each photograph.

    Parameters
    ----------
    sha256 : Series of str
        Of the photographs; ``""`` or missing where there is no file.
    splits : DataFrame
        From `read_splits`.

    Returns
    -------
    Series of str
        Index as `sha256`; ``""`` where no split is recorded, and ``"test + train"`` for a
        photograph of which copies are recorded in both.
    """
    recorded = splits["sha256"].ne("") & splits["split"].ne("")  # a copy may be left out
    pairs = splits.loc[recorded, ["sha256", "split"]].drop_duplicates()
    repeated = pairs["sha256"].duplicated(keep=False)
    once = pairs[~repeated].set_index("sha256")["split"]
    several = pairs[repeated].sort_values("split").groupby("sha256")["split"].agg(_joined)
    of_content = pd.concat([once, several]) if len(several) else once
    return sha256.map(of_content).fillna("").astype(object)


def _joined(names: pd.Series) -> str:
    return SEVERAL_SPLITS.join(names)


def were_seen(sha256: Collection[str], splits: pd.DataFrame, names: Collection[str]) -> np.ndarray:
    """Tell which photographs are recorded in any of some splits; bool, shape (N,)."""
    seen = splits.loc[splits["split"].isin(list(names)), "sha256"]
    return pd.Series(list(sha256), dtype=object).isin(set(seen) - {""}).to_numpy()


def rows_of_split(
    table: pd.DataFrame,
    folder: Path,
    split: str,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Return the rows of a dataset's table that a model's recorded split holds.

    Parameters
    ----------
    table : DataFrame
        ``filename`` and ``path``, as from `har_core.dataset.table.load_dataset`.
    folder : Path
        Of the bundle.
    split : str
        E.g. ``"test"``.
    progress : callable, optional
        Called with (what is being done, done, total) while the files are read.

    Raises
    ------
    DatasetError
        If the bundle does not record its splits, has none of that name, or the table holds no
        photograph of it.
    """
    splits = read_splits(folder)
    if splits is None:
        raise DatasetError(
            f"The model {folder.name!r} does not record its splits; leave out --split."
        )
    names = sorted(set(splits["split"]) - {""})
    if split not in names:
        raise DatasetError(f"There is no split {split!r}; the model records {', '.join(names)}.")
    sha256 = pd.Series(sha256_of_files(table["path"].tolist(), progress), index=table.index)
    chosen = table[match_splits(sha256, splits).eq(split)]
    if chosen.empty:
        namesakes = table["filename"].isin(splits.loc[splits["split"] == split, "filename"]).sum()
        raise DatasetError(
            f"The dataset holds no photograph of the model's {split} split."
            + (
                f" {counted(namesakes, 'has the name', 'have the names')} of such photographs, but "
                "other content; leave out --split to evaluate them."
                if namesakes
                else ""
            )
        )
    return chosen.reset_index(drop=True)


def missing_of_split(table: pd.DataFrame, folder: Path, split: str) -> tuple[int, int]:
    """Count the photographs of a model's recorded split that a dataset's table lacks.

    Returns
    -------
    missing, recorded : int
        Of how many; see `rows_of_split`. Copies count once.
    """
    splits = read_splits(folder)
    if splits is None:
        return 0, 0
    recorded = set(splits.loc[splits["split"].eq(split), "sha256"]) - {""}
    return len(recorded.difference(sha256_of_files(table["path"].tolist()))), len(recorded)


def predicted_splits(folder: Path, manifest: BundleManifest) -> list[str]:
    """Return the splits of which a bundle holds predictions, sorted.

    Raises
    ------
    ModelBundleError
        If the predictions cannot be read.
    """
    if PREDICTIONS_FILE not in manifest.files:
        return []
    return sorted(read_parquet(folder / PREDICTIONS_FILE, ("split",))["split"].unique())


def read_predictions(folder: Path, manifest: BundleManifest) -> pd.DataFrame | None:
    """Read the probabilities that a model gave to its held-out photographs, at temperature 1.

    Returns
    -------
    DataFrame or None
        The columns of the file, ``sha256`` (``""`` if nothing tells it) and ``duplicate_group``
        (negative for a photograph that shares its own with no other); None if the bundle holds
        no predictions.

    Raises
    ------
    ModelBundleError
        If the predictions or the splits cannot be read.
    """
    if PREDICTIONS_FILE not in manifest.files:
        return None
    table = read_parquet(folder / PREDICTIONS_FILE)
    splits = read_splits(folder)
    alone = pd.Series(-1 - np.arange(len(table)), index=table.index)
    if "sha256" not in table:
        table["sha256"] = ""
        if splits is not None and "filename" in table:
            # Bundles of version 1.0: the two files were written from one table of unique names.
            of_name = splits.drop_duplicates("filename").set_index("filename")["sha256"]
            table["sha256"] = table["filename"].map(of_name).fillna("")
    groups = pd.Series(np.nan, index=table.index)
    if splits is not None:
        of_content = splits.drop_duplicates("sha256").set_index("sha256")["duplicate_group"]
        groups = table["sha256"].map(of_content)
    table["duplicate_group"] = groups.fillna(alone).astype(np.int64)
    return table


def held_out_predictions(folder: Path, manifest: BundleManifest) -> pd.DataFrame | None:
    """Read the probabilities that a model gives to photographs it was not trained on.

    Returns
    -------
    DataFrame or None
        ``sha256``, ``label``, ``split`` (test; validation, unless the model was refitted) and
        one column per class, as the model shows them, which the file does not hold; None if the
        bundle holds no predictions.

    Raises
    ------
    ModelBundleError
        If the file cannot be read or lacks a column.
    """
    table = read_predictions(folder, manifest)
    if table is None:
        return None
    classes = list(manifest.class_names)
    columns = ["sha256", "label", "split", *classes]
    _check_columns(table.columns, columns, folder / PREDICTIONS_FILE)
    table = _as_floats(table[columns], classes, folder / PREDICTIONS_FILE)
    if len(table):
        table[classes] = manifest.shown(table[classes].to_numpy())
    return table


def recorded_cross_validation(folder: Path, manifest: BundleManifest) -> pd.DataFrame | None:
    """Read the cross-validated probabilities that the model's training kept.

    They come from the backbone before it was fine-tuned, so that training photographs, too, are
    judged by features that have not learned their labels.

    Returns
    -------
    DataFrame or None
        ``sha256``, ``label`` and one column per class, for every photograph of the training
        table; None if the bundle does not hold them.

    Raises
    ------
    ModelBundleError
        If the file cannot be read or lacks a column.
    """
    if CROSS_VALIDATED_FILE not in manifest.files:
        return None
    path, classes = folder / CROSS_VALIDATED_FILE, list(manifest.class_names)
    return _as_floats(read_parquet(path, ("sha256", "label", *classes)), classes, path)


def match_probabilities(
    sha256: pd.Series, recorded: pd.DataFrame, class_names: Collection[str]
) -> pd.DataFrame:
    """Return the recorded probabilities of those photographs that the record holds.

    Parameters
    ----------
    sha256 : Series of str
        Of the photographs; ``""`` or missing where there is no file.
    recorded : DataFrame
        From `held_out_predictions` or `recorded_cross_validation`.
    class_names : collection of str
        The columns to return.

    Returns
    -------
    DataFrame of float64
        Index: that of the photographs found, in the order of `sha256`.
    """
    known = recorded[recorded["sha256"].ne("")].drop_duplicates("sha256").set_index("sha256")
    found = sha256[sha256.isin(known.index)]
    return known.loc[found, list(class_names)].set_axis(found.index)


def read_parquet(path: Path, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Read a file of a bundle.

    Raises
    ------
    ModelBundleError
        If it cannot be read, or lacks one of the columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if columns is not None:
            _check_columns(pq.read_schema(path).names, columns, path)
        return pd.read_parquet(path, columns=None if columns is None else list(columns))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ModelBundleError(f"Cannot read {path}: {error}.") from error


def _check_columns(present: Collection[str], wanted: Collection[str], path: Path) -> None:
    missing = sorted(set(wanted) - set(present))
    if missing:
        raise ModelBundleError(f"{path} lacks the column {', '.join(missing)}.")


def _as_floats(table: pd.DataFrame, columns: list[str], path: Path) -> pd.DataFrame:
    try:
        return table.astype(dict.fromkeys(columns, np.float64))
    except (ValueError, TypeError) as error:
        raise ModelBundleError(f"Cannot read {path}: {error}.") from error
