"""The section Compare: several models on the same photographs."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard.evaluation import data as data
from dashboard.evaluation.photos import EvaluatedPhotos
from dashboard.evaluation.shown import Shown
from dashboard.wording.metrics import metric_value, signed_difference
from dashboard.wording.names import escape_markdown, human_name
from har_core.errors import HarError
from har_core.evaluation.comparison import disagreements
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.totals import HEADLINE_METRICS, METRIC_TITLES


def show_comparison(shown: Shown, others: Mapping[str, Path]) -> None:
    """Draw metrics of several models side by side, and where two of them disagree."""
    if not others:
        st.info(
            "There is no other model to compare with yet. Train one from this one, or import one "
            "with `har import-model`; it appears here by itself.",
            icon=":material/info:",
        )
        st.page_link("../pages/training.py", label="Train", icon=":material/model_training:")
        return
    chosen = st.multiselect(
        "Compare with",
        list(others),
        default=[next(iter(others))],
        key=f"compare_{shown.folder.name}",
        width=520,
    )
    if not chosen:
        return
    # Folders tell models apart, as in the sidebar: a copied bundle has its original's name.
    first = shown.folder.name
    folders = {first: shown.folder} | {name: others[name] for name in chosen}
    try:
        comparison = data.load_comparison(folders, shown.evaluation.name)
        caveats = {name: data.find_caveats(others[name], shown.evaluation.name) for name in chosen}
    except HarError as error:
        st.warning(escape_markdown(str(error)), icon=":material/info:")
        return
    for name, of_rival in caveats.items():  # the page's head has those of the shown model
        for caveat in of_rival:
            st.warning(escape_markdown(f"{name}: {caveat}"), icon=":material/warning:")
    table = {escape_markdown(first): _metric_column(comparison.results[first])}
    for name in chosen:
        table[escape_markdown(name)] = _metric_column(comparison.results[name])
        table[escape_markdown(f"{name} minus {first}")] = [
            signed_difference(metric, comparison.differences[name][metric])
            for metric in HEADLINE_METRICS
        ]
    st.table(
        pd.DataFrame(table, index=[METRIC_TITLES[name] for name in HEADLINE_METRICS]),
        alt="Headline metrics of the compared models",
    )
    left_out = {m: n for m, n in comparison.n_left_out.items() if n}
    st.caption(
        f"{comparison.results[first].n:,} photographs that every model was evaluated on"
        + "".join(f"; {n:,} more of {escape_markdown(m)} left out" for m, n in left_out.items())
        + ". Differences with 95 % intervals from paired bootstrap samples."
    )
    for name in chosen:
        st.markdown(escape_markdown(comparison.tests[name].describe(first, name)))
    rival = chosen[0]
    if len(chosen) > 1:
        rival = st.segmented_control(
            f"Where {escape_markdown(first)} disagrees with",
            chosen,
            default=chosen[0],
            required=True,
            key="rival",
            format_func=escape_markdown,
        )
    differing = disagreements(comparison.results[first], comparison.results[rival])
    winner = st.segmented_control(
        "Photographs",
        [1, 2],
        default=1,
        required=True,
        key="winner",
        format_func=lambda which: f"only {escape_markdown((first, rival)[which - 1])} is right",
        label_visibility="collapsed",
    )
    rows = differing[differing["right"] == winner]
    side, other = (comparison.results[first], 2) if winner == 1 else (comparison.results[rival], 1)
    photographs = side.photographs().set_index("filename", drop=False).loc[rows["filename"]]
    photographs["note"] = [
        f"the other says {human_name(name)}" for name in rows[f"prediction_{other}"]
    ]
    EvaluatedPhotos(side, shown.files).show(photographs, key="disagreements")


def _metric_column(result: EvaluationResult) -> list[str]:
    return [metric_value(name, i.value) for name, i in result.headline_intervals.items()]
