"""The confusion matrix as a table."""

import json

from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE_S


def page() -> None:
    from types import SimpleNamespace

    import numpy as np
    import streamlit as st

    from dashboard.widgets import confusions

    st.session_state["as_table"] = True
    names, matrix = ("=sum", "sitting", "'=sum"), np.array([[5, 1, 0], [2, 7, 0], [1, 1, 4]])
    result = SimpleNamespace(class_names=names, confusion=matrix, similarity_order=np.arange(3))
    st.fragment(key=confusions._CELL)(lambda: None)()
    confusions._show_matrix(result)


def test_a_class_that_is_called_like_a_formula_is_no_formula_and_can_be_chosen():
    app = AppTest.from_function(page, default_timeout=PATIENCE_S).run()
    (drawn,) = app.dataframe
    assert list(drawn.value.columns) == list(drawn.value.index) == ["'=sum", "sitting", "''=sum"]
    assert set(json.loads(drawn.proto.columns)) == set(drawn.value.columns)
    chosen = {"selection": {"rows": [], "columns": [], "cells": [[1, "'=sum"]]}}
    app._run(
        WidgetStates(widgets=[WidgetState(id=drawn.proto.id, string_value=json.dumps(chosen))])
    )
    assert not app.exception
    assert (app.query_params["true"], app.query_params["predicted"]) == ("sitting", "=sum")
