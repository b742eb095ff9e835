"""Why the model says what it says: a map on the picture, and the photographs it reminds it of."""

from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import sidebar
from dashboard.charts.explanation import explanation_figure
from dashboard.charts.style import NO_TOOLBAR
from dashboard.resources import explained, opened_dataset, similar_photographs, sketched
from dashboard.wording.names import escape_markdown, human_name, markdown_name
from har_core import ActionModel, Prediction
from har_core.images.thumbnails import thumbnail
from har_core.model.explanation import Explanation
from har_core.storage.checksums import sha256_of_photograph

WHY_KEY = "why"


def show_explanation(
    model: ActionModel,
    folder: Path | None,
    data: bytes,
    prediction: Prediction,
    label: str | None = None,
) -> None:
    """Offer "Why?"; once it is on, draw a sketch at once and the map when it is done.

    Parameters
    ----------
    model : ActionModel
    folder : Path or None
        Of its bundle.
    data : bytes
        Content of the photograph's file.
    prediction : Prediction
        Its two most probable actions can be asked for,
    label : str, optional
        and this one: what a dataset calls the photograph.
    """
    if not st.toggle("Why?", key=WHY_KEY, help="Shows which part of the picture decided."):
        return
    asked = [name for name, _ in prediction.top(2)]
    if label in model.class_names and label not in asked:
        asked.append(label)
    action = st.segmented_control(
        "Why",
        asked,
        format_func=lambda name: f"Why {markdown_name(name)}?",
        default=asked[0],
        required=True,
        key="why_action",
        label_visibility="collapsed",
    )
    if action is None:  # a browser that has not sent its choice yet
        return
    place = st.empty()
    pixels = np.asarray(model.prepare(data))
    sketch = sketched(model, folder, data, action) if folder else None
    if sketch is not None:
        _draw(place, pixels, sketch, "A first sketch …", "sketch")
    with st.spinner("Hiding one area after the other …"):
        found = explained(model, data, action)
    _draw(
        place,
        pixels,
        found,
        f"Hiding the bright area changes *{markdown_name(found.action)}* most. Point at a cell for "
        "its effect in points. The model sees the picture as a square.",
        "map",
    )
    if folder is not None:
        _show_similar(model, folder, data, sidebar.chosen_dataset())


def _draw(
    place: DeltaGenerator, pixels: np.ndarray, explanation: Explanation, words: str, key: str
) -> None:
    with place.container():
        st.plotly_chart(
            explanation_figure(pixels, explanation),
            key=f"explanation_{key}",
            width="content",
            config=NO_TOOLBAR,
            alt=f"Which part of the picture speaks for {human_name(explanation.action)}",
        )
        st.caption(words)


def _show_similar(model: ActionModel, folder: Path, data: bytes, dataset: str | None) -> None:
    """Show the training photographs that are most like one; their pictures, if they are there."""
    similar = similar_photographs(model, folder, data)
    if similar is None:
        return
    st.markdown("**Like these** training photographs")
    paths = _paths(dataset) if dataset else {}
    for column, (_, row) in zip(st.columns(3), similar.iterrows(), strict=False):
        with column:
            path = paths.get(row["filename"])
            unchanged = path and sha256_of_photograph(path) == row["sha256"]
            # The file itself may be one that neither Streamlit nor a browser draws.
            if path and unchanged and (picture := thumbnail(path)):
                st.image(picture, alt=f"Training photograph {row['filename']}")
            words = f"**{markdown_name(row['label'])}**  \n{escape_markdown(row['filename'])}"
            st.caption(words)


def _paths(dataset: str) -> dict[str, str]:
    rows = opened_dataset(dataset).rows.dropna(subset="path")
    return dict(zip(rows["filename"], rows["path"], strict=True))
