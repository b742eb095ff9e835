"""What a reader must know before believing an evaluation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from har_core.dataset.slips import spelling_key
from har_core.errors import some_of
from har_core.evaluation.store import Evaluation, network_sha256
from har_core.model.manifest import BundleManifest
from har_core.model.records import were_seen
from har_core.wording import are, counted


def caveats(
    evaluation: Evaluation,
    manifest: BundleManifest,
    splits: pd.DataFrame | None,
    unrecorded: Sequence[str] = (),
) -> list[str]:
    """Say in plain words what makes the numbers of an evaluation less than they seem.

    Parameters
    ----------
    evaluation : Evaluation
    manifest : BundleManifest
        Of the model as it is now.
    splits : DataFrame or None
        From `har_core.model.records.read_lineage`.
    unrecorded : sequence of str
        From `har_core.model.records.unrecorded_ancestors`.

    Returns
    -------
    list of str
        Photographs that the model was trained or tuned on (by file hash), or that a model that it
        builds on may have been; a confidence that was fitted on them; a set of a single
        observation; labels and classes that do not match, rows that were left out, another network
        than the present one.
    """
    result = evaluation.raw
    found = []
    present = network_sha256(manifest)
    if evaluation.network and present and evaluation.network != present:
        found.append(
            f"This evaluation was made with an earlier model of the name {manifest.name}; evaluate "
            "the set again."
        )
    found += _overlap(evaluation, splits, unrecorded)
    if _is_own_validation(evaluation, splits) and (
        evaluation.temperature != 1.0 or evaluation.rules.confidence
    ):
        found.append(
            "The model's confidence was fitted on these very photographs; on others its "
            "calibration error and log loss are usually larger."
        )
    if len(evaluation.skipped):
        why = why_skipped(evaluation.skipped)
        left_out = counted(
            len(evaluation.skipped), "row of the table was", "rows of the table were"
        )
        found.append(f"{left_out} left out: {why}.")
    if len(np.unique(result.groups)) == 1:
        found.append(
            "The only photograph is a single observation: log loss and calibration error have no "
            "interval, whatever ends are given."
            if result.n == 1
            else f"The {result.n:,} photographs are near duplicates of each other, a single "
            "observation: log loss and calibration error have no interval, whatever ends are given."
        )
    counts = np.bincount(result.labels, minlength=len(result.class_names))
    absent = [name for name, n in zip(result.class_names, counts, strict=True) if not n]
    if absent:
        found.append(
            f"The set has no photographs of {len(absent)} of the model's "
            f"{len(result.class_names)} classes: {some_of(absent)}."
        )
        if answered := sorted(set(result.prediction_names).intersection(absent)):
            found[-1] += f" Answered all the same, and 0 in macro F1: {some_of(answered)}."
    return found


def why_skipped(skipped: pd.DataFrame) -> str:
    """Count the rows that could not be evaluated by their reasons, the most frequent first.

    Parameters
    ----------
    skipped : DataFrame
        See `har_core.evaluation.store.Evaluation`.
    """
    return some_of(f"{n:,} × {reason}" for reason, n in skipped["reason"].value_counts().items())


def _is_own_validation(evaluation: Evaluation, splits: pd.DataFrame | None) -> bool:
    """Tell the model's own validation split from a dataset's folder of that name."""
    if evaluation.name != "validation":
        return False
    if not evaluation.folder:  # as the bundle records it
        return True
    sha256 = evaluation.raw.sha256
    return splits is not None and bool(were_seen(sha256, splits, ["validation"]).all())


def _overlap(
    evaluation: Evaluation, splits: pd.DataFrame | None, unrecorded: Sequence[str]
) -> list[str]:
    sha256 = evaluation.raw.sha256
    unknown = int((sha256 == "").sum())
    if splits is None or unknown == len(sha256):
        return [
            "It is not known which photographs the model was trained on; these may be among them."
        ]
    found = []
    # That the model was tuned on its own validation split is what that is for.
    own = _is_own_validation(evaluation, splits)
    seen_splits = ["train"] if own else ["train", "validation"]
    n = int(were_seen(sha256, splits, seen_splits).sum())
    if n:
        found.append(
            f"{n:,} of {counted(evaluation.raw.n, 'photograph')} {are(n)} among those that the "
            "model was trained or tuned on; on these it looks better than it is."
        )
    if unknown:
        found.append(
            f"Of {unknown:,} of {counted(evaluation.raw.n, 'photograph')} it is not known "
            f"whether the model was trained on {'it' if unknown == 1 else 'them'}."
        )
    elif unrecorded and (n := int((~were_seen(sha256, splits, set(splits["split"]))).sum())):
        found.append(
            f"Of {n:,} of {counted(evaluation.raw.n, 'photograph')} it is not known here whether "
            f"{some_of(unrecorded)}, on which this model builds, learned from "
            f"{'it' if n == 1 else 'them'}."
        )
    return found


def why_unknown(label: str, class_names: Sequence[str]) -> str:
    """Return why a row with a label that is no class cannot be evaluated, in words."""
    alike = [name for name in class_names if spelling_key(name) == spelling_key(label)]
    return f"label unknown to the model: {label}{f' (its class is {alike[0]})' if alike else ''}"
