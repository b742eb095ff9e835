"""One photograph of the review: the picture, who says what of it, and what is like it."""

from collections.abc import Hashable, Iterator
from typing import Final

import pandas as pd
import streamlit as st

from dashboard.dataset.review.queue import Queue
from dashboard.dataset.review.unlabelled import UNLABELLED
from dashboard.dataset.tiles import OUTLIER_MEANING, issue_title, placeholder_text
from dashboard.dataset.view import DatasetView
from dashboard.widgets.opened_photo import show_large_picture
from dashboard.wording.names import escape_markdown, markdown_name, percent
from har_core.analysis.neighbours import N_NEIGHBOURS, nearest_of_class
from har_core.analysis.opinions import Opinions
from har_core.analysis.whole_set import group_numbers
from har_core.images.thumbnails import thumbnails
from har_core.scan.issues import ISSUE_KINDS

KIND_TITLES: Final = {
    "": "All reasons",
    "conflict": "Duplicates with different labels",
    "label": "Label in doubt",
    "error": "Confident error",
    "quality": "Finding",
    UNLABELLED: "Label these next",
}
KIND_MEANINGS: Final = {
    "conflict": "The same picture carries different labels: at least one of them is wrong.",
    "label": "A model that has not learned from this photograph contradicts its label.",
    "error": "The chosen model is very sure of another class, and has not learned from it.",
    "quality": "Something is odd about the picture itself.",
    UNLABELLED: "The photographs without a label that would teach most: those between two classes, "
    "and unlike each other and what is labelled.",
}
_SHOWN_CLASSES: Final = 3
_SHOWN_NEIGHBOURS: Final = 3
_THUMBNAIL_WIDTH: Final = 88


def show_picture(view: DatasetView, row: pd.Series) -> None:
    """Draw a photograph as large as its place."""
    photograph = view.photographs.loc[row.name]
    path = photograph["path"]
    alt = f"The photograph {row['filename']}"
    if not (isinstance(path, str) and show_large_picture(path, alt=alt)):
        text = placeholder_text(photograph)
        st.info(f"There is no picture to show: {text}.", icon=":material/broken_image:")


def show_question(row: pd.Series) -> None:
    """Draw the given label and why the photograph is asked about."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        label = markdown_name(row["label"])
        question = f"Is this {label}?" if label else "What is this?"
        st.header(question, anchor=False, width="content")
        _show_reasons(row)
        st.caption(escape_markdown(row["filename"]), width="content")


def show_evidence(view: DatasetView, queue: Queue, row: pd.Series) -> None:
    """Draw every opinion on a photograph, and what is like it."""
    said = [
        (source, name, share, bool(source.independent[row.name]))
        for source in queue.opinions
        for name, share in _what_it_says(source, row.name)
    ]
    _show_opinions(view, said)
    _show_duplicates(view, row)
    second = [name for _, name, _, independent in said if independent]
    classes = dict.fromkeys(filter(None, (row["label"], row["suggested"], *second)))
    _show_nearest(view, row, list(classes)[:_SHOWN_CLASSES])


def _show_reasons(row: pd.Series) -> None:
    kinds = [kind for kind in row["kinds"] if kind not in ("quality", UNLABELLED)]
    badges = [f":orange-badge[{KIND_TITLES[kind]}]" for kind in kinds]
    badges += [f":orange-badge[{issue_title(name)}]" for name in row["findings"]]
    meanings = [KIND_MEANINGS[kind] for kind in kinds]
    meanings += [
        OUTLIER_MEANING if name == "outlier" else ISSUE_KINDS[name].meaning
        for name in row["findings"]
    ]
    if badges:
        st.markdown(" ".join(badges), help="  \n".join(meanings), width="content")


def _what_it_says(source: Opinions, row: Hashable) -> Iterator[tuple[str, float]]:
    """Yield the class that a source names, and its share; nothing if it says nothing."""
    if row in source.probabilities.index:
        probabilities = source.probabilities.loc[row]
        yield str(probabilities.idxmax()), float(probabilities.max())


def _show_opinions(view: DatasetView, said: list[tuple[Opinions, str, float, bool]]) -> None:
    """Draw who says what: never an opinion without its source."""
    if not said:
        return
    model = escape_markdown(view.manifest.name if view.manifest else "The model")
    names = {
        "model": f"{model}, the chosen model",
        "regression": "A regression on the other labels",
        "neighbours": f"Its {N_NEIGHBOURS} nearest photographs",
        "duplicates": "Its duplicates",
    }
    lines = []
    for source, name, share, independent in said:
        who = names[source.source]
        if not independent:
            who += ", which has learned from it: no second opinion"
        lines.append(f"**{markdown_name(name)}** {percent(share)}  \n:small[{who}]")
    st.markdown("\n\n".join(lines))


def _show_duplicates(view: DatasetView, row: pd.Series) -> None:
    photographs = view.photographs
    group = photographs.loc[row.name].get("duplicate_group")
    if pd.isna(group):
        return
    others = photographs[photographs["duplicate_group"].eq(group).fillna(False)].drop(row.name)
    st.markdown("**Its duplicates**")
    _show_row(others.head(_SHOWN_NEIGHBOURS), [markdown_name(n) for n in others["label"]])


def _show_nearest(view: DatasetView, row: pd.Series, classes: list[str]) -> None:
    analysis = view.analysis
    if analysis is None or row.name not in analysis.table.index:
        return
    usable = view.analysed
    position = int(analysis.table.index.get_loc(row.name))
    groups = group_numbers(usable)
    for name in classes:
        nearest = nearest_of_class(
            analysis.components, usable["label"], groups, position, name, n=_SHOWN_NEIGHBOURS
        )
        if len(nearest):  # a model may name a class that these photographs do not have
            st.markdown(f"**{markdown_name(name)}**, the photographs most like it")
            _show_row(usable.iloc[nearest], [])


def _show_row(rows: pd.DataFrame, captions: list[str]) -> None:
    pictures = thumbnails([path if isinstance(path, str) else None for path in rows["path"]])
    with st.container(horizontal=True, gap="xsmall"):
        for number, (picture, filename) in enumerate(zip(pictures, rows["filename"], strict=True)):
            caption = captions[number] if number < len(captions) else None
            if picture is not None:
                st.image(
                    picture,
                    width=_THUMBNAIL_WIDTH,
                    caption=caption,
                    alt=f"The photograph {filename}",
                )
            else:
                st.caption(f"{escape_markdown(filename)} {caption or ''}")
