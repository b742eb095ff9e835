"""The section Compare: several models on the same photographs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from dashboard.evaluation import data
from dashboard.evaluation.jobs import SAME_PREFIX, start_same_evaluation
from dashboard.evaluation.photos import EvaluatedPhotos
from dashboard.evaluation.shown import Shown
from dashboard.jobs.view import JobEnd, show_jobs
from dashboard.widgets.messages import show_failure
from dashboard.widgets.verdict import VERDICT_BOXES, load_verdict
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.metrics import metric_value, signed_difference
from dashboard.wording.names import escape_markdown, human_name
from har_core.errors import DatasetError, HarError
from har_core.evaluation.comparison import SEVERAL_TESTS, Comparison, disagreements
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import BUNDLE_SPLITS
from har_core.evaluation.totals import HEADLINE_METRICS, METRIC_TITLES
from har_core.storage.data import runs_folder
from har_core.training.verdict import Verdict
from har_core.wording import counted

WITH_KEY: Final = "with"


def show_comparison(shown: Shown, others: Mapping[str, Path]) -> None:
    """Draw metrics of several models side by side, and where two of them disagree.

    Parameters
    ----------
    shown : Shown
        The baseline.
    others : mapping of str to Path
        Name to bundle of the models on offer, those on trial included.
    """
    show_jobs(SAME_PREFIX, JobEnd())
    if not others:
        st.info(
            "There is no other model to compare with yet. Train one from this one, or import one "
            "with `har import-model`; it appears here by itself.",
            icon=":material/info:",
        )
        st.page_link("../pages/training.py", label="Train", icon=":material/model_training:")
        return
    before = st.session_state.get(WITH_KEY, [])
    if any(name not in others for name in before):  # chosen beside another model
        del st.session_state[WITH_KEY]
    chosen = st.multiselect(
        "Compare with",
        list(others),
        default=[next(iter(others))],
        key=WITH_KEY,
        bind="query-params",
        format_func=lambda name: f"{name} (on trial)" if _is_on_trial(others[name]) else name,
        width=520,
    )
    # Folders tell models apart, as in the sidebar: a copied bundle has its original's name.
    first = shown.folder.name
    evaluations = {first: (shown.folder, shown.evaluation.name)}
    for name in chosen:
        try:
            found = data.evaluation_of_same(others[name], shown.evaluation, first)
        except HarError as error:
            st.warning(escape_markdown(str(error)), icon=":material/info:")
            continue
        if found is None:
            _offer_evaluation(shown, name, others[name])
        else:
            evaluations[name] = (others[name], found)
            _show_verdict(shown, others[name], found)
    if len(evaluations) > 1:
        _show_side_by_side(shown, evaluations)


def _is_on_trial(folder: Path) -> bool:
    return folder.is_relative_to(runs_folder())


def _offer_evaluation(shown: Shown, name: str, folder: Path) -> None:
    """Say that a model was not evaluated on these photographs, and do it on a click."""
    known = escape_markdown(name)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{known}** was not evaluated on the same "
            f"{counted(shown.evaluation.raw.n, 'photograph')}."
        )
        keep_as = data.free_name(folder, shown.evaluation.name, shown.folder.name)
        st.button(
            f"Evaluate on this {'split' if shown.evaluation.name in BUNDLE_SPLITS else 'set'}",
            type="primary",
            icon=":material/play_arrow:",
            key=f"evaluate_same {name}",
            disabled=not shown.files.paths,
            help=None if shown.files.paths else "Choose the dataset of these photographs first.",
            on_click=_start_evaluation,
            args=(shown, folder, keep_as),
            width="content",
        )
    if not shown.files.paths:
        st.caption(shown.files.why_missing(str(shown.evaluation.raw.filenames[0])))


def _start_evaluation(shown: Shown, folder: Path, keep_as: str) -> None:
    try:
        start_same_evaluation(folder, keep_as, shown.evaluation, shown.files)
    except HarError as error:
        show_failure(error)


def _show_verdict(shown: Shown, rival: Path, name: str) -> None:
    """Say whether the other model is better, and where it is decided about one on trial."""
    are_tests = shown.evaluation.name == name == "test"
    if are_tests and (verdict := _verdict_on(shown, rival)) is not None:
        show, icon = VERDICT_BOXES[verdict.outcome]
        said = f"{verdict.sentence} {verdict.whose_labels}".rstrip()
        show(escape_markdown(said), icon=icon)
    if _is_on_trial(rival):
        st.page_link(
            "../pages/training.py",
            label=f"Use or discard {escape_markdown(rival.name)}",
            icon=":material/rule:",
            query_params={"run": rival.parent.parent.name},  # the id of the run that made it
        )


def _verdict_on(shown: Shown, rival: Path) -> Verdict | None:
    try:
        return load_verdict(shown.folder, rival)
    except HarError:  # they have other test photographs; the table below says which it is of
        return None


def _compare(shown: Shown, evaluations: Mapping[str, tuple[Path, str]]) -> Comparison:
    """Compare the models, by the later labels where a review came in between.

    Raises
    ------
    HarError
        If they have no photographs in common, or other labels that no verdict settles.
    """
    try:
        return data.load_comparison(evaluations)
    except DatasetError:
        rivals = list(evaluations.values())[1:]
        if len(rivals) > 1 or {rivals[0][1], shown.evaluation.name} != {"test"}:
            raise
        return load_verdict(shown.folder, rivals[0][0]).comparison


def _show_side_by_side(shown: Shown, evaluations: Mapping[str, tuple[Path, str]]) -> None:
    first, *chosen = evaluations
    try:
        comparison = _compare(shown, evaluations)
        caveats = {name: data.find_caveats(*evaluations[name]) for name in chosen}
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
        f"{counted(comparison.results[first].n, 'photograph')} that every model was evaluated on"
        + "".join(f"; {n:,} more of {escape_markdown(m)} left out" for m, n in left_out.items())
        + ". Differences with 95 % intervals from paired bootstrap samples."
    )
    for name in chosen:
        st.markdown(
            escape_markdown(comparison.tests[name].describe(first, name)),
            help=GLOSSARY["permutation test"],
        )
    if len(chosen) > 1:
        st.caption(SEVERAL_TESTS)
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
    # By the names that the shown model's evaluation has, of which the files are known.
    side = replace(side, filenames=comparison.results[first].filenames)
    photographs = side.photographs().set_index("filename", drop=False).loc[rows["filename"]]
    photographs["note"] = [
        f"the other says {human_name(name)}" for name in rows[f"prediction_{other}"]
    ]
    EvaluatedPhotos(side, shown.files).show(photographs, key="disagreements")


def _metric_column(result: EvaluationResult) -> list[str]:
    return [metric_value(name, i.value) for name, i in result.headline_intervals.items()]
