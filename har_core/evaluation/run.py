"""Running a labelled set of photographs through a model, for its evaluation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from har_core.dataset.duplicates import groups_of, near_duplicate_pairs
from har_core.errors import DatasetError
from har_core.evaluation.caveats import why_skipped, why_unknown
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import Evaluation, network_sha256, now
from har_core.images.reading import Photograph, read_photographs
from har_core.model.classifier import ActionModel, Answers
from har_core.progress import silent

_BATCH_SIZE: Final = 32


def evaluate_dataset(
    model: ActionModel,
    table: pd.DataFrame,
    *,
    name: str = "unnamed",
    folder: str = "",
    progress: Callable[[int, int], None] = silent,
) -> Evaluation:
    """Classify every usable photograph of a labelled table.

    Parameters
    ----------
    model : ActionModel
    table : DataFrame
        ``filename``, ``label`` and ``path``, as from `har_core.dataset.table.load_dataset`.
    name : str
        Of the evaluation.
    folder : str, optional
        Dataset folder, remembered so that the photographs can be shown.
    progress : callable, optional
        Called with (done, total) after every batch; an exception from it ends the run.

    Returns
    -------
    Evaluation
        Rows without a readable photograph, with a label that the model does not know, or listed
        twice are in ``skipped``, each with its reason. Near duplicates share a group.

    Raises
    ------
    DatasetError
        If no row can be used.
    """
    reasons = _reasons_to_skip(table, model.class_names)
    usable = table[reasons == ""]
    answered = _answer(model, usable, progress)
    reasons[list(answered.failed)] = list(answered.failed.values())
    skipped = table.assign(reason=reasons).loc[reasons != "", ["filename", "label", "reason"]]
    kept = table[reasons == ""]
    if kept.empty:
        why = why_skipped(skipped)
        raise DatasetError(f"No row of the table can be evaluated: {why}.")
    pairs, _ = near_duplicate_pairs(np.stack(answered.fingerprints))
    raw = EvaluationResult.from_predictions(
        kept["label"].tolist(),
        np.concatenate(answered.probabilities),
        model.class_names,
        kept["filename"].tolist(),
        groups_of(np.array(answered.hashes), pairs),
        answered.hashes,
        np.concatenate(answered.in_scope) if answered.in_scope else None,
    )
    return Evaluation(
        name=name,
        model=model.name,
        created=now(),
        raw=raw,
        temperature=model.manifest.temperature,
        rules=model.rules,
        network=network_sha256(model.manifest),
        folder=folder,
        skipped=skipped.reset_index(drop=True),
    )


@dataclass
class _Answered:
    """What a model says of the photographs that it could answer for, in order; why not of others.

    Parameters
    ----------
    fingerprints : list of ndarray
    hashes : list of str
    probabilities : list of ndarray, in batches
    in_scope : list of ndarray of bool, in batches
        Empty if the model cannot tell.
    failed : dict of int to str
        Row to the reason.
    """

    fingerprints: list[np.ndarray] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    probabilities: list[np.ndarray] = field(default_factory=list)
    in_scope: list[np.ndarray] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, good: dict[int, Photograph], answers: Answers) -> None:
        """Take the answers for a batch of photographs, by row."""
        answered = np.isfinite(answers.probabilities).all(axis=1)
        self.probabilities.append(answers.probabilities[answered])
        if answers.novelty is not None:
            self.in_scope.append(answers.novelty.in_scope[answered])
        for (row, photograph), is_answered in zip(good.items(), answered, strict=True):
            if is_answered:
                self.fingerprints.append(photograph.fingerprint)
                self.hashes.append(photograph.sha256)
            else:
                self.failed[row] = "the model gives no probabilities for it"


def _answer(
    model: ActionModel, usable: pd.DataFrame, progress: Callable[[int, int], None]
) -> _Answered:
    found = _Answered()
    photographs = read_photographs(usable["path"].tolist(), model.manifest.input_size)
    for start in range(0, len(usable), _BATCH_SIZE):
        good: dict[int, Photograph] = {}
        # The rows first: no photograph of the next batch is taken.
        for row, read in zip(usable.index[start : start + _BATCH_SIZE], photographs, strict=False):
            if isinstance(read, Photograph):
                good[row] = read
            elif read is not None:
                found.failed[row] = f"unreadable photograph ({read.reason})"
        if good:
            found.add(good, model.predict_with_novelty(np.stack([p.square for p in good.values()])))
        progress(min(start + _BATCH_SIZE, len(usable)), len(usable))
    return found


def _reasons_to_skip(table: pd.DataFrame, class_names: tuple[str, ...]) -> pd.Series:
    """Return why each row cannot be evaluated, ``""`` where it can."""
    reasons = pd.Series("", index=table.index, dtype=object)
    n_labels = table.groupby("filename")["label"].transform("nunique")
    reasons[table.duplicated("filename")] = "listed twice"
    reasons[n_labels > 1] = "listed with different labels"
    unknown = ~table["label"].isin(class_names)
    labels = table.loc[unknown, "label"].astype(str)
    why = {label: why_unknown(label, class_names) for label in labels.unique()}
    reasons[unknown] = labels.map(why)
    reasons[table["label"].eq("")] = "no label"
    absent = table["path"].isna()
    problems = table["problem"] if "problem" in table else pd.Series("missing", table.index)
    reasons[absent] = "photograph " + problems[absent]
    return reasons
