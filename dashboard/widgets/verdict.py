"""A verdict on two models: made once, and how it looks wherever it is given."""

from pathlib import Path
from typing import Final

import streamlit as st

from har_core.evaluation.store import evaluation_stamp
from har_core.training.verdict import Verdict, judge_models

# By `har_core.training.verdict.Verdict.outcome`: what draws it, and its icon.
VERDICT_BOXES: Final = {
    "better": (st.success, ":material/trending_up:"),
    "worse": (st.error, ":material/trending_down:"),
    "not distinguishable": (st.info, ":material/balance:"),
}


def load_verdict(old: Path, new: Path, labels: str | None = None) -> Verdict:
    """Judge a model against another one, and again when one of them, or its temperature, changes.

    See `har_core.training.verdict.judge_models`.
    """
    stamps = tuple(evaluation_stamp(folder, "test") for folder in (old, new))
    return _verdict(str(old), str(new), labels, stamps)


@st.cache_resource(max_entries=8, show_spinner="Comparing …")
def _verdict(
    old: str, new: str, labels: str | None, stamps: tuple[tuple[int, ...], ...]
) -> Verdict:
    return judge_models(Path(old), Path(new), labels=labels)
