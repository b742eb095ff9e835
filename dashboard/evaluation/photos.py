"""The photographs behind an evaluation's numbers: tiles with the answer, one opened large."""

from dataclasses import dataclass
from typing import Final

import pandas as pd
import streamlit as st

from dashboard import sidebar
from dashboard.charts.bars import probability_bars
from dashboard.charts.style import NO_TOOLBAR
from dashboard.evaluation.files import SMALL_HINT, EvaluatedFiles
from dashboard.evaluation.relabelling import name_in_dataset, show_relabelling
from dashboard.explanation import show_explanation
from dashboard.widgets.gallery import Tile, choose_page, gallery
from dashboard.widgets.messages import errors_said
from dashboard.widgets.opened_photo import PHOTO_PARAMETER, OpenedPhoto, show_large_picture
from dashboard.wording.names import escape_markdown, human_name, markdown_name, percent
from har_core import Prediction
from har_core.evaluation.result import EvaluationResult
from har_core.images.decoding import read_bytes

_opened: Final = OpenedPhoto[str]("opened_evaluated_photograph")  # by filename
_SHOWN_PROBABILITIES: Final = 6


@dataclass(frozen=True, eq=False)
class EvaluatedPhotos:
    """An evaluation and where its photographs are.

    Parameters
    ----------
    result : EvaluationResult
    files : EvaluatedFiles
        Photographs that it lacks are shown by their names.
    """

    result: EvaluationResult
    files: EvaluatedFiles

    def show(
        self, rows: pd.DataFrame, *, key: str, page_size: int = 24, tile_width: int = 150
    ) -> None:
        """Draw photographs as tiles, a page at a time; a click opens one.

        Parameters
        ----------
        rows : DataFrame
            Rows of `EvaluationResult.photographs`, in the order to show; with a column ``note``
            that replaces the second line of a tile.
        key : str
            Unique on the page.
        page_size, tile_width : int
            Tiles per page; least width of a tile in pixels.
        """
        if rows.empty:
            st.caption("No photographs.")
            return
        above = st.container()
        # Other photographs, such as another cell's, begin with their first page.
        page_key = f"{key}_page_{hash(tuple(rows['filename']))}"
        shown = rows.iloc[choose_page(len(rows), page_size, page_key)]
        pictures = self.files.thumbnails(shown["filename"].tolist())
        if not any(pictures):
            above.caption(
                f":material/folder_open: {self.files.why_missing(shown['filename'].iloc[0])}"
            )
        tiles = [
            Tile(
                id=row["filename"],
                title=_title(row),
                note=row.get("note") or f"{percent(row['confidence'])} sure · {row['filename']}",
                picture=picture,
                placeholder=row["filename"],
            )
            for (_, row), picture in zip(shown.iterrows(), pictures, strict=True)
        ]
        with above:
            clicked, _ = gallery(tiles, key=key, tile_width=tile_width)
        opened = _opened.choose(key, clicked, list(shown["filename"]))
        if opened is not None:
            st.dialog(escape_markdown(opened), width="large")(_draw)(self, opened)


def _title(row: pd.Series) -> str:
    if row["correct"]:
        return human_name(row["label"])
    return f"{human_name(row['label'])}, taken for {human_name(row['prediction'])}"


def _draw(photos: EvaluatedPhotos, filename: str) -> None:
    _opened.begin_dialog(filename)
    result = photos.result
    row = int((result.filenames == filename).argmax())
    prediction = Prediction.from_probabilities(result.class_names, result.probabilities[row])
    picture, answer = st.columns([3, 2], gap="medium")
    path, readable = photos.files.get(filename), False
    with picture:
        small = photos.files.thumbnails([filename])[0] if path is None else None
        if small is not None:
            st.image(small, caption=SMALL_HINT, alt=f"The photograph {filename}")
        elif path is None:
            hint = photos.files.why_missing(filename)
            st.info(hint, icon=":material/image_not_supported:")
        elif not (readable := show_large_picture(path, alt=f"The photograph {filename}")):
            st.info("There is no picture to show.", icon=":material/broken_image:")
    with answer:
        label = result.class_names[result.labels[row]]
        right = label == prediction.action
        st.header(markdown_name(label), anchor=False)
        st.caption("The given label")
        st.badge(
            "recognised" if right else f"taken for {markdown_name(prediction.action)}",
            icon=":material/check:" if right else ":material/close:",
            color="green" if right else "orange",
        )
        top = dict(prediction.top(_SHOWN_PROBABILITIES))
        st.plotly_chart(
            probability_bars(Prediction(prediction.action, prediction.confidence, top)),
            key="opened_probabilities",
            config=NO_TOOLBAR,
            alt="The most probable actions",
        )
        dataset = sidebar.chosen_dataset()
        if path is not None and dataset is not None:
            with errors_said():
                _lead_to_dataset(path, dataset, result.class_names)

    _opened.show_steps()
    if path is not None and readable:  # last, since it takes a second
        with picture:
            _explain(path, prediction, label)


def _explain(path: str, prediction: Prediction, label: str) -> None:
    """Offer the map of what decided, by the network that the chosen model has now."""
    model = sidebar.chosen_model()
    if model is not None:
        data = read_bytes(path)
        show_explanation(model, sidebar.chosen_model_folder(), data, prediction, label)


def _lead_to_dataset(path: str, dataset: str, class_names: tuple[str, ...]) -> None:
    """Offer what the dataset in the sidebar can do about a photograph, if it is one of its own."""
    show_relabelling(path, dataset, class_names)
    if name := name_in_dataset(path, dataset):  # an evaluation of a part of it has others
        st.page_link(
            "../pages/dataset.py",
            label="Open it in the dataset",
            icon=":material/arrow_forward:",
            query_params={PHOTO_PARAMETER: name},
        )
