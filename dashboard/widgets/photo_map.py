"""A map of photographs as points: the picture under the mouse, and a region drawn around."""

from collections.abc import Callable
from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.dataset import chosen_points
from dashboard.widgets.sections import run_again
from har_core.images.thumbnails import data_uri
from har_core.wording import counted

REGION: Final = "map_region"  # the fragment that shows a region, by which it is run again
_ALT: Final = "Map of photographs: alike ones lie close together"
_HTML: Final = """
<div class="hover" aria-hidden="true" hidden><img alt=""></div>
"""

_CSS: Final = """
.hover { position: fixed; z-index: 1000; pointer-events: none; padding: 4px;
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius);
  background: var(--st-background-color); box-shadow: 0 2px 12px rgb(0 0 0 / 25%); }
.hover[hidden] { display: none; }
.hover img { display: block; max-width: 200px; max-height: 160px; }
"""

_JS: Final = """
const DELAY = 90
const roots = new WeakMap()
export default function (component) {
  const { data, parentElement, setStateValue } = component
  const box = parentElement.querySelector(".hover")
  let state = roots.get(box)
  if (!state) {
    state = { pictures: new Map(), row: null, events: null, timer: 0 }
    roots.set(box, state)
  }
  state.ask = row => setStateValue("row", row)
  if (state.scope !== data.scope) state.pictures.clear()
  state.scope = data.scope
  if (data.row !== null) state.pictures.set(data.row, data.picture)
  const show = () => {
    const picture = state.row === null ? "" : state.pictures.get(state.row)
    box.hidden = !picture
    if (!picture) return
    box.querySelector("img").src = picture
    // On the side where there is room.
    const { x, y } = state.place
    box.style.left = x < innerWidth / 2 ? `${x + 18}px` : ""
    box.style.right = x < innerWidth / 2 ? "" : `${innerWidth - x + 18}px`
    box.style.top = y < innerHeight / 2 ? `${y + 18}px` : ""
    box.style.bottom = y < innerHeight / 2 ? "" : `${innerHeight - y + 18}px`
  }
  const hover = ({ points, event }) => {
    const custom = points[0].customdata
    state.row = Number(Array.isArray(custom) ? custom[0] : custom)
    state.place = { x: event.clientX, y: event.clientY }
    show()
    clearTimeout(state.timer)
    // Whoever only passes by asks for nothing.
    if (!state.pictures.has(state.row)) {
      state.timer = setTimeout(() => state.ask(state.row), DELAY)
    }
  }
  const leave = () => {
    clearTimeout(state.timer)
    state.row = null
    show()
  }
  const attach = () => {
    const chart = document.querySelector(`[class*="st-key-${data.chart}"] .js-plotly-plot`)
    // A chart that is drawn anew may be the same element, with other listeners.
    if (!chart || !chart.on || chart._ev === state.events) return
    state.events = chart._ev
    chart.on("plotly_hover", hover)
    chart.on("plotly_unhover", leave)
  }
  attach()
  const watch = setInterval(attach, 500)
  show()
  return () => { clearInterval(watch); clearTimeout(state.timer); state.events = null }
}
"""

_hover = st.components.v2.component("har_hover_picture", html=_HTML, css=_CSS, js=_JS)
_KEY: Final = "hover_picture"


@st.fragment
def show_hover_picture(chart: str, scope: str, picture_of: Callable[[int], bytes | None]) -> None:
    """Show the picture of the point that the mouse is over.

    Parameters
    ----------
    chart : str
        Beginning of the key of a Plotly chart whose points carry a number as ``customdata``.
    scope : str
        Names the photographs that the numbers are of: others' pictures are forgotten.
    picture_of : callable
        Returns a JPEG for such a number, None if there is none.
    """
    state: Any = st.session_state.get(_KEY) or {}
    row = state.get("row")
    picture = picture_of(row) if isinstance(row, int) else None
    _hover(
        key=_KEY,
        data={
            "chart": chart,
            "scope": scope,
            "row": row if isinstance(row, int) else None,
            "picture": data_uri(picture) if picture else "",
        },
        on_row_change=lambda: None,
    )


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
        on_select=lambda: run_again(REGION),  # alone: the map is large
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
