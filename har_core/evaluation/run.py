"""Running a labelled set of photographs through a model, for its evaluation."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from har_core.dataset.duplicates import duplicate_groups, near_duplicate_pairs
from har_core.errors import DatasetError, InvalidImageError
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import Evaluation, network_sha256, now
from har_core.images.decoding import decode_photograph, read_bytes
from har_core.images.fingerprints import fingerprint_image
from har_core.model.classifier import ActionModel
from har_core.progress import silent

_BATCH_SIZE: Final = 32
_DECODING_THREADS: Final = 4


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
    read: list[_Photograph] = []
    probabilities: list[np.ndarray] = []
    in_scope: list[np.ndarray] = []
    failed: dict[int, str] = {}
    batches = _read_batches(usable["path"].tolist(), model.manifest.input_size)
    for start, batch in batches:
        good_at = {p: item for p, item in enumerate(batch, start) if isinstance(item, _Photograph)}
        good = list(good_at.values())
        for position, item in enumerate(batch, start):
            if isinstance(item, InvalidImageError):
                failed[usable.index[position]] = f"unreadable photograph ({item.reason})"
        if good:
            answers = model.predict_with_novelty(np.stack([item.pixels for item in good]))
            rows, judged = answers.probabilities, answers.novelty
            answered = np.isfinite(rows).all(axis=1)
            probabilities.append(rows[answered])
            if judged is not None:
                in_scope.append(judged.in_scope[answered])
            for (position, item), is_answered in zip(good_at.items(), answered, strict=True):
                if is_answered:
                    read.append(item.without_pixels())
                else:
                    failed[usable.index[position]] = "the model gives no probabilities for it"
        progress(start + len(batch), len(usable))
    reasons[list(failed)] = list(failed.values())
    skipped = table.assign(reason=reasons).loc[reasons != "", ["filename", "label", "reason"]]
    kept = table[reasons == ""]
    if kept.empty:
        counts = skipped["reason"].value_counts()
        listed = "; ".join(f"{n:,} × {reason}" for reason, n in counts.items())
        raise DatasetError(f"None of the {len(table):,} rows can be evaluated: {listed}.")
    pairs, _ = near_duplicate_pairs(np.stack([item.fingerprint for item in read]))
    raw = EvaluationResult.from_predictions(
        kept["label"].tolist(),
        np.concatenate(probabilities),
        model.class_names,
        kept["filename"].tolist(),
        duplicate_groups(len(read), pairs),
        [item.sha256 for item in read],
        np.concatenate(in_scope) if in_scope else None,
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


@dataclass(frozen=True, eq=False)
class _Photograph:
    pixels: np.ndarray
    fingerprint: np.ndarray
    sha256: str

    def without_pixels(self) -> "_Photograph":
        return _Photograph(np.empty(0, np.uint8), self.fingerprint, self.sha256)


def _reasons_to_skip(table: pd.DataFrame, class_names: tuple[str, ...]) -> pd.Series:
    """Return why each row cannot be evaluated, ``""`` where it can."""
    reasons = pd.Series("", index=table.index, dtype=object)
    n_labels = table.groupby("filename")["label"].transform("nunique")
    reasons[table.duplicated("filename")] = "listed twice"
    reasons[n_labels > 1] = "listed with different labels"
    unknown = ~table["label"].isin(class_names)
    reasons[unknown] = "label unknown to the model: " + table.loc[unknown, "label"].astype(str)
    reasons[table["label"].eq("")] = "no label"
    absent = table["path"].isna()
    problems = table["problem"] if "problem" in table else pd.Series("missing", table.index)
    reasons[absent] = "photograph " + problems[absent]
    return reasons


def _read_photograph(path: str, size: int) -> "_Photograph | InvalidImageError":
    try:
        data = read_bytes(path)
        decoded = decode_photograph(data, side=size, min_side=size)
    except InvalidImageError as error:
        return error
    digest = hashlib.sha256(data).hexdigest()
    assert decoded.square is not None and decoded.image is not None
    return _Photograph(decoded.square, fingerprint_image(decoded.image), digest)


def _read_batches(
    paths: list[str], size: int
) -> Iterator[tuple[int, list["_Photograph | InvalidImageError"]]]:
    """Yield the position and content of each batch, decoding one batch ahead."""
    with ThreadPoolExecutor(_DECODING_THREADS) as pool:

        def submit(start: int) -> list[Future["_Photograph | InvalidImageError"]]:
            chunk = paths[start : start + _BATCH_SIZE]
            return [pool.submit(_read_photograph, path, size) for path in chunk]

        ahead = submit(0)
        for start in range(0, len(paths), _BATCH_SIZE):
            current, ahead = ahead, submit(start + _BATCH_SIZE)
            yield start, [future.result() for future in current]
