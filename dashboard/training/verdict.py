"""The verdict on a finished run: whether its model is better, and whether it is used."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from dashboard import sidebar
from dashboard.resources import opened_dataset
from dashboard.training.runs import Run, remove_run, use_model
from dashboard.training.start import OPENED
from dashboard.training.watching import seen
from dashboard.widgets.gallery import Tile, gallery
from dashboard.widgets.messages import offer_deletion, show_failure
from dashboard.widgets.verdict import VERDICT_BOXES, load_verdict
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.metrics import metric_value, signed_difference
from dashboard.wording.names import escape_markdown, human_name, markdown_name
from har_core.errors import HarError
from har_core.evaluation.comparison import disagreements
from har_core.evaluation.totals import HEADLINE_METRICS, METRIC_TITLES
from har_core.images.thumbnails import thumbnails
from har_core.model.loading import find_model
from har_core.storage.checksums import sha256_of_photograph
from har_core.training.verdict import Verdict
from har_core.wording import counted

_SHOWN: Final = 12
_SHOWN_CLASSES: Final = 6


def show_verdict(run: Run) -> None:
    """Draw the comparison of a run's model with the one that it goes on from."""
    old, new = Path(run.base), run.model
    seen(run.id)
    st.header(f"Compare {escape_markdown(run.name)} with {escape_markdown(old.name)}", anchor=False)
    try:
        verdict = load_verdict(old, new)
        if verdict.n_relabelled:
            chosen = st.segmented_control(
                "Test labels",
                [new.name, old.name],
                default=verdict.labels,
                required=True,
                format_func=lambda name: f"as for {escape_markdown(name)}",
                key=f"labels {run.id}",
            )
            if chosen != verdict.labels:
                verdict = load_verdict(old, new, chosen)
    except HarError as error:
        st.warning(escape_markdown(str(error)), icon=":material/info:")
        _show_buttons(run)
        return
    show, icon = VERDICT_BOXES[verdict.outcome]
    show(escape_markdown(verdict.sentence), icon=icon)
    _show_buttons(run, worse=verdict.outcome == "worse")
    _show_caveats(verdict)
    metrics, classes = st.columns([2, 1], gap="medium")
    with metrics:
        _show_metrics(verdict)
    with classes:
        _show_classes(verdict)
    _show_changed(run, verdict)


def _show_buttons(run: Run, *, worse: bool = False) -> None:
    is_default = run.used and sidebar.default_model_folder() == run.model.resolve()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Make it the default" if run.used else "Use this model",
            type="secondary" if run.used or worse else "primary",
            icon=":material/check:",
            key=f"use {run.id}",  # of another run it is another button
            disabled=is_default,
            on_click=_use,
            args=(run,),
            help="It is the default already."
            if is_default
            else "Predict, REST and the command line answer with it from now on.",
        )
        st.page_link(
            "../pages/evaluation.py",
            label="Open in Compare",
            icon=":material/compare_arrows:",
            query_params={"model": Path(run.base).name, "view": "Compare", "with": run.name},
        )
        if run.used:
            st.page_link(
                "../pages/predict.py",
                label="Predict with it",
                icon=":material/image_search:",
                query_params={"model": run.name},
            )
        else:
            offer_deletion(
                "Discard",
                run.name,
                "This model is deleted; the present one stays.",
                key=f"discard {run.id}",
                on_click=remove_run,
                args=(run,),
                quiet=False,
            )


def _use(run: Run) -> None:
    try:
        use_model(run)
    except HarError as error:
        show_failure(error)
        return
    st.session_state[sidebar.MODEL_KEY] = run.name
    st.query_params[OPENED] = run.id  # or another one on trial would take its place
    if find_model().name == run.name:
        st.toast(f"{escape_markdown(run.name)} answers from now on.", icon=":material/check:")


def _show_caveats(verdict: Verdict) -> None:
    if verdict.n_relabelled:
        st.warning(
            f"{escape_markdown(verdict.whose_labels)}\n\n"
            "Where only those labels are corrected that a model contradicts, that model looks "
            "better than it is.",
            icon=":material/edit_note:",
        )
        st.page_link(
            "../pages/evaluation.py",
            label="Audit random test photographs, blind",
            icon=":material/fact_check:",
            query_params={"model": verdict.old, "view": "Audit"},
        )
    if verdict.n_left_out:
        st.caption(
            f"{counted(verdict.n_left_out, 'test photograph')} left out: copies, those that only "
            "one model was tested on or has the class of, and those that one has learned from or "
            "that look alike."
        )


def _show_metrics(verdict: Verdict) -> None:
    results, difference = verdict.comparison.results, verdict.comparison.differences[verdict.new]
    table = {
        escape_markdown(name): [
            metric_value(metric, results[name].headline_intervals[metric].value)
            for metric in HEADLINE_METRICS
        ]
        for name in (verdict.old, verdict.new)
    }
    table["difference (95 % interval)"] = [
        signed_difference(metric, difference[metric]) for metric in HEADLINE_METRICS
    ]
    st.table(
        pd.DataFrame(table, index=[METRIC_TITLES[name] for name in HEADLINE_METRICS]),
        alt="Headline metrics of the old and the new model",
    )
    st.caption(
        escape_markdown(verdict.test.describe(verdict.old, verdict.new)),
        help=GLOSSARY["permutation test"],
    )


def _show_classes(verdict: Verdict) -> None:
    changed = verdict.classes()
    changed = changed[changed["change"] != 0].head(_SHOWN_CLASSES)
    if changed.empty:
        st.caption("Every class is recognised as often as before.")
        return
    st.markdown("**Recognised more or less often**")
    lines = [
        f"{markdown_name(str(name))} **{100 * row.change:+.0f}** points ".replace("*-", "*−")
        + f":small[{100 * row.old:.0f} → {100 * row.new:.0f}\N{NO-BREAK SPACE}% "
        f"of {row.photographs:.0f}]"
        for name, row in zip(changed.index, changed.itertuples(), strict=True)
    ]
    st.markdown("  \n".join(lines))


def _show_changed(run: Run, verdict: Verdict) -> None:
    results = verdict.comparison.results
    rows = disagreements(results[verdict.old], results[verdict.new])
    for title, winner in (("Newly right", 2), ("Newly wrong", 1)):
        of_side = rows[rows["right"] == winner]
        st.markdown(f"**{title}: {len(of_side):,}**")
        shown = of_side.head(_SHOWN)
        if shown.empty:
            continue
        # Told by the earlier model's names; in the folder are those of the new one.
        at = pd.Index(results[verdict.old].filenames).get_indexer(shown["filename"])
        of_new = results[verdict.new].take(at)
        pictures = thumbnails(_paths(run.dataset, of_new.filenames, of_new.sha256))
        tiles = [
            Tile(
                id=row.filename,
                title=human_name(row.label),
                note=f"{human_name(row.prediction_1)} → {human_name(row.prediction_2)}",
                picture=picture,
                placeholder=row.filename,
            )
            for row, picture in zip(shown.itertuples(), pictures, strict=True)
        ]
        gallery(tiles, key=f"changed {winner} {run.id}")


def _paths(folder: str, names: Iterable[str], contents: Iterable[str]) -> list[str | None]:
    """Return where photographs are, None for those that are not there any more, or others now."""
    try:
        rows = opened_dataset(folder).rows
    except HarError:
        return [None for _ in names]
    paths = rows.drop_duplicates("filename").set_index("filename")["path"]
    found = [paths.get(name) for name in names]
    return [
        path if sha256_of_photograph(path) == sha256 else None
        for path, sha256 in zip(found, contents, strict=True)
    ]
