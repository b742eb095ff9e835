"""The Dataset page's label suspects: photographs whose label the model disputes."""

from typing import Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.dataset import noise_by_class
from dashboard.charts.style import NO_TOOLBAR
from dashboard.dataset.decision_bar import report_failure, show_decision_bar
from dashboard.dataset.suggestions import remember_suggestions, remembered_suggestions
from dashboard.dataset.tiles import PAGE_SIZE, show_tiles
from dashboard.dataset.view import BY_IDENTITY, DatasetView, section
from dashboard.widgets.filters import class_filter
from dashboard.widgets.gallery import choose_page
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.names import (
    escape_markdown,
    human_name,
    markdown_name,
    name_in_text,
    percent,
)
from har_core.analysis.suspects import N_FOLDS, LabelSuspects, find_label_suspects
from har_core.analysis.whole_set import group_numbers
from har_core.dataset.decisions import Decision, decide_together
from har_core.errors import ModelBundleError
from har_core.model.records import (
    held_out_predictions,
    match_probabilities,
    recorded_cross_validation,
)
from har_core.storage.spreadsheets import escape_formulas
from har_core.wording import are, counted

_HELD_OUT: Final = "Held-out photographs"
_WHOLE_SET: Final = "Whole set"
_ROOM: Final = 45  # letters; longer texts would push the other columns out of sight
_TEXT_WIDTH: Final = 110  # pixels, then all columns fit
# Whose opinion it is, which is not always the chosen model's.
_JUDGES: Final = {_HELD_OUT: "model", _WHOLE_SET: "regression"}


@section()
def show_suspects(view: DatasetView) -> None:
    """Draw the ranking, from the chosen evidence."""
    sources = _sources(view)
    if not sources:
        if view.analysis is not None:
            st.info(
                f"Doubtful labels are found among classes of at least {N_FOLDS} usable "
                "photographs that differ; there are not two such classes.",
                icon=":material/label_off:",
            )
            return
        st.info(
            "Doubtful labels are found by comparing what a model says of photographs it has not "
            "learned from. Let the model look at all photographs first (above).",
            icon=":material/visibility:",
        )
        return
    source = st.segmented_control(
        "Evidence",
        list(sources),
        default=next(iter(sources)),
        required=True,
        key="suspect_source",
        bind="query-params",
    )
    suspects = _rank(view, source)
    of_features = GLOSSARY["backbone features"] if source == _WHOLE_SET else None
    st.caption(sources[source], help=of_features)
    n = int(suspects.ranking["is_label_issue"].sum())
    ranking, classes = st.columns([5, 3], gap="medium")
    with classes:
        judge = _JUDGES[source]
        st.markdown(f"**Labels that the {judge} contradicts**")
        st.plotly_chart(
            _noise_figure(view, source),
            key="noise_by_class",
            config=NO_TOOLBAR,
            alt=f"Estimated share of labels that the {judge} contradicts, by class",
        )
        st.caption(
            "Estimated shares with 95 % intervals. Wrong labels raise them, and so do actions that "
            "overlap, such as sitting and texting."
        )
    with ranking:
        labels = counted(len(suspects.ranking), "label")
        if not n:
            st.markdown(f"None of {labels} is doubtful.")
            return
        chosen = class_filter("Given label", suspects.by_class.index, key="suspect_class")
        # Between them: the table's buttons, which a phone always shows, lie over what is above it.
        st.markdown(f"**{n:,}** of {labels} {are(n)} doubtful, the most doubtful first.")
        rows = _doubtful(suspects, chosen)
        if rows.empty:
            st.caption(f"None of them is labelled {markdown_name(chosen)}.")
            return
        _show_table(view, source, chosen)
    _show_gallery(view, rows, _JUDGES[source])


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs=BY_IDENTITY)
def _sources(view: DatasetView) -> dict[str, str]:
    """Return the evidence on offer, best first, with what is to be known about it."""
    sources = {}
    if _recorded(view, _HELD_OUT) is not None:
        sources[_HELD_OUT] = (
            "From what the model says of the photographs that were held out when it was trained."
        )
    if _recorded(view, _WHOLE_SET) is not None:
        sources[_WHOLE_SET] = (
            "From a logistic regression on the image features of the backbone before it was "
            "fine-tuned, fitted five times without the photographs that it then judges."
        )
    elif view.analysis is not None and len(view.analysis.labelled):
        text = (
            "From a logistic regression on the model's image features, fitted five times without "
            "the photographs that it then judges."
        )
        judged = view.photographs["label"].iloc[view.analysis.labelled].nunique()
        if judged < len(view.class_names):
            text += (
                f" Classes of fewer than {N_FOLDS} usable photographs, or of near duplicates "
                "alone, are not judged."
            )
        if view.photographs["split"].eq("train").any():
            text += (
                " The features were learned from the training photographs and their labels, so "
                "wrong labels among those are found less often"
            )
            text += "; the held-out list is stricter." if sources else "."
        sources[_WHOLE_SET] = text
    return sources


