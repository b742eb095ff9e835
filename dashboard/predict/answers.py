"""A photograph's answer: picture, chart, words, and the table of many."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import streamlit as st
from plotly.graph_objects import Figure

from dashboard.charts.bars import probability_bars
from dashboard.charts.style import NO_TOOLBAR
from dashboard.classification import ClassifiedPhoto
from dashboard.predict.part import choose_part
from dashboard.predict.results import Photo, result_json, results_csv, results_table
from dashboard.resources import classified, preview_of
from dashboard.widgets import tab_memory
from dashboard.wording.answers import advice, headline, set_sentence
from dashboard.wording.names import escape_markdown, human_name, markdown_name, threshold_percent
from har_core import ActionModel, InvalidImageError
from har_core.threads import cores
from har_core.wording import counted

ROW_HEIGHT = 56
_TABLE = "answers"  # "results" is the sidebar's
_CHOSEN = "answer_shown"
ROWS_SHOWN = 7.5  # half a row tells that there are more
THRESHOLD_KEY = "min_confidence"
_THRESHOLD_OF, _KEPT_THRESHOLD = "min_confidence_of", "kept_min_confidence"


def classify_all(
    model: ActionModel, photos: list[Photo]
) -> list[ClassifiedPhoto | InvalidImageError]:
    """Classify what was handed in, in order; an unusable photograph gives its error."""
    if len(photos) == 1:
        return [classified(model, photos[0].data)]
    results: list[ClassifiedPhoto | InvalidImageError] = []
    n, shown, bar = len(photos), 0, st.progress(0.0)
    with ThreadPoolExecutor(min(4, cores())) as pool:
        for result in pool.map(lambda photo: classified(model, photo.data), photos):
            results.append(result)
            # It has a hundred places; where answers are known, drawing it took longer than they.
            if (moved := 100 * len(results) // n) > shown:
                shown = moved
                bar.progress(len(results) / n, f"{len(results):,} of {n:,}")
    bar.empty()
    return results


def show_picture(photo: Photo) -> Photo:
    """Draw one photograph, and offer to look at a part of it; return what to answer for."""
    place = st.container()
    is_part = st.toggle(
        "Look at a part only",
        key="part",
        help="The model reads the whole picture. Where several people are in it, choose one.",
    )
    with place:
        if is_part:
            return choose_part(photo, preview_of(photo.data))
        if not photo.on_screen:
            st.image(preview_of(photo.data), width="content", alt=f"The photograph {photo.name}")
            st.caption(escape_markdown(photo.name))
    return photo


def choose_threshold(model: ActionModel) -> float:
    """Draw the slider of the confidence below which there is no answer, and return it.

    It begins with the model's own; another one is part of the page's address. While there is no
    slider the browser takes it out of there, so that the tab keeps it, too.
    """
    own = round(model.rules.abstain_below, 2)
    of_model = (model.name, own)
    if st.session_state.setdefault(_THRESHOLD_OF, of_model) != of_model:
        st.session_state.update({_THRESHOLD_OF: of_model, THRESHOLD_KEY: own})
    kept_of, kept = st.session_state.get(_KEPT_THRESHOLD, (of_model, own))
    forgotten = not {THRESHOLD_KEY} & {*st.session_state, *st.query_params}
    if forgotten and kept_of == of_model and kept != own:
        st.session_state[THRESHOLD_KEY] = kept
        st.query_params[THRESHOLD_KEY] = str(kept)
    chosen = st.slider(
        "Answer only from this confidence on",
        *(0.0, 1.0, own, 0.01),
        format="percent",
        key=THRESHOLD_KEY,
        bind="query-params",
        help="Below it the answer is that the model cannot tell.",
    )
    st.session_state[_KEPT_THRESHOLD] = (of_model, chosen)
    tab_memory.keep(_KEPT_THRESHOLD)
    if chosen != own:
        itself = f"answers from {threshold_percent(own)} on" if own else "always answers"
        st.caption(
            f"Only on this page: the model itself {itself}. "
            "The section *Confidence* of *Evaluation* sets that."
        )
    return chosen


def show_chart(figure: Figure, alt: str) -> None:
    """Draw the chart of probabilities in its one place."""
    # One key for all, so that the browser changes the bars of a chart that is there already.
    st.plotly_chart(figure, key="probabilities", config=NO_TOOLBAR, alt=alt)


def _origin(split: str) -> str:
    if not split:
        return ""
    return ", learned from" if "train" in split else f", of the model's {split} split"


def show_answer(model: ActionModel, photo: Photo, result: ClassifiedPhoto) -> None:
    """Draw a photograph's answer: words, chart, what can be taken away."""
    prediction = result.prediction
    st.header(headline(prediction), anchor=False)
    if photo.label:
        agrees = photo.label == prediction.action
        st.badge(
            f"Labelled {markdown_name(photo.label)} in the dataset{_origin(photo.split)}",
            icon=":material/check:" if agrees else ":material/close:",
            color="green" if agrees else "orange",
        )
    if prediction.warning:
        st.warning(escape_markdown(prediction.warning), icon=":material/broken_image:")
    if words := advice(prediction):
        st.info(words, icon=":material/lightbulb:")
    if words := set_sentence(prediction):
        st.caption(words)
    show_chart(
        probability_bars(prediction),
        f"Probability of each action; {human_name(prediction.action)} leads",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "JSON",
            result_json(photo, prediction, model.name),
            file_name=f"{Path(photo.name).stem}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        st.caption(f"Took {1000 * result.seconds:.0f} ms")


def show_summary(
    good: list[tuple[Photo, ClassifiedPhoto]], bad: list[tuple[Photo, InvalidImageError]]
) -> None:
    """Say how many photographs were classified, and which could not be used."""
    if good:
        st.header(f"{counted(len(good), 'photograph')} classified", anchor=False)
        st.download_button(
            "CSV",
            results_csv(good),
            file_name="predictions.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
    damaged = [(photo, result) for photo, result in good if result.prediction.warning]
    if damaged:
        with st.container(border=True):
            st.markdown(f":material/warning: **{counted(len(damaged), 'photograph')} damaged**")
            for photo, result in damaged:
                warning = escape_markdown(result.prediction.warning)
                st.markdown(f"{escape_markdown(photo.name)}  \n:small[{warning}]")
    if bad:
        with st.container(border=True):
            what = "This file" if not good and len(bad) == 1 else f"{len(bad):,}"
            st.markdown(f":material/broken_image: **{what} could not be used**")
            for photo, error in bad:
                st.markdown(
                    f"{escape_markdown(photo.name)}  \n:small[{escape_markdown(str(error))}]"
                )


def choose_from_table(good: list[tuple[Photo, ClassifiedPhoto]]) -> int:
    """Draw the table and return the position of the chosen photograph, at first the first."""
    rows = _rows_to_show(good)
    photos = [(photo.name, hash(photo.data)) for photo, _ in (good[row] for row in rows)]
    key = f"{_TABLE} {hash(tuple(photos))}"  # of other rows another table: a cell is a position
    chosen = _chosen_row(key, photos)
    st.session_state[_CHOSEN] = photos[chosen]
    st.dataframe(
        results_table([good[row] for row in rows], chosen),
        key=key,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-cell",
        row_height=ROW_HEIGHT,
        height=int(ROW_HEIGHT * min(len(rows), ROWS_SHOWN)) + 38,
        alt="The photographs with their most likely actions",
        column_config={
            "shown": st.column_config.TextColumn("", width=28, help="Shown below"),
            "picture": st.column_config.ImageColumn("", width="small"),
            "action": "Action",
            "confidence": st.column_config.ProgressColumn(
                "Confidence", min_value=0, max_value=100, format="%.0f %%"
            ),
            "verdict": st.column_config.TextColumn(
                "Verdict",
                help="clear: the model answers; unsure: its confidence is too low; none of these: "
                "unlike anything that it learned from",
            ),
            "file": "File",
            "second": "Second guess",
            "second_confidence": st.column_config.NumberColumn("Its confidence", format="%.0f %%"),
        },
    )
    return rows[chosen]


def _chosen_row(key: str, photos: list[tuple[str, int]]) -> int:
    """Return the row of the table that was clicked, or of what was shown before, else the first."""
    # Cells, because a click anywhere in a row counts; rows would want a click on their checkbox.
    table = st.session_state.get(key)
    if table and (cells := table["selection"]["cells"]):
        return int(cells[0][0])
    shown = st.session_state.get(_CHOSEN)
    return photos.index(shown) if shown in photos else 0


def _rows_to_show(good: list[tuple[Photo, ClassifiedPhoto]]) -> list[int]:
    """Let the visitor choose between all photographs and those that want a look."""
    everything = list(range(len(good)))
    to_check = [i for i in everything if good[i][1].prediction.verdict != "answered"]
    if not to_check:
        return everything
    names = {"all": f"All ({len(good):,})", "check": f"To check ({len(to_check):,})"}
    chosen = st.segmented_control(
        "Show",
        list(names),
        format_func=names.__getitem__,
        default="all",
        required=True,
        key="results_shown",
        label_visibility="collapsed",
    )
    return to_check if chosen == "check" else everything
