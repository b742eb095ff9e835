"""Photographs without a label that would teach most, as a queue of the review."""

from typing import Final

import pandas as pd
import streamlit as st

from dashboard.dataset.decision_bar import current_decisions
from dashboard.dataset.review.queue import Queue
from dashboard.dataset.view import BY_IDENTITY, DatasetView
from har_core.analysis.labelling import choose_to_label
from har_core.analysis.opinions import Opinions, collect_opinions
from har_core.analysis.review import judge_labels
from har_core.analysis.whole_set import group_numbers

UNLABELLED: Final = "unlabelled"
_BEFORE: Final = "review_labels_before"
_Labels = tuple[tuple[str, str], ...]


def count_unlabelled(view: DatasetView) -> int:
    """Count the photographs that nobody has labelled or excluded yet."""
    return int((~_unlabelled(view).isin(current_decisions(view).current)).sum())


def _unlabelled(view: DatasetView) -> pd.Series:
    return view.photographs.loc[view.photographs["label"].eq(""), "filename"]


def load_batch(view: DatasetView) -> Queue:
    """Return the batch that somebody is at: it stays while they decide about it."""
    place = (view.folder, view.model_folder)
    kept = st.session_state.get(_BEFORE)
    if kept is None or kept[0] != place:
        start_batch(view)
    return _batch(view, st.session_state[_BEFORE][1])


def start_batch(view: DatasetView) -> None:
    """Let the next batch go by what is labelled and excluded now; for a button's callback."""
    decided = current_decisions(view)
    # What somebody has looked at and left without a label is not asked about again.
    left_out = decided.excluded | (decided.confirmed & set(_unlabelled(view)))
    snapshot = (tuple(sorted(decided.relabelled.items())), frozenset(left_out))
    st.session_state[_BEFORE] = ((view.folder, view.model_folder), snapshot)


@st.cache_resource(
    max_entries=4,
    show_spinner="Choosing what would teach most …",
    hash_funcs=BY_IDENTITY,
)
def _batch(view: DatasetView, before: tuple[_Labels, frozenset[str]]) -> Queue:
    analysis, folder = view.analysis, view.model_folder
    assert analysis is not None and folder is not None
    photographs = view.photographs
    given, left_out = dict(before[0]), before[1]
    names = zip(photographs["filename"], photographs["label"], strict=True)
    labels = pd.Series([given.get(name, label) for name, label in names], photographs.index)
    rows = analysis.table.index
    rows = rows[~photographs.loc[rows, "filename"].isin(left_out)]
    at = analysis.table.index.get_indexer(rows)
    choice = choose_to_label(
        analysis.components[at],
        labels.loc[rows].to_numpy(dtype=str),
        group_numbers(photographs.loc[rows]),
        analysis.model_probabilities[at],
    )
    chosen = rows[choice.rows]
    classes = set(labels[labels.ne("")])
    opinions = [
        source
        for source in collect_opinions(
            photographs.assign(label=labels), analysis, folder, rows=chosen
        )
        # A model of other classes can say nothing useful.
        if not classes or not classes.isdisjoint(source.probabilities.columns)
    ]
    if len(choice.class_names):
        said = pd.DataFrame(choice.probabilities, chosen, choice.class_names)
        opinions = [o for o in opinions if o.source != "regression"]
        opinions.append(Opinions("regression", said, pd.Series(True, chosen)))
    nothing = pd.Series("", chosen, dtype=object)
    judged = judge_labels(nothing, opinions)
    items = pd.DataFrame(
        {
            "filename": photographs.loc[chosen, "filename"],
            "label": nothing,
            "kind": UNLABELLED,
            "kinds": pd.Series([(UNLABELLED,)] * len(chosen), chosen, dtype=object),
            "findings": pd.Series([()] * len(chosen), chosen, dtype=object),
            **{name: judged[name] for name in ("suggested", "agreed", "doubt")},
        }
    )
    return Queue(items, opinions)
