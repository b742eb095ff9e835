"""A map of a sample of very many scored photographs."""

from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts.dataset import chosen_points, photo_map
from dashboard.charts.results import VERDICT_COLOURS
from dashboard.jobs.own_process import run_apart
from dashboard.jobs.registry import Job, find_jobs, start_job
from dashboard.jobs.view import show_jobs
from dashboard.results.photos import ScoredPhotos
from dashboard.wording.answers import VERDICT_WORDS
from dashboard.wording.names import counted, human_name
from har_core.scale.opened.sample import MAX_POINTS, SampleMap, arrange_sample, map_sample
from har_core.scale.opened.table import VERDICTS, ResultsTable


def show_map(table: ResultsTable) -> None:
    """Draw a sample, and the photographs of a region that was lassoed; offer to arrange it."""
    key = f"results map/{table.results.location}"
    jobs = find_jobs(key, exact=True)
    found = _components(table.identity, MAX_POINTS["pca"], table)
    if jobs and jobs[0].state == "done":
        arranged: SampleMap = jobs[0].result
        if arranged.is_of(table):
            found = arranged
    elif jobs:
        show_jobs(key, exact=True)
    _draw(table, found, key)


@st.cache_resource(max_entries=4, show_spinner="Drawing a sample …")
def _components(identity: tuple[str, int, int], most: int, _table: ResultsTable) -> SampleMap:
    return map_sample(_table, most)


def _start(key: str, location: str) -> None:
    def work(job: Job) -> SampleMap:
        return run_apart(arrange_sample, location, MAX_POINTS["tsne"], progress=job.report_step)

    start_job(key, "Arranging the map", work)


def _draw(table: ResultsTable, found: SampleMap, key: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by_answer = st.segmented_control(
            "Colour by",
            ["Answer", "Kind"],
            default="Answer",
            required=True,
            key="results_map_colouring",
        )
        if found.method == "pca":
            st.button(
                "Arrange by likeness",
                key="arrange_map",
                icon=":material/scatter_plot:",
                on_click=_start,
                args=(key, table.results.location),
                help=f"t-SNE of {MAX_POINTS['tsne']:,} photographs, which takes half a minute; "
                "it is kept until the server ends.",
            )
    points = pd.DataFrame(found.coordinates, columns=["x", "y"], index=found.rows)
    points["filename"] = [f"photograph {row:,}" for row in found.rows.tolist()]
    if by_answer == "Answer":
        names = np.array([human_name(name) for name in table.class_names], dtype=object)
        figure = photo_map(points, pd.Series(names[table.action[found.rows]], points.index))
    else:
        words = np.array([VERDICT_WORDS[name] for name in VERDICTS], dtype=object)
        colours = {VERDICT_WORDS[name]: colour for name, colour in VERDICT_COLOURS.items()}
        groups = pd.Series(words[table.verdict[found.rows]], points.index)
        figure = photo_map(points, groups, colours=colours)
    event = st.plotly_chart(
        figure,
        key=f"results_map_{by_answer}_{found.method}",
        on_select="rerun",
        selection_mode=("lasso", "box", "points"),
        config={"displaylogo": False, "scrollZoom": True},
        alt="Map of a sample of the photographs: alike ones lie close together",
    )
    st.caption(_what_is_drawn(table, found))
    rows = np.array(chosen_points(event), dtype=np.int64)
    if len(rows):
        st.markdown(f"**{counted(len(rows), 'photograph')} in this region**")
        ScoredPhotos(table).show(rows, key="results map")


_VECTORS: Final = {True: "the model's features", False: "the class probabilities"}


def _what_is_drawn(table: ResultsTable, found: SampleMap) -> str:
    of = _VECTORS[found.by_features]
    text = "Drag around points to see their photographs. "
    if found.method == "pca":
        text += f"The first two principal components of {of}."
    else:
        text += f"Only nearness means something: principal components of {of}, arranged by t-SNE."
    if table.info.n_features == 0:
        text += " `har score --features` keeps what shows how the pictures look."
    elif not found.by_features:
        text += " *Arrange by likeness* reads the features."
    answered = int(table.answered.sum())
    if len(found.rows) < answered:
        text += f" **A random sample: {len(found.rows):,} of {answered:,} photographs"
        of_parts = len(found.of_parts)
        some = found.n_parts < of_parts
        text += f", from {found.n_parts:,} of {of_parts:,} parts.**" if some else ".**"
    return text
