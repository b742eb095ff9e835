"""One photograph's answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from har_core.errors import InvalidImageError
from har_core.model.fields import (
    ACTION,
    ALL_PREDICTIONS,
    CONFIDENCE,
    ERROR,
    FILENAME,
    MODEL,
    WARNING,
)


@dataclass(frozen=True)
class Prediction:
    """What the model says of one photograph.

    Parameters
    ----------
    action : str
        The most probable class.
    confidence : float
        Its probability, in [0, 1].
    probabilities : dict of str to float
        Every class in the model's order; sums to 1.
    warning : str
        What is wrong with the photograph's file, in a sentence; ``""`` for a sound one.
    """

    action: str
    confidence: float
    probabilities: dict[str, float]
    warning: str = ""

    @classmethod
    def from_probabilities(
        cls, class_names: Sequence[str], probabilities: np.ndarray
    ) -> "Prediction":
        """Build from one row of probabilities, shape (C,), summing to 1."""
        best = int(np.argmax(probabilities))
        return cls(
            action=class_names[best],
            confidence=float(probabilities[best]),
            probabilities={n: float(p) for n, p in zip(class_names, probabilities, strict=True)},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that the REST API, the command line and the page write, for JSON."""
        return {
            ACTION: self.action,
            CONFIDENCE: self.confidence,
            ALL_PREDICTIONS: self.probabilities,
            **({WARNING: self.warning} if self.warning else {}),
        }

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the `k` most probable (class, probability) pairs, best first."""
        ranked = sorted(self.probabilities.items(), key=lambda item: item[1], reverse=True)
        return ranked[:k]


def prediction_record(
    filename: str, result: Prediction | InvalidImageError, model: str
) -> dict[str, Any]:
    """Return what is written of one file among others: its prediction, or why there is none."""
    if isinstance(result, InvalidImageError):
        return {FILENAME: filename, ERROR: str(result)}
    return {FILENAME: filename, **result.to_dict(), MODEL: model}
