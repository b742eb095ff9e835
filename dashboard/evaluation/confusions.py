"""The section Confusions: the matrix, its worst pairs, the photographs of a cell."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.confusion import confusion_figure
from dashboard.charts.style import NO_TOOLBAR
from dashboard.evaluation.shown import Shown
from dashboard.widgets.confused import confused_pair
from dashboard.wording.metrics import cell_title
from dashboard.wording.names import escape_markdown, human_name
from har_core.evaluation.confusion import Share, confusion_shares, most_confused_pairs
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import Evaluation
from har_core.storage.spreadsheets import neutralise_formulas

TITLE: Final = "Confusions"
VIEW_KEY: Final = "view"
TRUE_KEY: Final = "true"
PREDICTED_KEY: Final = "predicted"
_KEYS: Final = (TRUE_KEY, PREDICTED_KEY)
_TITLES: Final = ("True class", "Predicted class")
_ADDRESS_KEY: Final = "cell_in_address"
_CHOSEN: Final = "chosen_cell"
Cell = tuple[str | None, str | None]
_ANY: Final = "any"
_DRAWN: Final = "drawn_matrix"
_CHART: Final = "confusion"
_NO_SELECTION: Final[dict[str, Any]] = {"selection": {"points": []}}
# Fragments, by which they are run again.
_MATRIX: Final = "confusion_matrix"
_CELL: Final = "confusion_cell"
_ALT: Final = "Confusion matrix: photographs by true and predicted class"
_SIDE_BY_SIDE_UP_TO: Final = 20


def show_confusions(shown: Shown) -> None:
    """Draw the confusion matrix, and beside it the worst pairs or the chosen cell's photographs.

    Each runs again by itself: drawing the matrix anew takes a browser longer than all else.
    """
    if len(shown.result.class_names) <= _SIDE_BY_SIDE_UP_TO:
        left, right = st.columns([7, 4], gap="medium")
    else:
        left, right = st.container(), st.container()
    with right:
        _show_cell(shown)
    with left:
        _show_matrix(shown)


@st.fragment(key=_MATRIX)
def _show_matrix(shown: Shown) -> None:
    result = shown.result
    names = result.class_names
    with st.container(horizontal=True, vertical_alignment="bottom"):
        share: Share = st.segmented_control(
            "Cells show",
            ["count", "row", "column"],
            default="count",
            required=True,
            key="cells",
            bind="query-params",
            format_func={
                "count": "photographs",
                "row": "% of true class",
                "column": "% of answers",
            }.__getitem__,
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
        _show_table(result, share, order)
    else:
        on_dark = st.context.theme.type == "dark"
        st.plotly_chart(
            _figure(
                _identity(shown.evaluation),
                result.confusion,
                names,
                share=share,
                order=order,
                hide_diagonal=hide,
                selected=_framed((_identity(shown.evaluation), share, by_name, hide, on_dark)),
                on_dark=on_dark,
            ),
            key=_CHART,
            on_select=_choose_clicked_cell,
            selection_mode="points",
            config=NO_TOOLBAR,
            alt=_ALT,
        )
    st.caption(
        "Rows are true classes, columns what the model said. Teal: right, orange: wrong, each "
        "with a colour scale of its own. Click a cell to see its photographs."
    )


def _framed(drawn: tuple[Any, ...]) -> tuple[str, str] | None:
    """Return which cell the matrix frames; `drawn` is whatever else it depends on.

    The browser frames a cell that is clicked by itself. The figure stays as it was then, since
    any other one would be drawn from the beginning.
    """
    cell, _ = st.session_state[_CHOSEN]
    before, framed = st.session_state.get(_DRAWN, (None, None))
    if before != drawn or _clicked_cell() != cell:
        framed = None if None in cell else cell
    st.session_state[_DRAWN] = (drawn, framed)
    return framed


# Drawing it takes longer than all else that a rerun does; nobody changes a figure. There is one
# for each cell that was clicked; of a thousand classes it has tens of megabytes.
@st.cache_resource(max_entries=8, show_spinner=False)
def _figure(
    identity: tuple[Any, ...], matrix: np.ndarray, class_names: tuple[str, ...], **choices: Any
) -> go.Figure:
    return confusion_figure(matrix, class_names, **choices)


def _identity(evaluation: Evaluation) -> tuple[Any, ...]:
    """Tell evaluations apart: of a large array Streamlit compares a sample."""
    return (evaluation.model, evaluation.name, evaluation.created, evaluation.network)


def _choose_classes(class_names: tuple[str, ...]) -> Cell:
    """Draw the choice of a true and a predicted class, which the page's address keeps."""
    _follow_address(class_names)
    cell, n = st.session_state[_CHOSEN]
    with st.grid(2, min_column_width=120, gap="small"):
        for title, key, name in zip(_TITLES, _KEYS, cell, strict=True):
            st.selectbox(
                title,
                class_names,
                index=None if name is None else class_names.index(name),
                key=f"{key} {n}",
                format_func=human_name,
                placeholder=_ANY,
                on_change=_take_classes,
            )
    return cell


def _take_classes() -> None:
    _, n = st.session_state[_CHOSEN]
    label, prediction = (st.session_state[f"{key} {n}"] for key in _KEYS)
    _set_cell(label, prediction, n)
    st.rerun([_CELL, _MATRIX])


def open_cell(label: str, prediction: str) -> None:
    """Show the photographs of a cell, from another section."""
    st.session_state[VIEW_KEY] = TITLE
    _set_cell(label, prediction)


