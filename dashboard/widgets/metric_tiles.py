"""The headline metrics as a row of tiles."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from dashboard.wording.metrics import METRIC_MEANINGS, metric_interval, metric_value
from har_core.evaluation.bootstrap import Interval
from har_core.evaluation.totals import METRIC_TITLES

# The field's short word for what would not fit; the tooltip has the long one.
_TITLES: Final = METRIC_TITLES | {"ece": "ECE"}
_HELP: Final = METRIC_MEANINGS | {"ece": f"{METRIC_TITLES['ece']}. {METRIC_MEANINGS['ece']}"}


def show_metric_tiles(intervals: Mapping[str, Interval]) -> None:
    """Draw the headline metrics with their intervals; tooltips say what each means."""
    with st.grid(5, min_column_width=150, gap="small"):
        for name, interval in intervals.items():
            st.metric(
                _TITLES[name],
                metric_value(name, interval.value),
                metric_interval(name, interval),
                delta_color="off",
                delta_arrow="off",
                help=_HELP[name],
                border=True,
            )
