"""The Dataset page's clean-up: suggestions in bulk, what was decided, and the exports."""

import shlex
from typing import Final

import pandas as pd
import streamlit as st

from dashboard.dataset.decision_bar import (
    current_decisions,
    decide_about,
    decision_mark,
    show_decision_buttons,
    undo_last,
    what_was_done,
)
from dashboard.dataset.tiles import PAGE_SIZE, show_tiles
from dashboard.dataset.view import DatasetView
from dashboard.resources import reading_of
from dashboard.widgets.gallery import choose_page
from dashboard.wording.names import escape_markdown, human_name
from har_core.dataset.decision_tables import decisions_csv, new_labels
from har_core.dataset.decisions import Decisions, cleaned_table, labels_csv
from har_core.images.thumbnails import data_uri, thumbnails
from har_core.scan.issues import findings_csv
from har_core.storage.spreadsheets import escape_formulas
from har_core.wording import are, counted

_LISTED: Final = 5
_JUDGED_BY: Final = [
    *("filename", "label", "labels", "duplicate_group", "width", "height"),
    *("is_missing_issue", "is_unreadable_issue", "is_label_conflict_issue"),
]
_ROW_HEIGHT: Final = 52  # pixels, for a picture
_ROWS_SHOWN: Final = 6.5  # half a row tells that there are more


def show_cleanup(view: DatasetView) -> None:
    """Draw suggestions, the decisions so far with undo, and the exports."""
    decisions = current_decisions(view)
    suggestions, exports = st.columns([3, 2], gap="large")
    with suggestions:
        st.header("Suggestions", anchor=False)
        _show_suggestions(view, decisions)
    with exports:
        st.header("Export", anchor=False)
        _show_exports(view, decisions)
    st.header("Decisions", anchor=False)
    _show_decisions(view, decisions)


def suggest_exclusions(photographs: pd.DataFrame, decisions: Decisions) -> dict[str, list[str]]:
    """Return what is safe to exclude in bulk: a reason for people to filenames.

    Parameters
    ----------
    photographs : DataFrame
        From `har_core.scan.scanning.scan_dataset`.
    decisions : Decisions
        What was decided so far: what is excluded already is no copy that stays.
    """
    excluded = photographs["filename"].isin(decisions.excluded)
    # Copying all columns would take longer than all that follows.
    listed = photographs.loc[photographs["listed"] & ~excluded, _JUDGED_BY]
    differing = _labels_differ(listed, decisions)
    in_group = listed[listed["duplicate_group"].notna() & listed["label"].ne("") & ~differing]
    # Of each group the largest picture stays.
    area = in_group["width"].astype(float) * in_group["height"].astype(float)
    ranked = in_group.loc[area.sort_values(ascending=False, kind="stable").index]
    surplus = ranked[ranked["duplicate_group"].duplicated()]
    conflicts = listed[differing]
    reasons = {
        "Rows whose file is missing": listed[listed["is_missing_issue"]],
        "Unreadable files": listed[listed["is_unreadable_issue"]],
        "Duplicates, all but the largest of each group": surplus,
        "Duplicates with different labels, all of them": conflicts,
        "Rows without a label": listed[listed["label"].eq("")],
    }
    return {reason: list(rows["filename"]) for reason, rows in reasons.items() if len(rows)}


def _labels_differ(listed: pd.DataFrame, decisions: Decisions) -> pd.Series:
    """Tell which photographs still are in a label conflict, given what was decided; bool."""
    conflict = listed["is_label_conflict_issue"]
    groups = listed["duplicate_group"]
    asked = listed[conflict | groups.isin(groups[conflict].dropna())]
    groups = asked["duplicate_group"]
    relabelled = asked["filename"].isin(decisions.relabelled)
    labels = asked["label"].mask(relabelled, asked["filename"].map(decisions.relabelled))
    different = labels[labels.ne("")].groupby(groups).nunique()
    in_conflict = groups.map(different).fillna(0).gt(1)
    listed_twice = asked["labels"].gt(1) & ~relabelled
    return conflict & (in_conflict | listed_twice).reindex(listed.index, fill_value=False)


def _show_suggestions(view: DatasetView, decisions: Decisions) -> None:
    if not view.scanned:
        st.caption("Scan the photographs to get suggestions.")
        return
    decided = set(decisions.current)
    open_suggestions = {
        reason: [name for name in names if name not in decided]
        for reason, names in suggest_exclusions(view.photographs, decisions).items()
    }
    if not any(open_suggestions.values()):
        st.caption("Nothing left to suggest.")
    for reason, names in open_suggestions.items():
        if not names:
            continue
        st.markdown(f"{reason}: **{len(names):,}**")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Exclude",
                icon=":material/block:",
                key=f"exclude {reason}",  # a second click must not mean what takes its place
                on_click=decide_about,
                args=(view, "exclude", names),
                width="content",
            )
            looking = st.toggle("Look at them", key=f"look {reason}", width="content")
        if looking:
            rows = view.photographs[view.photographs["filename"].isin(names)]
            show_tiles(view, rows.head(PAGE_SIZE), key=f"look_tiles {reason}", selectable=False)
            if len(rows) > PAGE_SIZE:
                st.caption(f"{PAGE_SIZE} of {len(rows):,}")


