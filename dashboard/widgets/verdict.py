"""How a verdict on two models looks wherever it is given."""

from typing import Final

import streamlit as st

# By `har_core.training.verdict.Verdict.outcome`: what draws it, and its icon.
VERDICT_BOXES: Final = {
    "better": (st.success, ":material/trending_up:"),
    "worse": (st.error, ":material/trending_down:"),
    "not distinguishable": (st.info, ":material/balance:"),
}
