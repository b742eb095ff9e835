"""Hand in photographs, see what the person in each is doing."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import sidebar
from dashboard.charts.bars import even_bars
from dashboard.classification import ClassifiedPhoto
from dashboard.explanation import show_explanation
from dashboard.predict.answers import (
    choose_from_table,
    choose_threshold,
    classify_all,
    show_answer,
    show_chart,
    show_picture,
    show_summary,
)
from dashboard.predict.inputs import photos_handed_in, show_example
from dashboard.predict.results import Photo
from dashboard.widgets.first_steps import Step, first_steps
from har_core import ActionModel, InvalidImageError

# On a phone or tablet all lies in one column: then the answers come first, and what was handed in
# comes last; of a single photograph the picture follows its answer.
ANSWER_FIRST = """<style>@media (max-width: 960px) {
.st-key-all_handed_in > :first-child,
.st-key-all_handed_in > :first-child > [data-testid="stHorizontalBlock"] { display: contents; }
.st-key-all_handed_in > :first-child > * > [data-testid="stColumn"] { flex: none; width: 100%; }
.st-key-all_handed_in > :first-child > * > [data-testid="stColumn"]:first-child { order: 1; }
.st-key-all_handed_in > :first-child > * > [data-testid="stColumn"]:last-child { order: -1; }
:has(> .st-key-one_picture) { order: -1; }
.st-key-shown > * > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:last-child
{ order: -1; } }</style>"""


def take_step(step: Step) -> None:
    match step:
        case "sample":
            show_example()
        case "dataset":
            st.switch_page("../pages/dataset.py")
        case "evaluation":
            st.switch_page("../pages/evaluation.py")


def show_one(
    model: ActionModel,
    photo: Photo,
    result: ClassifiedPhoto,
    picture: DeltaGenerator,
    answer: DeltaGenerator,
    least: float,
) -> None:
    """Draw a photograph and its answer, or those of a part of it."""
    with picture:
        asked = show_picture(photo)
    found = result if asked is photo else classify_all(model, [asked])[0]
    with answer:
        if isinstance(found, InvalidImageError):
            show_summary([], [(asked, found)])
            return
        answered = found.abstaining_below(least)
        if asked is not photo:
            st.caption("Of the part that was chosen:")
        show_answer(model, asked, answered)
    with picture:
        folder = sidebar.chosen_model_folder()
        show_explanation(model, folder, asked.data, answered.prediction, asked.label)


@st.fragment
def predict() -> None:
    model = sidebar.chosen_model()  # as it is now: another tab may have changed its threshold
    if model is None:
        return
    above = st.container()
    everything = st.container(key="all_handed_in")
    inputs, answers = everything.columns([5, 6], gap="large")
    with inputs:
        photos = photos_handed_in()
    with above:
        if photos:
            st.html(ANSWER_FIRST)
        else:
            first_steps(take_step)
    if not photos:
        with answers:
            st.header(f"It can tell {len(model.class_names)} actions apart", anchor=False)
            show_chart(even_bars(model.class_names), "The actions that this model tells apart")
        return
    place = answers.container()
    with place:
        outcomes = list(zip(photos, classify_all(model, photos), strict=True))
    bad = [(p, r) for p, r in outcomes if isinstance(r, InvalidImageError)]
    least = 0.0
    if len(bad) < len(photos):
        with answers:
            least = choose_threshold(model)
    good = [(p, r.abstaining_below(least)) for p, r in outcomes if isinstance(r, ClassifiedPhoto)]
    if len(photos) == 1 and good:
        picture = inputs.container(key="one_picture")
        show_one(model, *good[0], picture, place, least)
        return
    with place:
        show_summary(good, bad)
    if good:
        with everything:
            row = choose_from_table(good)
        picture, answer = everything.container(key="shown").columns([5, 6], gap="large")
        show_one(model, *good[row], picture, answer, least)


st.title("What is the person doing?", anchor=False)
st.markdown(
    "Drop in one photograph or many, or paste one. They are read in memory and never stored."
)
predict()
