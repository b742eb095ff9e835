"""A browser of very many scored photographs: filter, sort, and page through them."""

from typing import Final

import numpy as np
import streamlit as st

from dashboard.results.photos import ScoredPhotos
from dashboard.widgets.filters import class_filter, say_none_match, search_filter
from dashboard.wording.names import reason_in_words
from har_core.scale.opened.table import VERDICTS, ResultsTable
from har_core.wording import counted

_FAILED: Final = "failed"
_REASON: Final = "reason:"
_KINDS: Final = {
    "": "All",
    "answered": "Clear",
    "unsure": "Unsure",
    "foreign": "None of these actions",
    "warned": "Used with a warning",
    _FAILED: "No answer",
}
# Title: column, sign of what comes first.
_ORDERS: Final = {
    "As scored": None,
    "Least sure": ("confidence", 1),
    "Most sure": ("confidence", -1),
    "Least like what it knows": ("novelty", -1),
}

_NO_FILTERS: Final = dict.fromkeys(("results_search", "results_class", "results_kind"), "")


def show_browser(table: ResultsTable) -> None:
    """Draw filters, and a page of thumbnails."""
    filters = st.grid("auto", min_column_width=150)
    with filters:
        search = search_filter("Path", "a path", key="results_search")
        action = class_filter("Answer", table.class_names, key="results_class")
    kind = filters.selectbox(
        "Kind",
        [*_KINDS, *(_REASON + name for name in table.reasons)],
        format_func=_kind_title,
        key="results_kind",
        bind="query-params",
    )
    order = filters.selectbox("Sort by", list(_ORDERS), key="results_order", bind="query-params")
    rows = _rows(table.identity, search, action, kind, order, table)
    if not len(rows):
        say_none_match(_NO_FILTERS)
        return
    st.markdown(f"**{counted(len(rows), 'photograph')}**")
    ScoredPhotos(table).show(rows, key="results")


def _kind_title(kind: str) -> str:
    if kind.startswith(_REASON):
        return f"No answer: {reason_in_words(kind.removeprefix(_REASON))}"
    return _KINDS[kind]


@st.cache_resource(max_entries=6, show_spinner="Looking for them …")
def _rows(
    identity: tuple[str, int, int],
    search: str,
    action: str,
    kind: str,
    order: str,
    _table: ResultsTable,
) -> np.ndarray:
    return find_rows(_table, search=search, action=action, kind=kind, order=order)


def find_rows(
    table: ResultsTable, *, search: str = "", action: str = "", kind: str = "", order: str = ""
) -> np.ndarray:
    """Return the numbers of the rows that match all filters, sorted; empty ones match all."""
    kept = np.ones(table.n, bool)
    if action:
        kept &= table.action == table.class_names.index(action)
    if kind in VERDICTS:
        kept &= table.verdict == VERDICTS.index(kind)
    elif kind == "warned":
        kept &= table.warned
    elif kind == _FAILED:
        kept &= ~table.answered
    elif kind:
        kept &= table.reason == table.reasons.index(kind.removeprefix(_REASON))
    if search:
        kept &= table.containing(search)
    rows = np.flatnonzero(kept)
    chosen = _ORDERS.get(order)
    if chosen is None:
        return rows
    column, sign = chosen
    # NaN, of those without an answer, sorts to the end either way.
    return rows[np.argsort(sign * getattr(table, column)[rows], kind="stable")]
