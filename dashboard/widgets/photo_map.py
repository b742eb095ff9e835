"""A map of photographs as points, and the region of it that somebody has drawn around."""

from typing import Final

import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.dataset import chosen_points
from dashboard.wording.names import counted

REGION: Final = "map_region"  # the fragment that shows a region, by which it is run again
_ALT: Final = "Map of photographs: alike ones lie close together"


def show_points(figure: go.Figure, *, key: str) -> None:
    """Draw a map; a region that is drawn around runs the fragment `REGION` alone.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        See `dashboard.charts.dataset.photo_map`.
    key : str
        Of the chart, for `chosen_region`.
    """
    st.plotly_chart(
        figure,
        key=key,
        on_select=lambda: st.rerun(REGION),  # alone: the map is large
        selection_mode=("lasso", "box", "points"),
        config={"displaylogo": False, "scrollZoom": True},
        alt=_ALT,
    )


def chosen_region(key: str) -> list[int]:
    """Return the numbers of the points that are drawn around on a map, and say how many."""
    chosen = chosen_points(st.session_state[key])
    if chosen:
        st.markdown(f"**{counted(len(chosen), 'photograph')} in this region**")
    return chosen