def _recorded(view: DatasetView, source: str) -> pd.DataFrame | None:
    """Return probabilities that the model's bundle records of these photographs, None if none.

    They judge labels that are classes of the model. Of the whole set they are taken only if they
    judge all that an analysis could.
    """
    photographs, whole = view.photographs, source == _WHOLE_SET
    if view.model_folder is None or view.manifest is None or not photographs["split"].any():
        return None
    judged = photographs["label"].isin(view.manifest.class_names)
    if not whole:
        judged &= photographs["split"].isin(["validation", "test"])
    read = recorded_cross_validation if whole else held_out_predictions
    try:
        recorded = read(view.model_folder, view.manifest) if judged.any() else None
    except ModelBundleError as error:
        st.error(escape_markdown(str(error)))
        return None
    if recorded is None:
        return None
    known = match_probabilities(
        photographs.loc[judged, "sha256"], recorded, view.manifest.class_names
    )
    if whole and view.analysis is not None:
        judgeable = photographs.index[view.analysis.labelled]
        known = known if judgeable.isin(known.index).all() else known.iloc[:0]
    return known if len(known) else None


@st.cache_data(max_entries=8, show_spinner="Ranking labels …", hash_funcs=BY_IDENTITY)
def _rank(view: DatasetView, source: str) -> LabelSuspects:
    labels = view.photographs["label"]
    # Before the scan only copies are known.
    scanned = "duplicate_group" in view.photographs
    numbers = (
        group_numbers(view.photographs) if scanned else view.photographs["sha256"].factorize()[0]
    )
    groups = pd.Series(numbers, index=labels.index)
    known = _recorded(view, source)
    if known is not None:
        return find_label_suspects(
            labels.loc[known.index],
            known.to_numpy(),
            list(known.columns),
            groups.loc[known.index].to_numpy(),
        )
    if view.analysis is None:
        raise ValueError(f"The model records nothing for {source!r}.")
    analysis = view.analysis
    judged = labels.iloc[analysis.labelled]
    return find_label_suspects(
        judged,
        analysis.probabilities,
        list(analysis.class_names),
        groups.iloc[analysis.labelled].to_numpy(),
    )


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=BY_IDENTITY)
def _noise_figure(view: DatasetView, source: str) -> go.Figure:
    return noise_by_class(_rank(view, source).by_class)


def _doubtful(suspects: LabelSuspects, label: str) -> pd.DataFrame:
    """Return the doubtful labels, or those of a class."""
    rows = suspects.ranking[suspects.ranking["is_label_issue"]]
    return rows[rows["label"].eq(label)] if label else rows


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_IDENTITY)
def _table(view: DatasetView, source: str, label: str) -> pd.DataFrame:
    rows = _doubtful(_rank(view, source), label)
    table = pd.DataFrame(
        {
            "Photograph": view.photographs.loc[rows.index, "filename"],
            "Given": rows["label"].map(human_name),
            "Suggested": rows["suggested"].map(human_name),
            "Given %": 100 * rows["label_score"],
            "Suggested %": 100 * rows["suggested_probability"],
        }
    )
    return escape_formulas(table)


def _show_table(view: DatasetView, source: str, label: str) -> None:
    table = _table(view, source, label)
    longest = {n: table[n].str.len().max() for n in ("Photograph", "Given", "Suggested")}
    texts = {
        name: st.column_config.TextColumn(width=_TEXT_WIDTH)
        for name, n_letters in longest.items()
        if sum(longest.values()) > _ROOM and n_letters > _ROOM / 3
    }
    given, suggested = (
        st.column_config.NumberColumn(
            format="%.0f %%", help="Probability of this label", width=width
        )
        for width in (70, 90)  # else the last column lies half outside
    )
    st.dataframe(
        table,
        hide_index=True,
        height=320,
        key="suspect_table",
        column_config={**texts, "Given %": given, "Suggested %": suggested},
        alt="Doubtful labels, the most doubtful first",
    )


def _show_gallery(view: DatasetView, rows: pd.DataFrame, judge: str) -> None:
    shown = rows.iloc[choose_page(len(rows), PAGE_SIZE, f"suspect_page_{len(rows)}")]
    suggested = shown["suggested"]
    names = view.photographs.loc[shown.index, "filename"]
    remember_suggestions(view, dict(zip(names, suggested, strict=True)))
    bar = st.container()
    selected = show_tiles(
        view,
        view.photographs.loc[shown.index],
        key="suspect_gallery",
        note=lambda row: (
            f"{judge}: {name_in_text(suggested[row.name])} "
            f"{percent(shown.loc[row.name, 'suggested_probability'])}"
        ),
    )
    with bar:
        st.button(
            "Accept the suggestions for the selected",
            icon=":material/check:",
            disabled=not selected,
            help=None if selected else "Tick photographs first.",
            on_click=_accept,
            args=(view, selected),
        )
        show_decision_bar(view, selected, key="suspects")


def _accept(view: DatasetView, filenames: list[str]) -> None:
    suggestions = remembered_suggestions(view)
    by_label: dict[str, list[str]] = {}
    for name in filenames:
        if name in suggestions:
            by_label.setdefault(suggestions[name], []).append(name)

    known = view.sha256_by_name
    steps = [
        Decision("relabel", tuple(names), label, sha256=tuple(known.get(n, "") for n in names))
        for label, names in by_label.items()
    ]
    report_failure(lambda: decide_together(view.folder, steps))
