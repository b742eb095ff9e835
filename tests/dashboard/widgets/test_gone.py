"""A browser that still shows what is gone from the page may tell of a choice in it."""

import json
from types import SimpleNamespace

import numpy as np
import plotly.graph_objects as go
import pytest
import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.testing.v1 import AppTest

from dashboard.dataset import tiles
from dashboard.widgets import confusions
from dashboard.widgets.gallery import Tile, gallery
from dashboard.widgets.matrix_clicks import frame_cell
from dashboard.widgets.photo_map import show_points
from tests.patience import PATIENCE_S

REGION = {"points": [], "point_indices": [], "box": [], "lasso": []}
CELL = {"rows": [], "columns": [], "cells": [[0, "running"]]}


def page(draw) -> None:
    import streamlit as st

    if not st.checkbox("Another page"):
        draw()


def a_map() -> None:
    show_points(go.Figure(go.Scatter(x=[1], y=[1])), key="a_map")


def a_table() -> None:
    st.session_state["as_table"] = True
    names = ("running", "sitting")
    matrix = np.eye(2, dtype=int)
    result = SimpleNamespace(class_names=names, confusion=matrix, similarity_order=[0, 1])
    st.fragment(key=confusions._CELL)(lambda: None)()
    confusions._show_matrix(result)


def a_gallery() -> None:
    gallery([Tile("a.jpg", "running")], key="tiles", on_opened=lambda name: tiles._open(name, []))


def a_matrix() -> None:
    frame_cell("confusion", (None, None), lambda *_: st.query_params.update(true="running"))


def selection(drawn, told) -> WidgetState:
    return WidgetState(id=drawn.proto.id, string_value=json.dumps({"selection": told}))


@pytest.mark.parametrize(
    ("draw", "kind", "told"),
    [
        (a_map, "plotly_chart", REGION),
        (a_table, "dataframe", CELL),
        (a_gallery, "bidi_component", {"event": "opened", "value": "a.jpg"}),
        (a_matrix, "bidi_component", {"event": "clicked", "value": ["running", "sitting"]}),
    ],
)
def test_a_choice_in_what_is_gone_breaks_no_page(draw, kind, told):
    app = AppTest.from_function(page, args=(draw,), default_timeout=PATIENCE_S).run()
    (drawn,) = app.get(kind)
    state = selection(drawn, told)
    if kind == "bidi_component":
        trigger = f"$$STREAMLIT_INTERNAL_KEY_{drawn.proto.id}__events"
        state = WidgetState(id=trigger, json_trigger_value=json.dumps([told]))
    away = app.checkbox[0].check()
    away.run()
    app._run(WidgetStates(widgets=[away._widget_state, state]))
    assert not app.exception


def test_a_table_s_cell_is_chosen_once_each_time_that_the_table_is_there():
    app = AppTest.from_function(page, args=(a_table,), default_timeout=PATIENCE_S).run()
    for _ in range(2):
        state, box = selection(app.dataframe[0], CELL), app.checkbox[0]
        app._run(WidgetStates(widgets=[state]))
        assert app.query_params["predicted"] == "running"
        app.query_params.clear()
        for _ in range(2):
            app._run(WidgetStates(widgets=[box.check()._widget_state, state]))
        assert not app.exception
        assert not app.query_params
        app._run(WidgetStates(widgets=[box.uncheck()._widget_state]))