def _show_exports(view: DatasetView, decisions: Decisions) -> None:
    table = view.dataset.table
    cleaned = cleaned_table(table, decisions, view.dataset.unlisted)
    relabelled, labelled = new_labels(table, decisions, view.dataset.unlisted)
    st.markdown(
        f"**{len(cleaned):,}** of {counted(len(table), 'row')} {are(len(cleaned))} kept, "
        f"**{len(relabelled) + len(labelled):,}** with a new label."
    )
    with st.container(horizontal=True):
        st.download_button(
            "Cleaned train.csv",
            lambda: labels_csv(cleaned, view.dataset.columns).encode(),
            file_name="train_cleaned.csv",
            mime="text/csv",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
        )
        if decisions.current:
            given = view.photographs.drop_duplicates("filename").set_index("filename")["label"]
            st.download_button(
                "Decisions CSV",
                lambda: decisions_csv(decisions, given.to_dict()).encode(),
                file_name="decisions.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
            )
        if view.scanned:
            st.download_button(
                "Findings CSV",
                lambda: findings_csv(view.photographs).encode(),
                file_name="findings.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
            )
    st.page_link(
        "../pages/training.py", label="Train a model on it", icon=":material/model_training:"
    )
    st.caption("Or on the command line:")
    read_so = ["--dataset", str(view.folder), *reading_of(view.folder).options]
    command = shlex.join(["har", "train", *read_so, "--cleaned", "--name", "cleaned"])
    st.code(command, language=None, wrap_lines=True)


def _show_decisions(view: DatasetView, decisions: Decisions) -> None:
    if decisions.outdated:
        names = sorted(decisions.outdated)
        listed = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
        st.warning(
            f"{counted(len(names), 'photograph')} with a decision "
            f"{'was replaced by another' if len(names) == 1 else 'were replaced by others'} of the "
            f"same name. What was decided is kept, but not applied: {escape_markdown(listed)}",
            icon=":material/sync_problem:",
        )
    if not decisions.steps:
        st.caption("None yet. Open or tick photographs in any section to exclude or relabel them.")
    else:
        what = what_was_done(decisions.last_together)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Undo",
                icon=":material/undo:",
                key="undo",
                on_click=undo_last,
                args=(view.folder,),
            )
            st.markdown(f"Last: {what}", width="content")
        _show_decided(view, decisions)
    st.caption(
        f"Kept in {escape_markdown(str(decisions.path))}. "
        "The photographs and tables are never changed."
        + (
            ""
            if decisions.path.parent == view.folder
            else " The dataset's own folder cannot be written."
        )
    )


def _show_decided(view: DatasetView, decisions: Decisions) -> None:
    """Draw what was decided, the latest first, and buttons that change it for ticked rows."""
    names = list(reversed(decisions.current))
    names = names[choose_page(len(names), PAGE_SIZE, f"decisions_page_{len(names)}")]
    if not names:
        return
    bar = st.container()
    known = view.photographs.drop_duplicates("filename").set_index("filename").reindex(names)
    paths = [path if isinstance(path, str) else None for path in known["path"]]
    steps = [decisions.current[name] for name in names]
    table = pd.DataFrame(
        {
            "picture": [picture and data_uri(picture) for picture in thumbnails(paths)],
            "Photograph": names,
            "Given label": known["label"].fillna("").map(human_name).to_numpy(),
            "Decision": [decision_mark(step) for step in steps],
            "When (UTC)": [step.time.replace("T", " ").removesuffix("+00:00") for step in steps],
        }
    )
    chosen = st.dataframe(
        escape_formulas(table),
        hide_index=True,
        # Of other rows another table: ticks are positions.
        key=f"decisions {hash(tuple(names))}",
        on_select="rerun",
        selection_mode="multi-row",
        column_config={"picture": st.column_config.ImageColumn("", width="small")},
        row_height=_ROW_HEIGHT,
        height=int(_ROW_HEIGHT * min(len(table), _ROWS_SHOWN)) + 38,
        alt="Decisions about photographs, the latest first",
    )
    ticked = [names[row] for row in chosen["selection"]["rows"] if row < len(names)]
    with bar:
        if not ticked:
            st.caption("Tick rows to change or take back what was decided about them.")
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{len(ticked):,}** ticked", width="content")
            show_decision_buttons(view, ticked, key="decided")
