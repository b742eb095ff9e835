"""Earlier models that a training builds on, and what they must not have seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from har_core.dataset.splits import SPLITS
from har_core.errors import ModelBundleError
from har_core.model.loading import find_model
from har_core.model.manifest import (
    CROSS_VALIDATED_FILE,
    INHERITED_FILE,
    KERAS_FILE,
    MANIFEST_FILE,
    SPLITS_FILE,
)
from har_core.model.records import (
    INHERITED_COLUMNS,
    join_records,
    read_lineage,
    read_parquet,
    unrecorded_ancestors,
    were_seen,
)
from har_core.settings import shipped
from har_core.storage.paths import is_file
from har_core.training.preparation import PreparedDataset
from har_core.wording import counted

SHIPPED: Final = "shipped"
_SHIPPED_MODEL: Final = "cnn_lstm_har15"
# What was left out counts like a test photograph: nothing was learned from it.
_RANKS: Final = {"": len(SPLITS) - 1} | {name: rank for rank, name in enumerate(SPLITS)}


def bundle_of_weights(weights: str) -> Path | None:
    """Return the bundle that a setting ``backbone_weights`` points into, or None."""
    path = Path(weights)
    # A training run's folder has no manifest, and an imported model's records no splits.
    lies_in_one = any(is_file(path.parent / name) for name in (MANIFEST_FILE, SPLITS_FILE))
    is_weights = is_file(path) and weights not in ("imagenet", "random")
    return path.parent if is_weights and lies_in_one else None


def shipped_backbone(prepared: PreparedDataset) -> str:
    """Return the network of the model that came with the program, as a setting `backbone_weights`.

    It has learned from the photographs of the public set; where some of these are held out now,
    and where the model is not there, ImageNet's weights have to do.
    """
    network = shipped("models") / _SHIPPED_MODEL / KERAS_FILE
    if not is_file(network) or _n_leaking(network.parent, prepared):
        return "imagenet"
    return str(network)


def knows_labels(folder: Path, prepared: PreparedDataset) -> bool:
    """Tell whether a bundle has, or may have, learned from any of the photographs."""
    splits = read_lineage(folder)
    if splits is None or unrecorded_ancestors(folder):
        return True
    return bool(were_seen(prepared.table["sha256"], splits, ["train", "validation"]).any())


def check_held_out(folder: Path, prepared: PreparedDataset, *, splits_of: str = "") -> None:
    """Refuse a bundle that was trained on photographs of the validation or test split.

    Parameters
    ----------
    folder : Path
        The bundle. One without a record of its splits passes: nothing is known of it.
    prepared : PreparedDataset
        With the split of the new training.
    splits_of : str, optional
        Name or path of the bundle whose split that is; ``""`` if it is a new one.

    Raises
    ------
    ModelBundleError
        With the number of such photographs; the metrics of a network that builds on that
        bundle would be too good.
    """
    if n_leaking := _n_leaking(folder, prepared):
        if splits_of and find_model(splits_of) == folder.resolve():
            raise ModelBundleError(
                f"No photograph is left to choose an epoch by: {folder.name} has learned from all "
                "that are not for testing. Add some that it has not seen; or train with --effort "
                "quick, which needs none, or --effort full, which starts from ImageNet's weights."
            )
        n_held_out = int(prepared.table["split"].isin(["validation", "test"]).sum())
        raise ModelBundleError(
            f"{folder} was trained on {n_leaking:,} of the {counted(n_held_out, 'photograph')} "
            "that are held out for validation and test now; use the same --seed and table as for "
            "that model."
        )


def _n_leaking(folder: Path, prepared: PreparedDataset) -> int:
    """Count the held-out photographs that a bundle has learned from."""
    splits = read_lineage(folder)
    if splits is None:
        return 0
    is_held_out = prepared.table["split"].isin(["validation", "test"])
    held_out = prepared.table.loc[is_held_out, "sha256"]
    return int(were_seen(held_out, splits, ["train"]).sum())


def inheritance(
    ancestors: Sequence[Path], table: pd.DataFrame
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return what a new bundle records of the photographs that its ancestors have met.

    That is those that it does not record itself, or as less than what they were to an ancestor.

    Parameters
    ----------
    ancestors : sequence of Path
        Bundles, or folders of runs, whose networks the new one goes on from or learns from.
    table : DataFrame
        ``sha256``, ``split`` and ``duplicate_group`` of the new bundle's own record.

    Returns
    -------
    files : dict of str to bytes
        ``inherited.parquet``; nothing without ancestors.
    record : dict of str to object
        For the manifest's training record: names of ancestors of which nothing is known.

    Raises
    ------
    ModelBundleError
        If a record cannot be read.
    """
    if not ancestors:
        return {}, {}
    lineages = {folder: read_lineage(folder) for folder in ancestors}
    unrecorded = {folder.resolve().name for folder, known in lineages.items() if known is None}
    for folder in ancestors:
        unrecorded.update(unrecorded_ancestors(folder))
    columns = list(INHERITED_COLUMNS)
    known = [record[columns] for record in lineages.values() if record is not None]
    met = join_records([table[columns], *known])
    # What one model has learned from is learned, whatever it is to another; its own come first.
    met = met.sort_values("split", key=lambda names: names.map(_RANKS), kind="stable")
    met = met[met["sha256"].ne("")].drop_duplicates("sha256")
    met = met[met.index >= len(table)]
    content = met.to_parquet(index=False, compression="zstd")
    return {INHERITED_FILE: content}, {"unrecorded": sorted(unrecorded)}


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