def _choose_cell(label: str | None, prediction: str | None) -> None:
    """Show the photographs of a cell, of a class, or (two times None) no selection."""
    _set_cell(label, prediction)
    st.rerun([_CELL, _MATRIX])


def _set_cell(label: str | None, prediction: str | None, n: int | None = None) -> None:
    """Choose a cell, and write both classes into the address at once.

    Two choices that Streamlit binds to the address would be two steps of the browser's history.
    What is chosen elsewhere than in the `n`th boxes gets new ones: a browser that had not yet heard
    of it would send what the old ones held, as if somebody had chosen that.
    """
    _remember_cell((label, prediction), n)
    names = zip(_KEYS, (label, prediction), strict=True)
    st.query_params.update({key: human_name(name or _ANY) for key, name in names})
    st.session_state[_ADDRESS_KEY] = _address()


def _remember_cell(cell: Cell, n: int | None = None) -> None:
    _, before = st.session_state.get(_CHOSEN, (None, 0))
    st.session_state[_CHOSEN] = (cell, before + 1 if n is None else n)


def _follow_address(class_names: tuple[str, ...]) -> None:
    """Choose what the address says, if a link or the browser's Back has changed it.

    It may hold a class's real name or the one that people read.
    """
    address = _address()
    if address != st.session_state.get(_ADDRESS_KEY) or _CHOSEN not in st.session_state:
        st.session_state[_ADDRESS_KEY] = address
        known = {human_name(name): name for name in class_names} | {n: n for n in class_names}
        label, prediction = map(known.get, address)
        _remember_cell((label, prediction))
    cell, _ = st.session_state[_CHOSEN]
    usable = [name if name in class_names else None for name in cell]
    if usable != [*cell]:  # chosen for a model with other classes
        _remember_cell((usable[0], usable[1]))


def _address() -> tuple[str, str]:
    return st.query_params.get(TRUE_KEY, _ANY), st.query_params.get(PREDICTED_KEY, _ANY)


def _show_table(result: EvaluationResult, share: Share, order: np.ndarray) -> None:
    names = [result.class_names[i] for i in order]
    values = confusion_shares(result.confusion, share)[np.ix_(order, order)]
    if share != "count":
        values = 100 * values
    readable = [human_name(name) for name in names]
    st.dataframe(
        neutralise_formulas(pd.DataFrame(values, index=readable, columns=names)),
        key="confusion_table",
        on_select=lambda: _choose_cell_of_table(names),
        selection_mode="single-cell",
        height="content" if len(names) <= _SIDE_BY_SIDE_UP_TO else 560,
        alt=_ALT,
        column_config={
            name: st.column_config.NumberColumn(
                human_name(name), format="%d" if share == "count" else "%.0f %%", width="small"
            )
            for name in names
        },
    )


def _choose_cell_of_table(names: list[str]) -> None:
    cells = st.session_state["confusion_table"]["selection"]["cells"]
    if cells:
        row, column = cells[0]
        if column in names:
            _set_cell(names[row], column)
            st.rerun(_CELL)


def _choose_clicked_cell() -> None:
    # An empty selection is no wish to leave the cell: another click on it has unframed it.
    if cell := _clicked_cell():
        _set_cell(*cell)
        st.rerun(_CELL)


def _clicked_cell() -> tuple[str, str] | None:
    points = st.session_state.get(_CHART, _NO_SELECTION)["selection"]["points"]
    return tuple(points[0]["customdata"][:2]) if points else None


@st.fragment(key=_CELL)
def _show_cell(shown: Shown) -> None:
    label, prediction = _choose_classes(shown.result.class_names)
    if label is None and prediction is None:
        show_confused_pairs(shown, _choose_cell)
        return
    photographs = shown.result.photographs()
    if label is not None:
        photographs = photographs[photographs["label"] == label]
    if prediction is not None:
        photographs = photographs[photographs["prediction"] == prediction]
    photographs = photographs.sort_values("confidence", ascending=False, kind="stable")
    st.button(
        f"{escape_markdown(cell_title(label, prediction))} · {len(photographs):,}",
        key="clear_cell",
        icon=":material/close:",
        icon_position="right",
        on_click=_choose_cell,
        args=(None, None),
        help="Remove this filter",
    )
    shown.photos.show(photographs, key="cell_photographs", page_size=12, tile_width=124)


def show_confused_pairs(shown: Shown, on_click: Callable[[str, str], None]) -> None:
    """Draw the pairs of classes that are confused most; a click opens a pair's photographs."""
    pairs = most_confused_pairs(shown.result.confusion, shown.result.class_names, limit=6)
    st.markdown("## Most confused")
    if pairs.empty:
        st.caption("The model makes no mistake on these photographs.")
        return
    photographs = shown.result.photographs()
    for rank, pair in enumerate(pairs.itertuples()):
        with st.container(border=True, gap="xsmall"):
            n = int(pairs["count"].iloc[rank])
            confused_pair(pair, n, f"pair_{rank}", on_click, (pair.label, pair.prediction))
            chosen = (photographs["label"] == pair.label) & (
                photographs["prediction"] == pair.prediction
            )
            names = photographs.loc[chosen].nlargest(3, "confidence")["filename"]
            pictures = shown.files.thumbnails(names.tolist())
            if any(pictures):
                with st.container(horizontal=True, gap="xsmall"):
                    for name, picture in zip(names, pictures, strict=True):
                        if picture is not None:
                            st.image(picture, width=76, alt=f"The photograph {name}")
