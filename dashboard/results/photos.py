"""Scored photographs as tiles, a page at a time, and one of them opened."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts.bars import probability_bars
from dashboard.charts.style import NO_TOOLBAR
from dashboard.widgets.gallery import Tile, choose_page, gallery
from dashboard.widgets.messages import errors_said
from dashboard.widgets.opened_photo import OpenedPhoto, show_large_picture
from dashboard.wording.answers import VERDICT_WORDS
from dashboard.wording.names import (
    escape_markdown,
    human_name,
    markdown_name,
    percent,
    reason_in_words,
)
from har_core import Prediction
from har_core.images.thumbnails import thumbnails
from har_core.scale.labels import NONE
from har_core.scale.opened.table import VERDICTS, ResultsTable
from har_core.scale.sources.locations import is_remote
from har_core.storage.checksums import sha256_of_photograph

_SHOWN_PROBABILITIES: Final = 6
_opened: Final = OpenedPhoto[int]("opened_scored_photograph")  # by the number of its row


@dataclass(frozen=True, eq=False)
class ScoredPhotos:
    """Results, and the labels of their rows where these are known.

    Parameters
    ----------
    table : ResultsTable
    label : ndarray of int16, shape (N,), optional
        See `har_core.scale.opened.labels.JoinedLabels`.
    """

    table: ResultsTable
    label: np.ndarray | None = None

    @errors_said()
    def show(
        self, rows: np.ndarray, *, key: str, page_size: int = 24, tile_width: int = 150
    ) -> None:
        """Draw some rows as tiles, one page of them; a click opens one.

        Parameters
        ----------
        rows : ndarray of int
            Numbers of rows, in the order to show.
        key : str
            Unique on the page.
        page_size, tile_width : int
            Tiles per page; least width of a tile in pixels.
        """
        above = st.container()
        # Other photographs, such as another cell's, begin with their first page.
        page_key = f"page {key} {hash(rows.tobytes())}"
        shown = rows[choose_page(len(rows), page_size, page_key)]
        facts = self.table.read(shown, ("uri", "sha256"))
        paths = [picture_path(*fact) for fact in facts[["uri", "sha256"]].itertuples(index=False)]
        tiles = [
            Tile(
                id=uri,
                title=self._title(row),
                note=self._note(row, uri),
                picture=picture,
                placeholder=_last_name(uri),
            )
            for row, uri, picture in zip(
                shown.tolist(), facts["uri"], thumbnails(paths), strict=True
            )
        ]
        with above:
            clicked, _ = gallery(tiles, key=f"gallery {key}", tile_width=tile_width)
        numbers = dict(zip(facts["uri"], shown.tolist(), strict=True))
        row = _opened.choose(key, numbers[clicked] if clicked else None, shown.tolist())
        if row is not None:
            uri = str(self.table.read([row], ("uri",))["uri"].iloc[0])
            st.dialog(escape_markdown(_last_name(uri)), width="large")(_draw)(self, row)

    def _title(self, row: int) -> str:
        table = self.table
        if table.reason[row] != NONE:
            return "no answer"
        answer = human_name(table.class_names[table.action[row]])
        label = NONE if self.label is None else int(self.label[row])
        if label == NONE or label == table.action[row]:
            return answer
        return f"{human_name(table.class_names[label])}, taken for {answer}"

    def _note(self, row: int, uri: str) -> str:
        table = self.table
        if table.reason[row] != NONE:
            return f"{reason_in_words(table.reasons[table.reason[row]])} · {_last_name(uri)}"
        verdict = VERDICTS[table.verdict[row]]
        words = "" if verdict == "answered" else f" · {VERDICT_WORDS[verdict]}"
        return f"{percent(table.confidence[row])} sure{words} · {_last_name(uri)}"


def picture_path(uri: str, sha256: object) -> str | None:
    """Return the path of a scored photograph on this machine, None unless it is there unchanged."""
    if is_remote(uri) or not isinstance(sha256, str):
        return None
    return uri if sha256_of_photograph(uri) == sha256 else None


def _last_name(uri: str) -> str:
    return uri.rpartition("/")[2]


@errors_said()
def _draw(photos: ScoredPhotos, row: int) -> None:
    _opened.begin_dialog(row)
    table = photos.table
    columns = ("uri", "sha256", "size", "warning", "error", *table.class_names)
    facts = table.read([row], columns).iloc[0]
    uri = str(facts["uri"])
    picture, answer = st.columns([3, 2], gap="medium")
    with picture:
        path = picture_path(uri, facts["sha256"])
        if path is None or not show_large_picture(path, alt=f"The photograph {uri}"):
            st.info(_why_no_picture(uri, facts), icon=":material/image_not_supported:")
    with answer:
        _show_answer(photos, row, facts)
        lines = [escape_markdown(uri)]
        if pd.notna(facts["size"]):
            lines.append(f"{facts['size'] / 1000:,.0f} KB")
        if isinstance(facts["sha256"], str):
            lines.append(f"sha256 {facts['sha256'][:12]}…")
        st.caption("  \n".join(lines))
    _opened.show_steps()


def _show_answer(photos: ScoredPhotos, row: int, facts: pd.Series) -> None:
    table = photos.table
    if table.reason[row] != NONE:
        st.header("No answer", anchor=False)
        st.error(escape_markdown(str(facts["error"])), icon=":material/broken_image:")
        return
    names = table.class_names
    probabilities = {name: float(facts[name]) for name in names}
    prediction = Prediction(names[table.action[row]], float(table.confidence[row]), probabilities)
    st.header(markdown_name(prediction.action), anchor=False)
    label = NONE if photos.label is None else int(photos.label[row])
    if label != NONE:
        right = label == table.action[row]
        st.badge(
            "recognised" if right else f"is {markdown_name(names[label])}",
            icon=":material/check:" if right else ":material/close:",
            color="green" if right else "orange",
        )
    verdict = VERDICTS[table.verdict[row]]
    if verdict != "answered":
        st.badge(VERDICT_WORDS[verdict], icon=":material/help:", color="gray")
    top = dict(prediction.top(_SHOWN_PROBABILITIES))
    shown = Prediction(prediction.action, prediction.confidence, top, in_scope=verdict != "foreign")
    st.plotly_chart(
        probability_bars(shown),
        key="scored_probabilities",
        config=NO_TOOLBAR,
        alt="The most probable actions",
    )
    if isinstance(facts["warning"], str):
        st.warning(escape_markdown(facts["warning"]), icon=":material/warning:")


def _why_no_picture(uri: str, facts: pd.Series) -> str:
    if is_remote(uri):
        return "This photograph lies elsewhere; the pages do not fetch it."
    if "#" in _last_name(uri):
        return "This photograph lies in an archive; the pages do not open it."
    if not isinstance(facts["sha256"], str):
        return "This file could not be read."
    return "This file is not on the server any more, or it is another one now."
