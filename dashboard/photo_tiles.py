"""Photographs of a dataset on a page: tiles, one opened large, and what is decided about them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard.dataset_data import DatasetView
from dashboard.gallery import Tile, gallery
from dashboard.large_picture import show_large_picture
from dashboard.opened_photo import PHOTO_PARAMETER, neighbour, show_step_buttons
from dashboard.resources import classified
from dashboard.wording import escape_markdown, human_name, markdown_name, percent
from har_core import InvalidImageError, ModelBundleError, load_model
from har_core.dataset.decisions import Decisions, decide, load_decisions, undo
from har_core.errors import DatasetError
from har_core.images.decoding import read_bytes
from har_core.images.thumbnails import thumbnails
from har_core.scan.issues import ISSUE_KINDS, score_column

PAGE_SIZE: Final = 24
_SIDE_BY_SIDE: Final = 4
_BROWSING: Final = "photographs_in_view"
_SUGGESTED: Final = "suggested_labels"
OUTLIER_TITLE: Final = "Outlier"
OUTLIER_MEANING: Final = (
    "Among the 0.5 % least like any other to the model: another subject, a collage or a drawing."
)
Note = Callable[[pd.Series], str]


def issue_title(name: str) -> str:
    """Return what people call a kind of issue."""
    return OUTLIER_TITLE if name == "outlier" else ISSUE_KINDS[name].title


def show_tiles(
    view: DatasetView,
    rows: pd.DataFrame,
    *,
    key: str,
    note: Note | None = None,
    selectable: bool = True,
) -> list[str]:
    """Draw the photographs of some rows; a click opens one. Return the filenames selected.

    Parameters
    ----------
    view : DatasetView
    rows : DataFrame
        Rows of ``view.photographs``: one page of them.
    key : str
        Names the gallery.
    note : callable, optional
        Second line of a tile, from its row; default: its findings.
    selectable : bool
        Whether several can be selected.
    """
    decisions = _decisions(view)
    pictures = thumbnails([path if isinstance(path, str) else None for path in rows["path"]])
    describe = note or (lambda row: ", ".join(map(issue_title, view.issues_of(row))))
    tiles = []
    for (_, row), picture in zip(rows.iterrows(), pictures, strict=True):
        decision = decisions.current.get(row["filename"])
        excluded = decision is not None and decision.action == "exclude"
        mark = ""
        if decision is not None:
            mark = "excluded" if excluded else f"→ {human_name(decision.label)}"
        tiles.append(
            Tile(
                id=row["filename"],
                title=human_name(row["label"]) or "no label",
                note=describe(row) or row["filename"],
                picture=picture,
                mark=mark,
                faded=excluded,
                placeholder=_placeholder(row),
            )
        )
    opened, selected = gallery(tiles, key=key, selectable=selectable)
    if opened is not None:
        st.session_state[_BROWSING] = list(rows["filename"])
        st.query_params[PHOTO_PARAMETER] = opened
    return selected


def show_groups(
    view: DatasetView, groups: Mapping[str, pd.DataFrame], *, key: str, note: Note
) -> list[str]:
    """Draw groups of photographs, each in its own frame; return the filenames selected.

    Parameters
    ----------
    view : DatasetView
    groups : mapping of str to DataFrame
        Heading to rows of ``view.photographs``: one page of groups.
    key : str
        Names the galleries.
    note : callable
        Second line of a tile, from its row.
    """
    selected: list[str] = []
    columns = st.columns(2)
    for number, (heading, rows) in enumerate(groups.items()):
        # A group of many needs the whole width.
        place = columns[number % 2] if len(rows) <= _SIDE_BY_SIDE else st.container()
        with place.container(border=True):
            st.caption(heading if len(rows) <= PAGE_SIZE else f"{heading}, {PAGE_SIZE} of them")
            selected += show_tiles(view, rows.head(PAGE_SIZE), key=f"{key} {heading}", note=note)
    return selected


def _placeholder(row: pd.Series) -> str:
    if not isinstance(row["path"], str):
        return "file missing"
    reason = row.get("reason")
    return str(reason).replace("_", " ") if isinstance(reason, str) and reason else "no picture"


def _decisions(view: DatasetView) -> Decisions:
    try:
        return load_decisions(view.folder)
    except DatasetError:
        return Decisions(view.folder)  # the page says above what is wrong with the file


def show_decision_bar(view: DatasetView, selected: Sequence[str], *, key: str) -> None:
    """Draw what can be decided about the selected photographs, or how to select some."""
    if not selected:
        st.caption("Click a photograph to open it; tick several to decide about them together.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(selected)}** selected", width="content")
        _decision_buttons(view, selected, key=key)


def _decision_buttons(
    view: DatasetView, filenames: Sequence[str], *, key: str, suggested: str | None = None
) -> None:
    names = list(filenames)
    nothing = not names
    st.button(
        "Exclude",
        icon=":material/block:",
        key=f"{key}_exclude",
        disabled=nothing,
        on_click=_decide,
        args=(view.folder, "exclude", names),
    )
    st.menu_button(
        "Relabel to",
        view.class_names,
        icon=":material/sell:",
        key=f"{key}_relabel",
        disabled=nothing or not view.class_names,
        format_func=markdown_name,
        on_click=_relabel_to_chosen,
        args=(view.folder, names, f"{key}_relabel"),
    )
    if suggested:
        st.button(
            f"Accept “{markdown_name(suggested)}”",
            icon=":material/check:",
            key=f"{key}_accept",
            type="primary",
            on_click=_decide,
            args=(view.folder, "relabel", names, suggested),
        )
    current = _decisions(view).current
    st.button(
        "Keep as it is",
        icon=":material/undo:",
        key=f"{key}_keep",
        disabled=not any(name in current for name in names),
        on_click=_decide,
        args=(view.folder, "keep", names),
    )


def _relabel_to_chosen(folder: Path, filenames: list[str], key: str) -> None:
    label = st.session_state.get(key)
    if label:
        _decide(folder, "relabel", filenames, label)


def _decide(folder: Path, action: Any, filenames: list[str], label: str = "") -> None:
    report_failure(lambda: decide(folder, action, filenames, label))


def undo_last(folder: Path) -> None:
    """Take back the last decision; for a button's callback."""
    report_failure(lambda: undo(folder))


