"""One photograph's answer."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from har_core.errors import InvalidImageError
from har_core.model.fields import (
    ACTION,
    ALL_PREDICTIONS,
    ANSWER,
    ANSWER_SET,
    CONFIDENCE,
    ERROR,
    FILENAME,
    IN_SCOPE,
    MODEL,
    NOVELTY,
    WARNING,
)

Verdict = Literal["foreign", "unsure", "answered"]


def verdict_of(confidence: float, in_scope: bool | None, min_confidence: float) -> Verdict:
    """Tell why a model abstains, or that it answers; the parameters are those of `Prediction`."""
    if in_scope is False:
        return "foreign"
    return "unsure" if confidence < min_confidence else "answered"


@dataclass(frozen=True)
class Prediction:
    """What the model says of one photograph.

    Parameters
    ----------
    action : str
        The most probable class, whether or not the model should answer.
    confidence : float
        Its probability, in [0, 1].
    probabilities : dict of str to float
        Every class in the model's order; sums to 1.
    warning : str
        What is wrong with the photograph's file, in a sentence; ``""`` for a sound one.
    novelty : float or None
        How unlike the photographs that the model learned from, in [0, 1]: the share of the model's
        own validation photographs that look more ordinary. None if the model cannot tell.
    in_scope : bool or None
        False if the picture is unlike anything that the model learned from. It does not mean that
        there is no person. None if the model cannot tell.
    answer_set : tuple of str or None
        The classes that together hold the right one in 90 % of cases (split conformal
        prediction), the most probable first; None if the model has no such sets.
    min_confidence : float
        The model abstains below it.
    """

    action: str
    confidence: float
    probabilities: dict[str, float]
    warning: str = ""
    novelty: float | None = None
    in_scope: bool | None = None
    answer_set: tuple[str, ...] | None = None
    min_confidence: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """Why the model abstains (foreign picture, low confidence), or that it answers."""
        return verdict_of(self.confidence, self.in_scope, self.min_confidence)

    @property
    def answer(self) -> str | None:
        """The action, or None where the model abstains."""
        return self.action if self.verdict == "answered" else None

    @classmethod
    def from_probabilities(
        cls,
        class_names: Sequence[str],
        probabilities: np.ndarray,
        *,
        novelty: float | None = None,
        in_scope: bool | None = None,
        answer_set: np.ndarray | None = None,
        min_confidence: float = 0.0,
    ) -> "Prediction":
        """Build from one row of probabilities, shape (C,), summing to 1.

        `answer_set` holds indices of classes; the others are as in the class.
        """
        best = int(np.argmax(probabilities))
        return cls(
            action=class_names[best],
            confidence=float(probabilities[best]),
            probabilities=dict(zip(class_names, probabilities.tolist(), strict=True)),
            novelty=novelty,
            in_scope=in_scope,
            answer_set=None if answer_set is None else tuple(class_names[i] for i in answer_set),
            min_confidence=min_confidence,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that the REST API, the command line and the page write, for JSON."""
        return {
            ACTION: self.action,
            CONFIDENCE: self.confidence,
            ALL_PREDICTIONS: self.probabilities,
            ANSWER: self.answer,
            IN_SCOPE: self.in_scope,
            NOVELTY: self.novelty,
            ANSWER_SET: None if self.answer_set is None else list(self.answer_set),
            **({WARNING: self.warning} if self.warning else {}),
        }

    def abstaining_below(self, min_confidence: float | None) -> "Prediction":
        """Return the same prediction with another threshold; None keeps the model's own."""
        if min_confidence is None:
            return self
        return dataclasses.replace(self, min_confidence=min_confidence)

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the `k` most probable (class, probability) pairs, best first."""
        ranked = sorted(self.probabilities.items(), key=lambda item: item[1], reverse=True)
        return ranked[:k]


def with_warning(
    result: Prediction | InvalidImageError, warning: str
) -> Prediction | InvalidImageError:
    """Return a prediction with what is wrong with its file; an error as it is."""
    if warning and isinstance(result, Prediction):
        return dataclasses.replace(result, warning=warning)
    return result


def prediction_record(
    filename: str, result: Prediction | InvalidImageError, model: str
) -> dict[str, Any]:
    """Return what is written of one file among others: its prediction, or why there is none."""
    if isinstance(result, InvalidImageError):
        return {FILENAME: filename, ERROR: str(result)}
    return {FILENAME: filename, **result.to_dict(), MODEL: model}


def verdict_cells(result: Prediction) -> list[str]:
    """Return the cells of `VERDICT_FIELDS`; empty ones for what the model cannot tell."""
    return [
        result.verdict,
        result.answer or "",
        "" if result.in_scope is None else str(result.in_scope).lower(),
        "" if result.novelty is None else f"{result.novelty:.4f}",
        " ".join(result.answer_set or ()),
    ]
