"""Which photographs a bundle's records mean: splits and held-out predictions."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from har_core.errors import DatasetError, ModelBundleError
from har_core.model.manifest import (
    CROSS_VALIDATED_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    BundleManifest,
)
from har_core.model.temperature import apply_temperature

_RECORDED_COLUMNS: Final = ("filename", "label", "split", "sha256")


def recorded_splits(folder: Path, manifest: BundleManifest) -> pd.DataFrame | None:
    """Read which photographs a model was trained, validated and tested on.

    Returns
    -------
    DataFrame or None
        ``filename``, ``label``, ``split``, ``sha256``; None if the bundle does not record it.

    Raises
    ------
    ModelBundleError
        If the file cannot be read.
    """
    if SPLITS_FILE not in manifest.files:
        return None
    path = folder / SPLITS_FILE
    try:
        return pd.read_parquet(path, columns=list(_RECORDED_COLUMNS))
    except (OSError, ValueError, KeyError) as error:
        raise ModelBundleError(f"Cannot read {path}: {error}.") from error


def match_splits(photographs: pd.DataFrame, recorded: pd.DataFrame) -> pd.Series:
    """Return the recorded split of each photograph.

    Parameters
    ----------
    photographs : DataFrame
        ``filename``, and ``sha256`` if the dataset was scanned: a file of the same name but other
        content is another photograph then.
    recorded : DataFrame
        From `recorded_splits`.

    Returns
    -------
    Series of str
        Index as `photographs`; ``""`` where no split is recorded.
    """
    keys = ["filename", "sha256"] if "sha256" in photographs else ["filename"]
    known = recorded.drop_duplicates(keys).set_index(keys)["split"]
    wanted = pd.MultiIndex.from_frame(photographs[keys]) if len(keys) > 1 else photographs[keys[0]]
    return pd.Series(known.reindex(wanted).fillna("").to_numpy(), index=photographs.index)


def held_out_predictions(folder: Path, manifest: BundleManifest) -> pd.DataFrame | None:
    """Read the probabilities that a model gives to photographs it was not trained on.

    Returns
    -------
    DataFrame or None
        ``filename``, ``label``, ``split`` (test; validation, unless the model was refitted) and
        one column per class, with the manifest's temperature applied, which the file is not; None
        if the bundle does not hold them.

    Raises
    ------
    ModelBundleError
        If the file cannot be read or lacks a column.
    """
    columns = ["filename", "label", "split", *manifest.class_names]
    recorded = _read_probabilities(folder, manifest, PREDICTIONS_FILE, columns)
    if recorded is not None and len(recorded):
        classes = list(manifest.class_names)
        recorded[classes] = apply_temperature(recorded[classes].to_numpy(), manifest.temperature)
    return recorded


def recorded_cross_validation(folder: Path, manifest: BundleManifest) -> pd.DataFrame | None:
    """Read the cross-validated probabilities that the model's training kept.

    They come from the backbone before it was fine-tuned, so that training photographs, too, are
    judged by features that have not learned their labels.

    Returns
    -------
    DataFrame or None
        ``filename``, ``label``, ``sha256`` and one column per class, for every photograph of the
        training table; None if the bundle does not hold them.

    Raises
    ------
    ModelBundleError
        If the file cannot be read or lacks a column.
    """
    columns = ["filename", "label", "sha256", *manifest.class_names]
    return _read_probabilities(folder, manifest, CROSS_VALIDATED_FILE, columns)


def _read_probabilities(
    folder: Path, manifest: BundleManifest, file: str, columns: list[str]
) -> pd.DataFrame | None:
    if file not in manifest.files:
        return None
    try:
        table = pd.read_parquet(folder / file, columns=columns)
        return table.astype(dict.fromkeys(manifest.class_names, np.float64))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelBundleError(f"Cannot read {folder / file}: {error}.") from error


def read_splits(folder: str | Path) -> pd.DataFrame | None:
    """Read which photographs a model was trained, tuned and tested on.

    Returns
    -------
    DataFrame or None
        ``filename``, ``label``, ``split``, ``duplicate_group`` and ``sha256``; None if the bundle
        does not say.

    Raises
    ------
    ModelBundleError
        If the file is damaged.
    """
    path = Path(folder) / SPLITS_FILE
    if not path.is_file():
        return None
    table = _read_parquet(path)
    missing = {"filename", "split", "duplicate_group", "sha256"} - set(table.columns)
    if missing:
        raise ModelBundleError(f"{path} lacks the column {', '.join(sorted(missing))}.")
    return table


def _hashes_and_groups(folder: Path, filenames: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Look up what the split file knows; a photograph that it lacks is a group of its own."""
    splits = read_splits(folder)
    alone = -1 - np.arange(len(filenames))
    if splits is None:
        return np.full(len(filenames), ""), alone
    by_name = splits.drop_duplicates("filename").set_index("filename")
    sha256 = filenames.map(by_name["sha256"]).fillna("").to_numpy(str)
    groups = filenames.map(by_name["duplicate_group"])
    return sha256, groups.where(groups.notna(), pd.Series(alone)).to_numpy(np.int64)


def _read_parquet(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    import pyarrow as pa

    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ModelBundleError(f"Cannot read {path}: {error}.") from error


def rows_of_split(table: pd.DataFrame, bundle_folder: Path, split: str) -> pd.DataFrame:
    """Return the rows of a dataset's table that a model's recorded split holds.

    Raises
    ------
    DatasetError
        If the bundle does not record its splits, has none of that name, or the table holds no
        photograph of it.
    """
    splits = read_splits(bundle_folder)
    if splits is None:
        raise DatasetError(
            f"The model {bundle_folder.name!r} does not record its splits; leave out --split."
        )
    names = sorted(splits["split"].unique())
    if split not in names:
        raise DatasetError(f"There is no split {split!r}; the model records {', '.join(names)}.")
    chosen = table[table["filename"].isin(splits.loc[splits["split"] == split, "filename"])]
    if chosen.empty:
        raise DatasetError(f"The dataset holds no photograph of the model's {split} split.")
    return chosen.reset_index(drop=True)
