"""A kind of issue, and the registry of all: to add one, write a class and register it."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import pandas as pd


class IssueKind(ABC):
    """One kind of issue.

    Attributes
    ----------
    name : str
        As in the columns ``<name>_score`` and ``is_<name>_issue``.
    title : str
        For people.
    meaning : str
        One sentence: what it is, and what to do.
    threshold : float
        Scores below it are issues.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    meaning: ClassVar[str]
    threshold: ClassVar[float] = 0.5

    @abstractmethod
    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Score every photograph.

        Parameters
        ----------
        photographs : DataFrame
            Rows of `har_core.scan.scanning.scan_dataset`, before the issues.

        Returns
        -------
        ndarray of float64, shape (N,)
            In [0, 1], low is bad; NaN where there is nothing to judge (e.g. a missing file).
        """

    def find(self, photographs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores, 1 where there is nothing to judge, and which are issues (bool)."""
        scores = np.asarray(self.score(photographs), dtype=np.float64)
        scores = np.clip(np.nan_to_num(scores, nan=1.0), 0.0, 1.0)
        return scores, scores < self.threshold


ISSUE_KINDS: dict[str, IssueKind] = {}


def register(kind: type[IssueKind]) -> type[IssueKind]:
    """Add a kind of issue to `ISSUE_KINDS`; its place there is its place in tables."""
    ISSUE_KINDS[kind.name] = kind()
    return kind


def score_column(issue: str) -> str:
    """Return the name of an issue's score column."""
    return f"{issue}_score"


def issue_column(issue: str) -> str:
    """Return the name of an issue's yes/no column."""
    return f"is_{issue}_issue"
