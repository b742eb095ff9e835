"""The part of Confidence that measures how well foreign pictures are told."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import sidebar
from dashboard.evaluation.shown import Shown
from dashboard.jobs.registry import Job, find_jobs, start_job
from dashboard.jobs.view import show_jobs
from dashboard.resources import opened_dataset
from dashboard.widgets.path_field import path_field
from dashboard.wording.names import counted_share, escape_markdown, human_name
from har_core import load_model
from har_core.dataset.table import Dataset, load_dataset
from har_core.errors import HarError
from har_core.evaluation.foreign import JudgedPictures, judge_pictures, list_pictures
from har_core.model.manifest import NOVELTY_FILE
from har_core.model.records import rows_of_split
from har_core.wording import counted

_PREFIX: Final = "foreign/"


def show_foreign(shown: Shown) -> None:
    """Offer to judge a folder of foreign pictures, and the model's own test photographs."""
    st.header("Does it notice pictures of other things?", anchor=False)
    if NOVELTY_FILE not in shown.manifest.files:
        st.caption(
            "This model cannot tell: it does not know what its training photographs look like. "
            f"`har calibrate {escape_markdown(shown.manifest.name)} --dataset FOLDER` teaches it."
        )
        return
    with st.form("foreign", width=620):
        folder = path_field(
            "Folder with pictures of other things", key="foreign_folder", in_form=True
        )
        judge = st.form_submit_button("Judge them", icon=":material/play_arrow:")
    if judge and folder:
        _start(shown, "other things", folder, lambda: (list_pictures(folder), []))
    elif judge:
        st.error("Name the folder first.")
    dataset = sidebar.chosen_dataset()
    if dataset and st.button("Count false alarms on the test photographs", key="false_alarms"):
        opened = opened_dataset(dataset)  # here, where it is known how it is to be read
        place = str(opened.folder)
        _start(shown, "test photographs", place, lambda: _test_photographs(shown, opened))
    prefix = _prefix(shown)
    show_jobs(prefix)
    for job in find_jobs(prefix):
        if job.state == "done":
            _show_result(*job.result)


def _test_photographs(shown: Shown, dataset: Dataset) -> tuple[list[Path], list[str]]:
    table = rows_of_split(load_dataset(dataset), shown.folder, "test").dropna(subset="path")
    return [Path(path) for path in table["path"]], list(table["label"])


def _start(
    shown: Shown, what: str, place: str, find: Callable[[], tuple[Sequence[Path], list[str]]]
) -> None:
    def work(job: Job) -> tuple[str, JudgedPictures, list[str]]:
        paths, labels = find()
        judged = judge_pictures(load_model(shown.folder), paths, progress=job.report)
        return place, judged, [labels[i] for i in judged.read] if labels else []

    try:
        key = f"{_prefix(shown)}{what}"
        start_job(key, f"Judging {what} in {place}", work, shared=False)  # it may be another folder
    except HarError as error:
        st.error(escape_markdown(str(error)))


def _prefix(shown: Shown) -> str:
    # Not the name: a copied bundle has its original's.
    return f"{_PREFIX}{shown.folder}/"


def _show_result(place: str, judged: JudgedPictures, labels: list[str]) -> None:
    n, share = len(judged.flagged), judged.flagged.mean()
    where = f"in {escape_markdown(place)}"  # another visitor may have chosen it
    if labels:
        what = counted(n, "test photograph")
        st.markdown(f"**False alarms: {counted_share(share)} of {what}** {where}.")
        table = pd.DataFrame({"action": map(human_name, labels), "flagged": judged.flagged})
        by_class = table.groupby("action")["flagged"].agg(["mean", "size"]).sort_values("mean")
        by_class["mean"] *= 100
        st.dataframe(
            by_class[::-1],
            column_config={
                "mean": st.column_config.NumberColumn("False alarms", format="%.1f %%"),
                "size": "Photographs",
            },
            alt="False alarms by action",
        )
    else:
        area = judged.auroc
        st.markdown(
            f"**Called foreign: {counted_share(share)} of {counted(n, 'picture')}** {where}. Area "
            f"under the ROC curve against validation photographs: {area.value:.3f} "
            f"({area.low:.3f} – {area.high:.3f})."
        )
    counts, edges = np.histogram(judged.novelty, bins=20, range=(0, 1))
    st.bar_chart(
        pd.DataFrame({"pictures": counts}, index=(edges[:-1] + 0.025).round(3)),
        x_label="novelty",
        y_label="pictures",
        height=180,
    )
