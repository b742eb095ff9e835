"""A map of a sample of very many scored photographs."""

from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.dataset import photo_map
from dashboard.charts.results import VERDICT_COLOURS
from dashboard.jobs.own_process import run_apart
from dashboard.jobs.registry import Job, find_jobs, start_job
from dashboard.jobs.view import show_jobs
from dashboard.results.opening import section
from dashboard.results.photos import ScoredPhotos
from dashboard.widgets.photo_map import REGION, chosen_region, show_points
from dashboard.wording.answers import VERDICT_WORDS
from dashboard.wording.names import human_name
from har_core.scale.opened.sample import MAX_POINTS, SampleMap, arrange_sample, map_sample
from har_core.scale.opened.table import VERDICTS, ResultsTable
from har_core.wording import counted


@section()
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
            bind="query-params",
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
    chart = f"results_map_{by_answer}_{found.method}"
    show_points(_figure((*table.identity, found.method), by_answer, found, table), key=chart)
    st.caption(_what_is_drawn(table, found))
    _show_region(table, chart)


# A figure of thousands of points, which nobody changes.
@st.cache_resource(max_entries=8, show_spinner=False)
def _figure(
    identity: tuple[object, ...], by_answer: str, _found: SampleMap, _table: ResultsTable
) -> go.Figure:
    points = pd.DataFrame(_found.coordinates, columns=["x", "y"], index=_found.rows)
    points["filename"] = [f"photograph {row:,}" for row in _found.rows.tolist()]
    if by_answer == "Answer":
        names = np.array([human_name(name) for name in _table.class_names], dtype=object)
        return photo_map(points, pd.Series(names[_table.action[_found.rows]], points.index))
    words = np.array([VERDICT_WORDS[name] for name in VERDICTS], dtype=object)
    colours = {VERDICT_WORDS[name]: colour for name, colour in VERDICT_COLOURS.items()}
    groups = pd.Series(words[_table.verdict[_found.rows]], points.index)
    return photo_map(points, groups, colours=colours)


@section(key=REGION)
def _show_region(table: ResultsTable, chart: str) -> None:
    chosen = chosen_region(chart)
    if chosen:
        ScoredPhotos(table).show(np.array(chosen, dtype=np.int64), key="results map")


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
        text += f" **A random sample: {len(found.rows):,} of {counted(answered, 'photograph')}"
        of_parts = len(found.of_parts)
        some = found.n_parts < of_parts
        text += f", from {found.n_parts:,} of {counted(of_parts, 'part')}.**" if some else ".**"
    return text
