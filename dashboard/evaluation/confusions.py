"""The section Confusions: what the model takes for what, and those photographs."""

from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.evaluation.shown import Shown
from dashboard.widgets import confusions
from dashboard.widgets.chosen_cell import choose_cell

TITLE: Final = "Confusions"
VIEW_KEY: Final = "view"


def show_confusions(shown: Shown) -> None:
    """Draw the section."""
    confusions.show_confusions(shown.result, _EvaluatedCells(shown))


def show_confused_pairs(shown: Shown) -> None:
    """Draw the pairs that are confused most; a click opens this section."""

    def open_cell(label: str, prediction: str) -> None:
        st.session_state[VIEW_KEY] = TITLE
        choose_cell(shown.result.class_names, (label, prediction))

    confusions.show_confused_pairs(shown.result, _EvaluatedCells(shown), open_cell, per_row=3)


class _EvaluatedCells:
    """Of an evaluation; see `dashboard.widgets.confusions.CellPhotos`."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    @cached_property
    def _by_confidence(self) -> pd.DataFrame:
        photographs = self._shown.result.photographs()
        return photographs.sort_values("confidence", ascending=False, kind="stable")

    def find(self, label: str | None, prediction: str | None) -> pd.DataFrame:
        photographs = self._by_confidence
        chosen = np.ones(len(photographs), bool)
        for column, name in (("label", label), ("prediction", prediction)):
            if name is not None:
                chosen &= photographs[column].eq(name).to_numpy()
        return photographs[chosen]

    def show(self, found: pd.DataFrame) -> None:
        self._shown.photos.show(found, key="cell_photographs", page_size=12, tile_width=124)

    def first(self, found: pd.DataFrame) -> dict[str, bytes]:
        names = found["filename"].head(3).tolist()
        pictures = zip(names, self._shown.files.thumbnails(names), strict=True)
        return {name: picture for name, picture in pictures if picture is not None}
