"""Earlier models that a training builds on, and what they must not have seen."""

from collections.abc import Sequence
from pathlib import Path

from har_core.errors import ModelBundleError
from har_core.model.manifest import CROSS_VALIDATED_FILE, SPLITS_FILE
from har_core.model.records import read_parquet, read_splits, were_seen
from har_core.storage.paths import is_file
from har_core.training.preparation import PreparedDataset


def bundle_of_weights(weights: str) -> Path | None:
    """Return the bundle that a setting ``backbone_weights`` points into, or None."""
    path = Path(weights)
    if weights in ("imagenet", "random") or not is_file(path.parent / SPLITS_FILE):
        return None
    return path.parent


def check_held_out(folder: Path, prepared: PreparedDataset) -> None:
    """Refuse a bundle that was trained on photographs of the validation or test split.

    Parameters
    ----------
    folder : Path
        The bundle. One without a record of its splits passes: nothing is known of it.
    prepared : PreparedDataset
        With the split of the new training.

    Raises
    ------
    ModelBundleError
        With the number of such photographs; the metrics of a network that builds on that
        bundle would be too good.
    """
    splits = read_splits(folder)
    if splits is None:
        return
    is_held_out = prepared.table["split"].isin(["validation", "test"])
    held_out = prepared.table.loc[is_held_out, "sha256"]
    n_leaking = int(were_seen(held_out, splits, ["train"]).sum())
    if n_leaking:
        raise ModelBundleError(
            f"{folder} was trained on {n_leaking} of the {len(held_out)} photographs that are held "
            "out for validation and test now; use the same --seed and table as for that model."
        )


def find_cross_validation(folders: Sequence[Path], prepared: PreparedDataset) -> bytes | None:
    """Return the first record of cross-validated probabilities of just these photographs.

    Parameters
    ----------
    folders : sequence of Path
        Bundles.
    prepared : PreparedDataset
        What the record must be of: the same contents under the same labels.

    Returns
    -------
    bytes or None
        A bundle's ``evaluation/cross_validated.parquet``.
    """
    columns = ["sha256", "label"]
    wanted = prepared.table[columns].sort_values(columns, ignore_index=True)
    for folder in folders:
        path = folder / CROSS_VALIDATED_FILE
        if is_file(path):
            judged = read_parquet(path, columns)
            if judged.sort_values(columns, ignore_index=True).equals(wanted):
                return path.read_bytes()
    return None
