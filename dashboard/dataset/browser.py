"""The Dataset page's browser: filter, sort and page through the photographs."""

from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.dataset.decision_bar import current_decisions, show_decision_bar
from dashboard.dataset.tiles import PAGE_SIZE, issue_title, show_tiles
from dashboard.dataset.view import DatasetView, section
from dashboard.widgets.filters import class_filter, say_none_match, search_filter
from dashboard.widgets.gallery import choose_page
from dashboard.wording.names import bold_count, name_in_text, percent
from har_core.dataset.splits import splits_in
from har_core.scan.issues import ISSUE_KINDS, issue_column

_ANY: Final = "any"
_NONE: Final = "none"
_DECIDED: Final = {
    "any": "Any",
    "undecided": "Undecided",
    "excluded": "Excluded",
    "relabelled": "Relabelled",
    "confirmed": "Right as it is",
}
# Title: column, ascending.
_ORDERS: Final = {
    "Name": ("filename", True),
    "Model least sure": ("confidence", True),
    "Model most sure": ("confidence", False),
    "Largest file": ("size_bytes", False),
    "Smallest file": ("size_bytes", True),
    "Most pixels": ("pixels_total", False),
    "Fewest pixels": ("pixels_total", True),
    "Least sharp": ("sharpness", True),
    "Darkest": ("brightness", True),
    "Brightest": ("brightness", False),
    "Oddest (outliers)": ("outlier_score", True),
}

_NO_FILTERS: Final = {
    **dict.fromkeys(("browse_search", "browse_class", "browse_finding", "browse_split"), ""),
    "browse_decided": "any",
}


@section()
def show_browser(view: DatasetView) -> None:
    """Draw filters, a page of thumbnails, and what can be decided about them."""
    filters = st.grid("auto", min_column_width=140)
    with filters:
        search = search_filter("Filename", "a name", key="browse_search")
        label = class_filter("Class", view.class_names, key="browse_class")
    finding = filters.selectbox(
        "Finding",
        _finding_options(view),
        format_func=_finding_title,
        key="browse_finding",
        bind="query-params",
        help=None if view.scanned else "Scan the photographs to filter by finding.",
    )
    split = filters.selectbox(
        "Split",
        ["", *splits_in(view.photographs["split"])],
        format_func=lambda name: name.capitalize() or "All splits",
        key="browse_split",
        bind="query-params",
    )
    order = filters.selectbox("Sort by", _orders_of(view), key="browse_order", bind="query-params")
    decided = st.segmented_control(
        "Decision",
        list(_DECIDED),
        default="any",
        required=True,
        format_func=_DECIDED.__getitem__,
        key="browse_decided",
        bind="query-params",
        label_visibility="collapsed",
    )
    kept = filter_photographs(
        view, search=search, label=label, finding=finding, split=split, decided=decided or "any"
    )
    if order not in view.orders:  # sorting a hundred thousand names takes a third of a second
        view.orders[order] = sort_photographs(view.photographs, order)
    positions = view.orders[order]
    positions = positions[kept[positions]]
    if not len(positions):
        say_none_match(_NO_FILTERS)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(bold_count(len(positions), "photograph"), width="content")
        # Another filter starts on its first page.
        key = f"page {search} {label} {finding} {split} {order} {decided}"
        page = choose_page(len(positions), PAGE_SIZE, key)
    shown = view.photographs.iloc[positions[page]]
    bar = st.container()
    by_confidence = _ORDERS[order][0] == "confidence"
    selected = show_tiles(
        view, shown, key="browser_gallery", note=_describe_prediction if by_confidence else None
    )
    with bar:
        names = view.photographs["filename"].to_numpy()[positions].tolist()
        show_decision_bar(view, selected, key="browser", all_names=names)


def _describe_prediction(row: pd.Series) -> str:
    if pd.isna(row["confidence"]):
        return "no prediction"
    return f"model: {name_in_text(row['prediction'])} {percent(row['confidence'])}"


def _finding_options(view: DatasetView) -> list[str]:
    if not view.scanned:
        return [""]
    names = [n for n in ISSUE_KINDS if view.photographs[issue_column(n)].any()]
    if view.analysis is not None and view.analysis.table["is_outlier_issue"].any():
        names.append("outlier")
    return ["", _ANY, _NONE, *names]


def _finding_title(name: str) -> str:
    fixed = {"": "All", _ANY: "With any finding", _NONE: "Without findings"}
    return fixed.get(name) or issue_title(name)


def _orders_of(view: DatasetView) -> list[str]:
    known = set(view.photographs.columns)
    if "width" in known:
        known.add("pixels_total")
    if view.photographs["confidence"].isna().all():
        known.discard("confidence")
    return [title for title, (column, _) in _ORDERS.items() if column in known]


def filter_photographs(
    view: DatasetView, *, search: str, label: str, finding: str, split: str, decided: str
) -> np.ndarray:
    """Tell which rows of ``view.photographs`` match all filters, bool; empty ones match all."""
    rows = view.photographs
    kept = pd.Series(True, index=rows.index)
    if search:
        kept &= rows["filename"].str.contains(search, case=False, regex=False)
    if label:
        kept &= rows["label"].eq(label)
    if split:
        kept &= rows["split"].eq(split)
    if finding in (_ANY, _NONE):
        kept &= view.has_finding == (finding == _ANY)
    elif finding:
        kept &= rows[issue_column(finding)].eq(True)
    if decided != "any":
        decisions = current_decisions(view)
        names = {
            "undecided": set(decisions.current),
            "excluded": decisions.excluded,
            "relabelled": set(decisions.relabelled),
            "confirmed": decisions.confirmed,
        }[decided]
        kept &= rows["filename"].isin(names) != (decided == "undecided")
    return kept.to_numpy()


def sort_photographs(rows: pd.DataFrame, order: str) -> np.ndarray:
    """Return the positions of rows in one of the orders; those without the value come last."""
    column, ascending = _ORDERS[order]
    if column == "filename":
        # Image_2 before Image_10.
        number = rows["filename"].str.extract(r"(\d+)(?=\D*$)")[0].astype(float)
        stem = rows["filename"].str.replace(r"\d+(?=\D*$)", "", regex=True)
        keys = pd.DataFrame({"stem": stem.to_numpy(), "number": number.to_numpy()})
        return keys.sort_values(["stem", "number"]).index.to_numpy()
    if column == "pixels_total":
        keys = rows["width"].astype(float) * rows["height"].astype(float)
    else:
        keys = rows[column].astype(float)
    keys = keys.reset_index(drop=True)
    return keys.sort_values(ascending=ascending, kind="stable").index.to_numpy()
