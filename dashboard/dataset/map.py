"""The Dataset page's map: alike photographs lie together; lasso some to see them."""

from typing import Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.dataset import photo_map, split_colours
from dashboard.charts.style import ACCENT, MUTED
from dashboard.dataset.decision_bar import show_decision_bar
from dashboard.dataset.tiles import PAGE_SIZE, issue_title, show_tiles
from dashboard.dataset.view import BY_IDENTITY, DatasetView, section
from dashboard.widgets.gallery import choose_page
from dashboard.widgets.photo_map import REGION, chosen_region, show_hover_picture, show_points
from dashboard.wording.glossary import GLOSSARY
from har_core.images.thumbnails import thumbnail
from har_core.scan.issues import ISSUE_KINDS, issue_column
from har_core.wording import counted

_COLOURINGS: Final = ("Class", "Split", "Finding")


@section()
def show_map(view: DatasetView) -> None:
    """Draw the map and the photographs of the region that was lassoed."""
    if view.analysis is None:
        st.info(
            "The map needs the model to look at all photographs first (above).",
            icon=":material/visibility:",
        )
        return
    finding = None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colouring = st.segmented_control(
            "Colour by",
            _COLOURINGS,
            default="Class",
            required=True,
            key="map_colouring",
            bind="query-params",
        )
        if colouring == "Finding":
            finding = st.selectbox(
                "Finding",
                _findings(view),
                format_func=issue_title,
                key="map_finding",
                bind="query-params",
                width=280,
            )
    chart = f"photo_map_{colouring}"
    show_points(_figure(view, colouring, finding), key=chart)
    show_hover_picture("photo_map", str(view.identity), lambda row: _thumbnail_of(view, row))
    left_out = int(view.analysis.table["x"].isna().sum())
    st.caption(
        "Point at one to see it; drag around some to see them all.  \n"
        "Only nearness means something: principal components of the model's features, arranged by "
        "t-SNE." + (f" A sample: {counted(left_out, 'photograph')} not drawn." if left_out else ""),
        help=GLOSSARY["backbone features"],
    )
    _show_region(view, chart)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=BY_IDENTITY)
def _findings(view: DatasetView) -> list[str]:
    points = view.photographs[view.photographs["x"].notna()]
    return [n for n in (*ISSUE_KINDS, "outlier") if points[issue_column(n)].eq(True).any()]


# A figure of thousands of points, which nobody changes.
@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=BY_IDENTITY)
def _figure(view: DatasetView, colouring: str, finding: str | None) -> go.Figure:
    points = view.photographs[view.photographs["x"].notna()]
    if colouring == "Class":
        return photo_map(points, points["label"])
    if colouring == "Split":
        return photo_map(points, points["split"], colours=split_colours(points["split"]))
    title = issue_title(finding) if finding else "any finding"
    flagged = points[issue_column(finding)].eq(True) if finding else pd.Series(False, points.index)
    groups = flagged.map({True: title, False: "other"})
    return photo_map(points, groups, colours={title: ACCENT, "other": MUTED})


def _thumbnail_of(view: DatasetView, row: int) -> bytes | None:
    # The number comes from a browser.
    path = view.photographs["path"].get(row)
    return thumbnail(path) if isinstance(path, str) else None


@section(key=REGION)
def _show_region(view: DatasetView, chart: str) -> None:
    chosen = chosen_region(chart)
    if not chosen:
        return
    rows = view.photographs.loc[chosen]
    shown = rows.iloc[choose_page(len(rows), PAGE_SIZE, f"map_page_{hash(tuple(chosen))}")]
    bar = st.container()
    selected = show_tiles(view, shown, key="map_gallery")
    with bar:
        show_decision_bar(view, selected, key="map", all_names=rows["filename"].tolist())
