"""The review queue of the Dataset page: what is asked about, and where somebody is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
import streamlit as st

from dashboard.dataset.view import BY_IDENTITY, DatasetView
from har_core.analysis.opinions import Opinions, collect_opinions, opinions_of_duplicates
from har_core.analysis.review import review_queue
from har_core.dataset.decisions import Decisions
from har_core.scan.issues import issue_column

# Findings that only a look at the picture can settle; the others are dealt with in bulk.
_ASKED_ABOUT: Final = (
    "unreadable",
    "dark",
    "light",
    "blurry",
    "low_information",
    "odd_aspect_ratio",
    "outlier",
)


@dataclass(frozen=True, eq=False)
class Queue:
    """What there is to review in a dataset; shared between visitors, so nobody changes it.

    Parameters
    ----------
    items : DataFrame
        See `har_core.analysis.review.review_queue`.
    opinions : list of Opinions
        On all photographs.
    """

    items: pd.DataFrame
    opinions: list[Opinions]


@st.cache_resource(
    max_entries=4,
    show_spinner="Collecting what is doubtful …",
    hash_funcs=BY_IDENTITY,
)
def load_queue(view: DatasetView) -> Queue:
    """Build the queue of a scanned dataset; once, and again when something behind it changes."""
    photographs = view.photographs
    opinions = [opinions_of_duplicates(photographs)]
    if view.analysis is not None and view.model_folder is not None:
        opinions = collect_opinions(photographs, view.analysis, view.model_folder) + opinions
    columns = {name: issue_column(name) for name in _ASKED_ABOUT}
    quality = {n: photographs[c].eq(True) for n, c in columns.items() if c in photographs}
    return Queue(review_queue(photographs, opinions, quality), opinions)


@dataclass(frozen=True)
class Place:
    """Where somebody is among the photographs to review.

    Parameters
    ----------
    names : sequence of str
        Filenames in the queue's order, those that are decided included.
    decided : set of str
        Filenames.
    at : int
        Position of the photograph shown; ``len(names)`` if all are decided.
    """

    names: Sequence[str]
    decided: frozenset[str]
    at: int

    @classmethod
    def find(cls, names: Sequence[str], decisions: Decisions, wanted: int) -> "Place":
        """Return the first undecided place from `wanted` on, round the end."""
        decided = frozenset(decisions.current)
        n = len(names)
        around = ((wanted + step) % n for step in range(n))
        at = next((place for place in around if names[place] not in decided), n)
        return cls(names, decided.intersection(names), at)

    def step(self, by: int) -> int:
        """Return the next undecided place in a direction, round the ends."""
        n = len(self.names)
        around = ((self.at + by * step) % n for step in range(1, n + 1))
        return next((p for p in around if self.names[p] not in self.decided), self.at)
