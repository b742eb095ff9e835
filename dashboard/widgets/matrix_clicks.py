"""Cells of a drawn confusion matrix that are clicked, and the one that is framed.

A figure with another frame would be another chart, which a browser draws from the beginning.
"""

from collections.abc import Callable
from typing import Any, Final

import streamlit as st

from dashboard.widgets.chosen_cell import Cell

_JS: Final = """
const states = new WeakMap()
export default function ({ data, parentElement, setTriggerValue }) {
  const state = states.get(parentElement) ?? { events: null, path: null }
  states.set(parentElement, state)
  const find = () => document.querySelector(`.st-key-${data.chart} .js-plotly-plot`)
  const frame = () => {
    const bars = (find()?.data ?? []).filter(({ type }) => type === "bar")
    const framed = bars.flatMap(({ customdata }) => customdata ?? []).findIndex(
      ([label, prediction]) => label === state.cell[0] && prediction === state.cell[1])
    if (state.path) state.path.style.opacity = 0
    state.path = find()?.querySelectorAll(".barlayer .point")[framed]?.querySelector("path")
    if (state.path) state.path.style.opacity = 1
  }
  state.cell = data.cell
  state.frame = frame
  state.click = ({ points }) => {
    state.cell = points[0].customdata.slice(0, 2)
    frame()
    setTriggerValue("clicked", state.cell)
  }
  const attach = () => {
    const chart = find()
    // A chart that is drawn anew may be the same element, with other listeners.
    if (!chart?.on || chart._ev === state.events) return
    state.events = chart._ev
    chart.on("plotly_click", event => state.click(event))
    chart.on("plotly_afterplot", () => state.frame())
    state.frame()
  }
  state.observer?.disconnect()
  state.observer = new MutationObserver(attach)
  state.observer.observe(document.body, { childList: true, subtree: true })
  attach()
  frame()
  return () => state.observer.disconnect()
}
"""

_component = st.components.v2.component("har_matrix_clicks", html="<span></span>", js=_JS)
_KEY: Final = "matrix_clicks"


def frame_cell(
    chart: str,
    cell: Cell,
    on_click: Callable[[str, str], None],
) -> None:
    """Frame a cell of a matrix, and tell of clicks on others; draws nothing itself.

    Parameters
    ----------
    chart : str
        Key of a chart of `dashboard.charts.confusion.confusion_figure`.
    cell : Cell
        With None, no cell is framed.
    on_click : callable
        Called with the true and the predicted class of a cell, as a browser names them.
    """

    def tell() -> None:
        state: Any = st.session_state.get(_KEY)
        if state is not None:  # not if the matrix was gone already when it was clicked
            label, prediction = state["clicked"]
            on_click(label, prediction)

    _component(
        key=_KEY,
        data={"chart": chart, "cell": cell},
        on_clicked_change=tell,
        height=1,
    )
