"""What a model takes for what: the matrix, its worst pairs, the photographs of a cell."""

from collections.abc import Callable
from html import escape
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.confusion import MOST_CLASSES_WITH_TEXT, confusion_figure
from dashboard.charts.style import NO_TOOLBAR
from dashboard.widgets.chosen_cell import choose_cell, show_class_boxes
from dashboard.widgets.matrix_clicks import frame_cell
from dashboard.widgets.sections import run_again
from dashboard.wording.metrics import cell_title
from dashboard.wording.names import counted_share, escape_markdown, human_name, markdown_name
from har_core.evaluation.confusion import Share, confusion_shares, most_confused_pairs
from har_core.images.thumbnails import data_uri
from har_core.storage.spreadsheets import escape_formula
from har_core.wording import counted

_CHART: Final = "confusion"
_TABLE: Final = "confusion_table"
_TOLD: Final = "confusion_told"
_CELL: Final = "confusion_cell"  # a fragment, by which it is run again
_ALT: Final = "Confusion matrix: photographs by true and predicted class"
_SIDE_BY_SIDE_UP_TO: Final = 20
_COUNTS_FIT_BELOW: Final = 1_000
_SHARES: Final[dict[Share, str]] = {
    "count": "photographs",
    "row": "% of true class",
    "column": "% of answers",
}


class Confusions(Protocol):
    """What is drawn, of `EvaluationResult` or of `MassResult`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the C classes."""

    @property
    def confusion(self) -> np.ndarray:
        """Photographs by true (row) and predicted (column) class, int64, shape (C, C)."""

    @property
    def similarity_order(self) -> np.ndarray:
        """Class indices so that classes taken for each other are neighbours, int, shape (C,)."""


class CellPhotos(Protocol):
    """The photographs of cells, as a page draws them."""

    def find(self, label: str | None, prediction: str | None) -> Any:
        """Return those of a true and a predicted class (None: any), the most confident first."""

    def show(self, found: Any) -> None:
        """Draw them, a page at a time."""

    def first(self, found: Any) -> dict[str, bytes]:
        """Return small JPEGs of a few by their names, of those that are at hand."""


def show_confusions(result: Confusions, photos: CellPhotos) -> None:
    """Draw the confusion matrix, and beside it the worst pairs or the chosen cell's photographs.

    Each runs again by itself: drawing the matrix anew takes a browser longer than all else.
    """
    if len(result.class_names) <= _SIDE_BY_SIDE_UP_TO:
        left, right = st.columns([7, 4], gap="medium")
    else:
        left, right = st.container(), st.container()
    with right:
        _show_cell(result, photos)
    with left:
        _show_matrix(result)


@st.fragment
def _show_matrix(result: Confusions) -> None:
    names = result.class_names
    with st.container(horizontal=True, vertical_alignment="bottom"):
        share: Share = st.segmented_control(
            "Cells show",
            list(_SHARES),
            default="count" if result.confusion.max() < _COUNTS_FIT_BELOW else "row",
            required=True,
            key="cells",
            bind="query-params",
            format_func=_SHARES.__getitem__,
        )
        with st.popover("Arrange", icon=":material/tune:"):
            by_name = st.segmented_control(
                "Order of classes",
                [False, True],
                default=False,
                required=True,
                key="order",
                bind="query-params",
                format_func=lambda by_name: "by name" if by_name else "similar side by side",
            )
            hide = st.toggle("Hide right answers", key="hide_right")
            as_table = st.toggle(
                "As a table",
                key="as_table",
                help="For the keyboard: the arrow keys walk through its cells.",
            )
    order = np.argsort(np.asarray(names)) if by_name else result.similarity_order
    if as_table:
        _show_table(result, share, order, hide)
    else:
        figure = _figure(
            result.confusion,
            names,
            order,
            share=share,
            hide_diagonal=hide,
            on_dark=st.context.theme.type == "dark",
        )
        st.plotly_chart(figure, key=_CHART, config=NO_TOOLBAR, alt=_ALT)
    has_numbers = len(names) <= MOST_CLASSES_WITH_TEXT and share != "count" and not as_table
    st.caption(
        "Rows are true classes, columns what the model said. "
        + ("" if as_table else "Teal: right, orange: wrong, each on its own scale. ")
        + "Click a cell for its photographs."
        + (" Below 0.5 % it has no number." if has_numbers else "")
    )


# Drawing it takes longer than all else that a rerun does; nobody changes a figure. Of a thousand
# classes it has tens of megabytes. Of a large array Streamlit itself would compare a sample.
@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs={np.ndarray: np.ndarray.tobytes})
def _figure(
    matrix: np.ndarray, class_names: tuple[str, ...], order: np.ndarray, **choices: Any
) -> go.Figure:
    return confusion_figure(matrix, class_names, order=order, **choices)


