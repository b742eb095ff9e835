"""The verdict that pages show is of the models as they are."""

import pandas as pd
from streamlit.testing.v1 import AppTest

from har_core.evaluation.answers import store_temperature
from tests.drawing import CLASS_NAMES
from tests.evaluated import write_evaluated_bundle
from tests.patience import PATIENCE_S


def page() -> None:
    import streamlit as st

    from dashboard.widgets.verdict import load_verdict

    results = load_verdict(*st.session_state["models"]).comparison.results
    for result in results.values():
        st.text(result.headline()["log_loss"]["value"])


def test_a_temperature_that_is_stored_reaches_the_verdict(tmp_path):
    table = pd.DataFrame({"filename": [f"{n}.jpg" for n in range(60)], "split": "test"})
    table["label"] = [CLASS_NAMES[n % 3] for n in range(60)]
    for seed, name in enumerate(("old", "new")):
        write_evaluated_bundle(tmp_path, table, CLASS_NAMES, name=name, seed=seed)
    app = AppTest.from_function(page, default_timeout=PATIENCE_S)
    app.session_state["models"] = [tmp_path / "old", tmp_path / "new"]
    old, new = (text.value for text in app.run().text)
    store_temperature(tmp_path / "old", 5.0)
    after = [text.value for text in app.run().text]
    assert after[0] != old
    assert after[1] == new