def report_failure(work: Callable[[], object]) -> None:
    """Run a callback's work; a failure is shown instead of breaking the page."""
    try:
        work()
    except DatasetError as error:
        st.toast(escape_markdown(str(error)), icon=":material/error:")


def show_opened_photograph(view: DatasetView) -> None:
    """Open the photograph that was clicked or that the address names, if any, in a dialog."""
    if st.query_params.get(PHOTO_PARAMETER):
        _photograph_dialog(view)


def _forget_opened() -> None:
    st.query_params.pop(PHOTO_PARAMETER, None)


def _step(by: int) -> None:
    names = st.session_state.get(_BROWSING, [])
    current = st.query_params.get(PHOTO_PARAMETER, "")
    if current in names:  # not if the browser has just gone back
        st.query_params[PHOTO_PARAMETER] = neighbour(names, current, by)


@st.dialog("Photograph", width="large", on_dismiss=_forget_opened)
def _photograph_dialog(view: DatasetView) -> None:
    filename = st.query_params.get(PHOTO_PARAMETER, "")
    rows = view.photographs[view.photographs["filename"] == filename]
    if rows.empty:
        st.info(f"There is no photograph {escape_markdown(filename)} in this dataset.")
        return
    row = rows.iloc[0]
    picture, facts = st.columns([3, 2], gap="medium")
    with picture:
        _show_picture(row)
    with facts:
        _show_facts(view, row)
    with st.container(horizontal=True, vertical_alignment="center"):
        _decision_buttons(
            view, [row["filename"]], key="opened", suggested=suggested_label(view, row)
        )
        st.space("stretch")
        names = st.session_state.get(_BROWSING, [])
        if len(names) > 1 and filename in names:
            show_step_buttons(_step)


def remember_suggestions(view: DatasetView, labels: dict[str, str]) -> None:
    """Keep labels to suggest, by filename, until the dataset or the model is another."""
    st.session_state[_SUGGESTED] = (view.identity, labels)


def remembered_suggestions(view: DatasetView) -> dict[str, str]:
    """Return the labels to suggest for photographs of this view, by filename."""
    identity, labels = st.session_state.get(_SUGGESTED, (None, {}))
    return labels if identity == view.identity else {}


def suggested_label(view: DatasetView, row: pd.Series) -> str | None:
    """Return the label that the page suggests for a photograph, if it does."""
    suggestion = remembered_suggestions(view).get(row["filename"])
    return suggestion if suggestion and suggestion != row["label"] else None


def _show_picture(row: pd.Series) -> None:
    path, alt = row["path"], f"The photograph {row['filename']}"
    if not (isinstance(path, str) and show_large_picture(path, alt=alt)):
        st.info(
            f"There is no picture to show: {_placeholder(row)}.", icon=":material/broken_image:"
        )


def _show_facts(view: DatasetView, row: pd.Series) -> None:
    label = human_name(row["label"]) or "no label"
    st.subheader(escape_markdown(label), anchor=False)
    st.caption(escape_markdown(row["filename"]))
    decision = _decisions(view).current.get(row["filename"])
    if decision is not None:
        excluded = decision.action == "exclude"
        st.badge(
            "Excluded" if excluded else f"Relabelled to {markdown_name(decision.label)}",
            icon=":material/block:" if excluded else ":material/sell:",
            color="red" if excluded else "primary",
        )
    facts = []
    if row["split"]:
        facts.append(f"In the {row['split']} split")
    if view.scanned and pd.notna(row["width"]):
        facts.append(f"{row['width']:.0f} × {row['height']:.0f} pixels")
    if pd.notna(row.get("size_bytes")):
        facts.append(f"{row['size_bytes'] / 1000:,.0f} KB")
    if pd.notna(row.get("duplicate_group")):
        facts.append(f"Duplicate group {row['duplicate_group']}")
    st.markdown(" · ".join(facts))
    for name in view.issues_of(row):
        meaning = OUTLIER_MEANING if name == "outlier" else ISSUE_KINDS[name].meaning
        st.markdown(
            f":orange-badge[{issue_title(name)}] :small[score {row[score_column(name)]:.2f}]  \n"
            f":small[{meaning}]"
        )
    if view.scanned and not view.issues_of(row):
        st.markdown(":green-badge[No findings]")
    _show_prediction(view, row)


def _show_prediction(view: DatasetView, row: pd.Series) -> None:
    if view.model_folder is None or not isinstance(row["path"], str) or row.get("reason"):
        return
    try:
        result = classified(load_model(view.model_folder), read_bytes(row["path"]))
    except ModelBundleError as error:
        st.caption(escape_markdown(str(error)))
        return
    except InvalidImageError:
        return
    if isinstance(result, InvalidImageError):
        return
    lines = [f"{markdown_name(name)} {percent(p)}" for name, p in result.prediction.top(3)]
    st.markdown("**The model says** " + " · ".join(lines))
    if row["split"] == "train":
        st.caption("The model was trained on this photograph, so its answer is no second opinion.")
