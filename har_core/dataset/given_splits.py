"""Splits that a dataset brings along: used as they are, but for what would leak."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from har_core.dataset.splits import PRECEDENCE, SPLITS, inherited_split, stratified_group_split
from har_core.errors import DatasetError, some_of

NEAR_DUPLICATE: Final = "near duplicate of a photograph that "
_OF_MEASURING: Final = f"{NEAR_DUPLICATE}the model is measured by"
_OF_LEARNED: Final = f"{NEAR_DUPLICATE}the earlier model has learned from"


def split_of_folders(
    table: pd.DataFrame,
    recorded: pd.DataFrame | None,
    *,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """Take over the splits of a dataset's folders; what an earlier model knows stays where it was.

    Parameters
    ----------
    table : DataFrame
        ``label``, ``sha256``, ``duplicate_group`` and ``split`` of each photograph.
    recorded : DataFrame or None
        ``sha256`` and ``split`` of the earlier model.
    validation, test, seed : float, float, int
        See `split_as_given`.

    Returns
    -------
    ndarray of str, shape (N,)
        See `split_as_given`.
    """
    given, known = table["split"], pd.Series(False, table.index)
    if recorded is not None:
        known = table["sha256"].isin(recorded.loc[recorded["split"].ne(""), "sha256"])
        given = given.mask(
            known, pd.Series(inherited_split(table[known], recorded), table.index[known])
        )
    return split_as_given(
        table["label"],
        table["duplicate_group"],
        given,
        known=known,
        validation=validation,
        test=test,
        seed=seed,
    )


def left_out(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``filename``, ``label`` and ``reason`` of what a split leaves out."""
    copies = table.loc[table["split"] == "", ["filename", "label"]]
    measuring = table.loc[table["split"].isin(["test", "validation"]), "duplicate_group"]
    is_measured = table.loc[copies.index, "duplicate_group"].isin(measuring)
    return copies.assign(reason=np.where(is_measured, _OF_MEASURING, _OF_LEARNED))


def split_as_given(
    labels: Sequence[str],
    groups: Sequence[int] | np.ndarray,
    given: Sequence[str],
    *,
    known: Sequence[bool] = (),
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """Take over the splits of a dataset, and draw from training what it lacks.

    A photograph of which a near duplicate is in the test split is left out of the others, and one
    of which a near duplicate is in the validation split out of training. Nor does a photograph
    measure of which an earlier model has learned from a near duplicate.

    Parameters
    ----------
    labels : sequence of str, length N
    groups : sequence of int, length N
        Near-duplicate group of each photograph.
    given : sequence of str, length N
        Split of each, of `har_core.dataset.splits.SPLITS`; ``train`` is among them.
    known : sequence of bool, optional
        Which ones an earlier model has seen, their splits being its: nothing is drawn of them and
        of their near duplicates.
    validation, test, seed : float, float, int
        Of what is drawn: as by `har_core.dataset.splits.stratified_group_split`.

    Returns
    -------
    ndarray of str, shape (N,)
        Split of each photograph, ``""`` for those that are left out.

    Raises
    ------
    DatasetError
        If there is no training split, or a class has no photograph in it.
    """
    table = pd.DataFrame({"label": list(labels), "group": list(groups), "split": list(given)})
    present = [name for name in SPLITS if (table["split"] == name).any()]
    by = "dataset's folders" + " and the splits of the earlier model" * any(known)
    if "train" not in present:
        raise DatasetError(f"The {by} are {' and '.join(present)}; none is train.")
    is_known = np.asarray(known, bool) if len(known) else np.zeros(len(table), bool)
    learned = table.loc[is_known & (table["split"] == "train"), "group"]
    table.loc[table["group"].isin(learned) & ~is_known & (table["split"] != "train"), "split"] = ""
    rank = table["split"].map({name: n for n, name in enumerate(PRECEDENCE)})
    first = rank.groupby(table["group"]).transform("min")
    table.loc[rank > first, "split"] = ""
    missing = [name for name in SPLITS if name not in present]
    seen = table["group"].isin(table.loc[is_known, "group"])
    training = table[(table["split"] == "train") & ~seen]
    if missing and len(training):
        drawn = stratified_group_split(
            training["label"], training["group"], validation=validation, test=test, seed=seed
        )
        table.loc[training.index, "split"] = np.where(np.isin(drawn, missing), drawn, "train")
    lost = sorted(set(table["label"]) - set(table.loc[table["split"] == "train", "label"]))
    if lost:
        raise DatasetError(
            f"No training photograph is left of the class {some_of(map(repr, lost))}: "
            f"the {by} put none there that is no copy of a test photograph."
        )
    return table["split"].to_numpy(dtype=str)
