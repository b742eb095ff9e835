"""How good is the model, where does it fail, and can its confidence be believed?"""

from pathlib import Path

import streamlit as st

from dashboard import sidebar
from dashboard.evaluation import confusions
from dashboard.evaluation.audit.section import show_audit
from dashboard.evaluation.classes import show_classes, show_curves
from dashboard.evaluation.comparison import show_comparison
from dashboard.evaluation.confidence import show_confidence
from dashboard.evaluation.data import evaluated_files, find_caveats, load_evaluation
from dashboard.evaluation.errors import show_errors
from dashboard.evaluation.jobs import JOB_PREFIX
from dashboard.evaluation.new_set import show_new_evaluation
from dashboard.evaluation.overview import show_downloads, show_overview, show_summary
from dashboard.evaluation.shown import Shown
from dashboard.jobs.registry import Job
from dashboard.jobs.view import JobEnd, show_jobs
from dashboard.results.sections import show_as_evaluation
from dashboard.widgets.sections import choose_section
from dashboard.wording.names import escape_markdown
from har_core.errors import HarError
from har_core.evaluation.store import list_evaluations
from har_core.model.bundle import list_bundles
from har_core.model.loading import list_trials
from har_core.model.manifest import read_manifest

EVALUATION_KEY = "evaluation"


def open_evaluation(job: Job) -> None:
    # The page lists the jobs of all models.
    model, name = job.result
    st.session_state[sidebar.MODEL_KEY] = model
    st.session_state[EVALUATION_KEY] = name


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


def show_evaluation(folder: Path, names: list[str]) -> None:
    """Draw everything about one evaluation."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = pick_evaluation(names)
        actions = st.container(width="content")
    evaluation = load_evaluation(folder, name)
    shown = Shown(
        folder=folder,
        manifest=read_manifest(folder),
        evaluation=evaluation,
        files=evaluated_files(evaluation, sidebar.chosen_dataset()),
    )
    caveats = find_caveats(folder, name)
    with actions:
        show_downloads(shown, caveats)
    show_summary(shown)
    for caveat in caveats:
        st.warning(escape_markdown(caveat), icon=":material/warning:")

    usable = [(entry, entry.manifest) for entry in list_bundles() if entry.manifest is not None]
    # Models of the same classes first: one of them is what a comparison starts with.
    usable.sort(key=lambda item: item[1].class_names != shown.manifest.class_names)
    others = {entry.name: entry.path for entry in list_trials() if entry.path != folder}
    others |= {entry.name: entry.path for entry, _ in usable if entry.name != folder.name}
    draw = {
        "Overview": lambda: show_overview(shown),
        confusions.TITLE: lambda: confusions.show_confusions(shown),
        "Classes": lambda: show_classes(shown),
        "Curves": lambda: show_curves(shown),
        "Confidence": lambda: show_confidence(shown),
        "Errors": lambda: show_errors(shown),
        "Audit": lambda: show_audit(shown),
        "Compare": lambda: show_comparison(shown, others),
        "Evaluate another set": lambda: show_new_evaluation(folder, names),
    }
    draw[choose_section(list(draw), confusions.VIEW_KEY)]()


st.title("How good is the model?", anchor=False)
model_folder = sidebar.chosen_model_folder()
show_jobs(JOB_PREFIX, JobEnd(open_result=open_evaluation))
if results := sidebar.chosen_results():
    show_as_evaluation(results)
elif model_folder is None:
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
