"""The Dataset page's map: alike photographs lie together; lasso some to see them."""

from typing import Final

import pandas as pd
import streamlit as st

from dashboard.charts.dataset import SPLIT_COLOURS, chosen_points, photo_map
from dashboard.charts.style import ACCENT, MUTED
from dashboard.dataset.decision_bar import show_decision_bar
from dashboard.dataset.tiles import PAGE_SIZE, issue_title, show_tiles
from dashboard.dataset.view import DatasetView
from dashboard.widgets.hover_picture import show_hover_picture
from dashboard.widgets.paging import choose_page
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.names import counted
from har_core.images.thumbnails import thumbnail
from har_core.scan.issues import ISSUE_KINDS, issue_column

_COLOURINGS: Final = ("Class", "Split", "Finding")


@st.fragment
def show_map(view: DatasetView) -> None:
    """Draw the map and the photographs of the region that was lassoed."""
    if view.analysis is None:
        st.info(
            "The map needs the model to look at all photographs first (above).",
            icon=":material/visibility:",
        )
        return
    points = view.photographs.dropna(subset=["x"])
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
            names = [n for n in (*ISSUE_KINDS, "outlier") if points[issue_column(n)].eq(True).any()]
            finding = st.selectbox(
                "Finding",
                names,
                format_func=issue_title,
                key="map_finding",
                bind="query-params",
                width=280,
            )
    if colouring == "Class":
        figure = photo_map(points, points["label"])
    elif colouring == "Split":
        figure = photo_map(points, points["split"], colours=SPLIT_COLOURS)
    else:
        title = issue_title(finding) if finding else "any finding"
        flagged = (
            points[issue_column(finding)].eq(True) if finding else pd.Series(False, points.index)
        )
        groups = flagged.map({True: title, False: "other"})
        figure = photo_map(points, groups, colours={title: ACCENT, "other": MUTED})
    event = st.plotly_chart(
        figure,
        key=f"photo_map_{colouring}",
        on_select="rerun",
        selection_mode=("lasso", "box", "points"),
        config={"displaylogo": False, "scrollZoom": True},
        alt="Map of the photographs: alike ones lie close together",
    )
    show_hover_picture("photo_map", str(view.identity), lambda row: _thumbnail_of(points, row))
    left_out = len(view.analysis.table) - len(points)
    st.caption(
        "Point at one to see it; drag around some to see them all.  \n"
        "Only nearness means something: principal components of the model's features, arranged by "
        "t-SNE." + (f" A sample: {left_out:,} photographs are not drawn." if left_out else ""),
        help=GLOSSARY["backbone features"],
    )
    _show_region(view, chosen_points(event))


def _thumbnail_of(points: pd.DataFrame, row: int) -> bytes | None:
    # The number comes from a browser.
    path = points["path"].get(row)
    return thumbnail(path) if isinstance(path, str) else None


def _show_region(view: DatasetView, chosen: list[int]) -> None:
    if not chosen:
        return
    rows = view.photographs.loc[chosen]
    st.markdown(f"**{counted(len(rows), 'photograph')} in this region**")
    shown = rows.iloc[choose_page(len(rows), PAGE_SIZE, f"map_page_{hash(tuple(chosen))}")]
    bar = st.container()
    selected = show_tiles(view, shown, key="map_gallery")
    with bar:
        show_decision_bar(view, selected, key="map", all_names=rows["filename"].tolist())