def _show_table(result: Confusions, share: Share, order: np.ndarray, hide_right: bool) -> None:
    # A button over the table saves it as CSV. Two classes may differ by an apostrophe alone.
    columns = {escape_formula(name): name for name in (result.class_names[i] for i in order)}
    values = confusion_shares(result.confusion, share)[np.ix_(order, order)]
    if share != "count":
        values = 100 * values
    if hide_right:
        np.fill_diagonal(values, np.nan)
    if _TABLE not in st.session_state:  # drawn anew, without a cell
        st.session_state[_TOLD] = []
    st.dataframe(
        pd.DataFrame(values, index=list(map(human_name, columns)), columns=list(columns)),
        key=_TABLE,
        on_select=lambda: _choose_cell_of_table(result.class_names, columns),
        selection_mode="single-cell",
        height="content" if len(columns) <= _SIDE_BY_SIDE_UP_TO else 560,
        alt=_ALT,
        column_config={
            column: st.column_config.NumberColumn(
                human_name(column), format="%d" if share == "count" else "%.0f %%", width="small"
            )
            for column in columns
        },
    )


def _choose_cell_of_table(class_names: tuple[str, ...], columns: dict[str, str]) -> None:
    cells = st.session_state[_TABLE]["selection"]["cells"]
    # A browser that has not heard that the table is gone tells of its cell once more.
    told, st.session_state[_TOLD] = st.session_state.get(_TOLD), cells
    if cells and cells != told:
        row, column = cells[0]
        if column in columns:
            choose_cell(class_names, (list(columns.values())[row], columns[column]))
            run_again(_CELL)


@st.fragment(key=_CELL)
def _show_cell(result: Confusions, photos: CellPhotos) -> None:
    names = result.class_names

    def choose(label: str | None, prediction: str | None) -> None:
        choose_cell(names, (label, prediction))

    def take_click(label: str, prediction: str) -> None:
        if label in names and prediction in names:  # a browser says so
            choose(label, prediction)

    label, prediction = show_class_boxes(names)
    if label is None and prediction is None:
        show_confused_pairs(result, photos, choose)
    else:
        found = photos.find(label, prediction)
        st.button(
            f"{escape_markdown(cell_title(label, prediction))} · {len(found):,}",
            key="clear_cell",
            icon=":material/close:",
            icon_position="right",
            on_click=choose,
            args=(None, None),
            help="Remove this filter",
        )
        if len(found):
            photos.show(found)
        else:
            st.caption("No photographs.")
    frame_cell(_CHART, (label, prediction), take_click)


def show_confused_pairs(
    result: Confusions,
    photos: CellPhotos,
    on_click: Callable[[str, str], None],
    per_row: int = 1,
) -> None:
    """Draw the pairs of classes that are confused most; a click opens a pair's photographs."""
    pairs = most_confused_pairs(result.confusion, result.class_names, limit=6)
    st.header("Most confused", anchor=False)
    if pairs.empty:
        st.caption("The model makes no mistake on these photographs.")
        return
    cards = list(enumerate(pairs.to_dict("records")))
    with st.container(key="confused_pairs"):
        for row in (cards[at : at + per_row] for at in range(0, len(cards), per_row)):
            for column, (rank, pair) in zip(st.columns(per_row), row, strict=False):
                with column, st.container(border=True, gap="xsmall", height="stretch"):
                    _show_pair(pair, rank, photos, on_click)


def _show_pair(
    pair: dict[Any, Any], rank: int, photos: CellPhotos, on_click: Callable[[str, str], None]
) -> None:
    """Draw a card's content, of a row of `most_confused_pairs`."""
    label, prediction = pair["label"], pair["prediction"]
    st.button(
        f"**{escape_markdown(cell_title(label, prediction))}**",
        key=f"pair_{rank}",
        type="tertiary",
        icon=":material/arrow_forward:",
        icon_position="right",
        on_click=on_click,
        args=(label, prediction),
    )
    share = f"{counted_share(pair['share'])} of {markdown_name(label)}"
    st.caption(f"{counted(pair['count'], 'photograph')}, {share}")
    pictures = photos.first(photos.find(label, prediction))
    if pictures:
        # `st.image` would send no more pixels than it is wide; these are sharp on dense screens.
        drawn = (
            f'<img src="{data_uri(picture)}" alt="The photograph {escape(name)}">'
            for name, picture in pictures.items()
        )
        st.html("".join(drawn))
