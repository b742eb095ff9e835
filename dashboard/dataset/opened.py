"""The dialog of one opened photograph: picture, facts, prediction, decision."""

from pathlib import Path
from typing import Final, Literal

import pandas as pd
import streamlit as st

from dashboard.dataset.decision_bar import current_decisions, show_decision_buttons
from dashboard.dataset.review.queue import load_queue
from dashboard.dataset.suggestions import suggested_label
from dashboard.dataset.tiles import BROWSING, OUTLIER_MEANING, issue_title, placeholder_text
from dashboard.dataset.view import DatasetView
from dashboard.explanation import show_explanation
from dashboard.resources import classified
from dashboard.widgets.opened_photo import (
    PHOTO_PARAMETER,
    close_photograph,
    neighbour,
    open_photograph,
    opened_photograph,
    show_large_picture,
    show_step_buttons,
)
from dashboard.wording.names import (
    escape_markdown,
    human_name,
    markdown_name,
    percent,
    score_text,
)
from har_core import ActionModel, InvalidImageError, ModelBundleError, Prediction, load_model
from har_core.images.decoding import read_bytes
from har_core.scan.issues import ISSUE_KINDS, score_column

# Text, which the new label follows if there is one; icon and colour.
_DECIDED: Final[dict[str, tuple[str, str, Literal["red", "primary", "green"]]]] = {
    "exclude": ("Excluded", ":material/block:", "red"),
    "relabel": ("Relabelled to ", ":material/sell:", "primary"),
    "confirm": ("Right as it is", ":material/done_all:", "green"),
}


def show_opened_photograph(view: DatasetView) -> None:
    """Open the photograph that was clicked or that the address names, if any, in a dialog."""
    if filename := opened_photograph():
        dialog = st.dialog(escape_markdown(filename), width="large", on_dismiss=close_photograph)
        dialog(_draw)(view, filename)


def _step(by: int) -> None:
    names = st.session_state.get(BROWSING, [])
    current = st.query_params.get(PHOTO_PARAMETER, "")
    if current in names:  # not if the browser has just gone back
        open_photograph(neighbour(names, current, by))


def _draw(view: DatasetView, filename: str) -> None:
    if st.query_params.get(PHOTO_PARAMETER) != filename:
        st.rerun()  # a step further: the dialog's title is drawn by the page
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
        answered = _show_prediction(view, row)
    with st.container(horizontal=True, vertical_alignment="center"):
        suggested, agreed = _suggestion(view, row)
        # Each photograph has buttons of its own: a click means the one that was seen.
        show_decision_buttons(
            view,
            [row["filename"]],
            key=f"opened {filename}",
            suggested=suggested,
            agreed=agreed,
        )
        st.space("stretch")
        names = st.session_state.get(BROWSING, [])
        if len(names) > 1 and filename in names:
            show_step_buttons(_step)
    if answered is not None:  # last, since it takes a second
        with picture:
            show_explanation(*answered, label=row["label"] or None)


def _suggestion(view: DatasetView, row: pd.Series) -> tuple[str | None, bool]:
    """Return the label to suggest, and whether all who can judge the photograph name it."""
    items = load_queue(view).items if view.scanned else pd.DataFrame()
    if row.name in items.index and items.loc[row.name, "suggested"]:
        return items.loc[row.name, "suggested"], bool(items.loc[row.name, "agreed"])
    # Nobody but the ranking that it was opened from says anything, or some say it is right.
    return suggested_label(view, row), False


def _show_picture(row: pd.Series) -> None:
    path, alt = row["path"], f"The photograph {row['filename']}"
    if not (isinstance(path, str) and show_large_picture(path, alt=alt)):
        st.info(
            f"There is no picture to show: {placeholder_text(row)}.", icon=":material/broken_image:"
        )


def _show_facts(view: DatasetView, row: pd.Series) -> None:
    label = human_name(row["label"]) or "no label"
    st.header(escape_markdown(label), anchor=False)
    st.caption("The given label" if row["label"] else "Nobody has labelled it.")
    decision = current_decisions(view).current.get(row["filename"])
    if decision is not None:
        text, icon, colour = _DECIDED[decision.action]
        st.badge(f"{text}{markdown_name(decision.label)}", icon=icon, color=colour)
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
            f":orange-badge[{issue_title(name)}] :small[{score_text(row[score_column(name)])}]  \n"
            f":small[{meaning}]"
        )
    if view.scanned and not view.issues_of(row):
        st.markdown(":green-badge[No findings]")


def _show_prediction(
    view: DatasetView, row: pd.Series
) -> tuple[ActionModel, Path, bytes, Prediction] | None:
    """Say what the model makes of the photograph, and return what that can be explained from."""
    if view.model_folder is None or not isinstance(row["path"], str) or row.get("reason"):
        return None
    try:
        model, data = load_model(view.model_folder), read_bytes(row["path"])
        result = classified(model, data)
    except ModelBundleError as error:
        st.caption(escape_markdown(str(error)))
        return None
    except InvalidImageError:
        return None
    if isinstance(result, InvalidImageError):
        return None
    lines = [f"{markdown_name(name)} {percent(p)}" for name, p in result.prediction.top(3)]
    st.markdown("**The model says** " + " · ".join(lines))
    if "train" in row["split"]:
        st.caption("The model was trained on this photograph, so its answer is no second opinion.")
    return model, view.model_folder, data, result.prediction
