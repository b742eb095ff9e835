import pytest
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE_S
from tests.stale import say_again


def page() -> None:
    import streamlit as st

    from dashboard.widgets.chosen_cell import choose_cell, show_class_boxes

    names = ("a_b", "a b", "using_laptop", "any")
    st.session_state["cell"] = show_class_boxes(names)
    chosen = st.session_state.get("next", (None, None))
    st.button("elsewhere", on_click=choose_cell, args=(names, chosen))


@pytest.mark.parametrize("cell", [("a_b", "any"), ("a b", None), (None, "any")])
def test_what_is_chosen_elsewhere_and_in_the_boxes_is_what_the_address_says(cell):
    app = AppTest.from_function(page, default_timeout=PATIENCE_S).run()
    app.session_state["next"] = cell
    app.run()
    app.button[0].click().run()
    assert app.session_state["cell"] == cell
    assert tuple(box.value for box in app.selectbox) == cell
    link = AppTest.from_function(page, default_timeout=PATIENCE_S)
    link.query_params.update(app.query_params)
    assert link.run().session_state["cell"] == cell

    label, _ = app.selectbox
    key = label.key
    label.set_value("a b").run()
    assert app.session_state["cell"] == ("a b", cell[1])
    assert app.selectbox[0].key == key  # which keeps the keyboard's focus
    app.query_params.update(true="using laptop", predicted="a_b")  # as by the browser's Back
    app.run()
    assert app.session_state["cell"] == ("using_laptop", "a_b")
    assert [box.value for box in app.selectbox] == ["using_laptop", "a_b"]


def test_what_boxes_of_before_held_is_not_chosen_again():
    app = AppTest.from_function(page, default_timeout=PATIENCE_S).run()
    app.session_state["next"] = ("using_laptop", "any")
    app.run()
    app.button[0].click().run()
    app.session_state["next"] = (None, None)
    label, _ = app.run().selectbox
    label.set_value(label.value)
    app.button[0].click().run()
    say_again(label)
    assert app.session_state["cell"] == (None, None)
    assert app.query_params["true"] == app.query_params["predicted"] == ""
