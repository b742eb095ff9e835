"""From answers to rows of results."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from har_core.keras_io.feature_outputs import as_kept
from har_core.model.classifier import Answers
from har_core.model.engine import no_answer
from har_core.model.fields import (
    ACTION,
    CONFIDENCE,
    ERROR,
    FEATURES,
    IN_SCOPE,
    NOVELTY,
    REASON,
    VERDICT,
    WARNING,
)
from har_core.model.manifest import BundleManifest
from har_core.model.prediction import verdict_of
from har_core.scale.sources.items import UNKNOWN, Item


class Decoded(NamedTuple):
    """A photograph as read: its pixels, or why there are none.

    Parameters
    ----------
    item : Item
    size : int
        Bytes; -1 if it could not be read.
    sha256 : str or None
        Of its bytes; None if they could not be read.
    square : ndarray of uint8, shape (side, side, 3), or None
    warning : str
    error : str
        Why there are no pixels, in a sentence; ``""`` if there are.
    reason : str
        The same in a word, see `har_core.errors.InvalidImageError`.
    """

    item: Item
    size: int
    sha256: str | None
    square: np.ndarray | None
    warning: str = ""
    error: str = ""
    reason: str = ""


def answered_rows(
    schema: Any,
    manifest: BundleManifest,
    batch: Sequence[Decoded],
    good: Sequence[int],
    answers: Answers | None,
) -> Any:
    """Return one row for each photograph of a batch.

    Parameters
    ----------
    schema : pyarrow.Schema
        From `har_core.scale.results.results_schema`.
    manifest : BundleManifest
        Of the model.
    batch : sequence of Decoded
    good : sequence of int
        Which of the batch have pixels.
    answers : Answers or None
        For the good ones, in their order; None if there are none.

    Returns
    -------
    pyarrow.Table
    """
    import pyarrow as pa

    columns: dict[str, Any] = {
        "uri": [decoded.item.uri for decoded in batch],
        "size": [known(decoded.size) for decoded in batch],
        "mtime_ns": [known(decoded.item.mtime_ns) for decoded in batch],
        "etag": [decoded.item.etag or None for decoded in batch],
        "sha256": [decoded.sha256 for decoded in batch],
        WARNING: [decoded.warning or None for decoded in batch],
        ERROR: [decoded.error or None for decoded in batch],
        REASON: [decoded.reason or None for decoded in batch],
    }
    if answers is not None:
        _add_answers(columns, manifest, np.asarray(good), answers)
    absent = [None] * len(batch)
    arrays = [pa.array(columns.get(field.name, absent), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _add_answers(
    columns: dict[str, Any], manifest: BundleManifest, good: np.ndarray, answers: Answers
) -> None:
    """Fill in the answers, and the errors of photographs that the network has none for."""
    n, names = len(columns["uri"]), manifest.class_names
    probabilities = answers.probabilities
    sound = np.isfinite(probabilities).all(axis=1)
    for row in good[~sound]:
        error = no_answer(manifest.name)
        columns[ERROR][row], columns[REASON][row] = str(error), error.reason
    rows = good[sound]
    probabilities = probabilities[sound]
    confidence = probabilities.max(axis=1)
    best = probabilities.argmax(axis=1)

    def spread(values: Sequence[Any] | np.ndarray) -> list[Any]:
        column: list[Any] = [None] * n
        for row, value in zip(rows, values, strict=True):
            column[row] = value
        return column

    columns[ACTION] = spread([names[i] for i in best])
    columns[CONFIDENCE] = spread(confidence)
    in_scope: Sequence[bool | None] = [None] * len(rows)
    if answers.novelty is not None:
        in_scope = answers.novelty.in_scope[sound].tolist()
        columns[IN_SCOPE] = spread(in_scope)
        columns[NOVELTY] = spread(answers.novelty.value[sound])
    least = manifest.rules.abstain_below
    verdicts = map(verdict_of, confidence, in_scope, [least] * len(rows))
    columns[VERDICT] = spread(list(verdicts))
    for i, name in enumerate(names):
        columns[name] = spread(probabilities[:, i])
    if answers.features is not None:
        columns[FEATURES] = spread(as_kept(answers.features[sound]))


def known(number: int) -> int | None:
    """Return a number of an `Item`; None if it is not known."""
    return None if number == UNKNOWN else number
