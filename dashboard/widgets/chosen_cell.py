"""The chosen cell of a confusion matrix: the page's address says which, and nothing else does."""

from typing import Final

import streamlit as st

from dashboard.wording.names import human_name

# True and predicted class; None is any.
Cell = tuple[str | None, str | None]
_KEYS: Final = ("true", "predicted")
_TITLES: Final = ("True class", "Predicted class")
_ANY: Final = "any"
_BOXES: Final = "class_boxes"


def chosen_cell(class_names: tuple[str, ...]) -> Cell:
    """Return the cell that the address names, by classes' real names or those that people read."""
    known = _names(class_names)
    label, prediction = (known.get(st.query_params.get(key, "")) for key in _KEYS)
    return label, prediction


def choose_cell(class_names: tuple[str, ...], cell: Cell) -> None:
    """Write a cell into the address, both classes at once.

    Two choices that Streamlit binds to the address would be two steps of the browser's history.
    """
    known = _names(class_names)

    def written(name: str | None) -> str:
        if name is None:
            return "" if _ANY in known else _ANY
        return human_name(name) if known[human_name(name)] == name else name

    st.query_params.update({key: written(name) for key, name in zip(_KEYS, cell, strict=True)})


def _names(class_names: tuple[str, ...]) -> dict[str, str]:
    return {human_name(name): name for name in class_names} | {name: name for name in class_names}


def show_class_boxes(class_names: tuple[str, ...]) -> Cell:
    """Draw the choice of a true and a predicted class, and return the chosen cell.

    What is chosen elsewhere gets new boxes: a browser that has not yet heard of it sends what the
    old ones held, as if somebody had chosen that.
    """

    def take(n: int) -> None:
        if n == st.session_state[_BOXES]:
            choose_cell(class_names, _held(n, cell))

    cell = chosen_cell(class_names)
    n = st.session_state.setdefault(_BOXES, 0)
    if _held(n, cell) != cell:
        n = st.session_state[_BOXES] = n + 1
    with st.grid(2, min_column_width=160, gap="small"):
        for title, key, name in zip(_TITLES, _KEYS, cell, strict=True):
            st.selectbox(
                title,
                class_names,
                index=None if name is None else class_names.index(name),
                key=f"{key} {n}",
                format_func=human_name,
                placeholder=_ANY,
                on_change=take,
                args=(n,),
            )
    return cell


def _held(n: int, otherwise: Cell) -> Cell:
    label, prediction = (
        st.session_state.get(f"{key} {n}", name) for key, name in zip(_KEYS, otherwise, strict=True)
    )
    return label, prediction
