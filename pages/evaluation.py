"""How good is the model, where does it fail, and can its confidence be believed?"""

from pathlib import Path

import streamlit as st

from dashboard import evaluation_sections as sections
from dashboard import sidebar
from dashboard.evaluation_data import find_caveats, load_evaluation, photograph_paths
from dashboard.evaluation_jobs import JOB_PREFIX, start_folder_evaluation, start_zip_evaluation
from dashboard.evaluation_wording import what_was_measured
from dashboard.job_view import show_jobs
from dashboard.jobs import Job
from dashboard.report import render_report
from dashboard.wording import escape_markdown
from har_core.bundle import list_bundles, read_manifest
from har_core.cli_evaluate import predictions_csv
from har_core.errors import HarError
from har_core.evaluations import BUNDLE_SPLITS, delete_evaluation, list_evaluations

EVALUATION_KEY = "evaluation"
MAX_ZIP_MB = 500
TABS = (
    "Confusions",
    "Classes",
    "Curves",
    "Confidence",
    "Errors",
    "Compare",
    "Evaluate another set",
)


def open_evaluation(job: Job) -> None:
    st.session_state[EVALUATION_KEY] = job.result


def pick_evaluation(names: list[str]) -> str:
    if st.session_state.get(EVALUATION_KEY, names[0]) not in names:
        st.session_state[EVALUATION_KEY] = names[0]  # chosen for another model
    return st.selectbox(
        "Evaluated on",
        names,
        key=EVALUATION_KEY,
        bind="query-params",
        width=280,
    )


def show_new_evaluation(folder: Path, names: list[str]) -> None:
    """Draw the forms that evaluate another labelled set, and the list of kept evaluations."""
    source = st.segmented_control(
        "Photographs from",
        ["a folder on the server", "a ZIP archive"],
        default="a folder on the server",
        required=True,
        key="set_source",
    )
    with st.form("new_evaluation", width=620):
        name = st.text_input(
            "Name of the evaluation",
            key="set_name",
            placeholder="holiday-2024",
            help="Letters, digits, '.', '_' and '-'. An evaluation of that name is replaced.",
        )
        archive = set_folder = csv = None
        if source == "a ZIP archive":
            archive = st.file_uploader(
                "ZIP with train.csv (filename,label) and the photographs",
                type="zip",
                max_upload_size=MAX_ZIP_MB,
                key="set_zip",
            )
            st.caption("The photographs are deleted once they are evaluated.")
        else:
            set_folder = st.text_input(
                "Folder", value=sidebar.chosen_dataset() or "", key="set_folder"
            )
            csv = st.text_input(
                "Table", key="set_csv", placeholder="train.csv in the folder", help="Optional."
            )
        started = st.form_submit_button("Evaluate", type="primary", icon=":material/play_arrow:")
    if started:
        try:
            if archive is not None:
                start_zip_evaluation(folder, name.strip(), archive.getvalue())
            elif set_folder:
                start_folder_evaluation(folder, name.strip(), set_folder.strip(), csv or None)
            else:
                st.error("Choose the photographs first.")
                return
        except HarError as error:
            st.error(escape_markdown(str(error)))
            return
        st.rerun()
    kept = [name for name in names if name not in BUNDLE_SPLITS]
    if kept:
        st.markdown("**Kept evaluations of this model**")
    for name in kept:
        with st.container(horizontal=True, vertical_alignment="center", width=620):
            st.markdown(escape_markdown(name))
            st.button(
                "Delete",
                key=f"delete_{name}",
                icon=":material/delete:",
                type="tertiary",
                on_click=delete_evaluation,
                args=(folder.name, name),
            )


def show_evaluation(folder: Path, names: list[str]) -> None:
    """Draw everything about one evaluation."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = pick_evaluation(names)
        actions = st.container(width="content")
    evaluation = load_evaluation(folder, name)
    shown = sections.Shown(
        folder=folder,
        manifest=read_manifest(folder),
        evaluation=evaluation,
        paths=photograph_paths(evaluation.folder, sidebar.chosen_dataset()),
    )
    caveats = find_caveats(folder, name)
    with actions:
        sections.show_downloads(
            shown,
            lambda: render_report(evaluation, caveats),
            lambda: predictions_csv(evaluation.result),
        )
    st.caption(escape_markdown(what_was_measured(evaluation)))
    for caveat in caveats:
        st.warning(escape_markdown(caveat), icon=":material/warning:")
    sections.show_headline(shown.result)

    tabs = dict(zip(TABS, st.tabs(TABS, key="view", bind="query-params"), strict=True))
    usable = [(entry, entry.manifest) for entry in list_bundles() if entry.manifest is not None]
    # Models of the same classes first: one of them is what a comparison starts with.
    usable.sort(key=lambda item: item[1].class_names != shown.manifest.class_names)
    others = {entry.name: entry.path for entry, _ in usable if entry.name != folder.name}
    draw = {
        "Confusions": lambda: sections.show_confusions(shown),
        "Classes": lambda: sections.show_classes(shown),
        "Curves": lambda: sections.show_curves(shown),
        "Confidence": lambda: sections.show_confidence(shown),
        "Errors": lambda: sections.show_errors(shown),
        "Compare": lambda: sections.show_comparison(shown, others),
        "Evaluate another set": lambda: show_new_evaluation(folder, names),
    }
    for title, tab in tabs.items():
        if tab.open:
            with tab:
                draw[title]()


st.title("How good is the model?", anchor=False)
model_folder = sidebar.chosen_model_folder()
show_jobs(JOB_PREFIX, open_result=open_evaluation)
if model_folder is None:
    st.info("There is no model yet: train one, or import one.", icon=":material/model_training:")
else:
    try:
        evaluations = list_evaluations(model_folder, read_manifest(model_folder))
        if evaluations:
            show_evaluation(model_folder, evaluations)
        else:
            st.info("This model comes without predictions. Evaluate it on a labelled set.")
            show_new_evaluation(model_folder, [])
    except HarError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
