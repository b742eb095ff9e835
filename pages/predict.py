"""Hand in photographs, see what the person in each is doing."""

import streamlit as st

from dashboard import sidebar
from dashboard.charts.bars import even_bars
from dashboard.classification import ClassifiedPhoto
from dashboard.explanation import show_explanation
from dashboard.predict.answers import (
    choose_from_table,
    classify_all,
    show_answer,
    show_chart,
    show_picture,
    show_summary,
)
from dashboard.predict.inputs import photos_handed_in, show_example
from dashboard.predict.results import Photo
from dashboard.widgets.first_steps import first_steps
from har_core import ActionModel, InvalidImageError

# On a phone the columns lie above each other: then the answer comes before what was handed in.
ANSWER_FIRST = """<style>@media (max-width: 640px) {
.st-key-handed_in > * > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:nth-child(2),
.st-key-handed_in > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:nth-child(2)
{ order: -1; } }</style>"""


def guide() -> None:
    match first_steps():
        case "sample":
            show_example()
            st.rerun(scope="fragment")
        case "dataset":
            st.switch_page("../pages/dataset.py")
        case "evaluation":
            st.switch_page("../pages/evaluation.py")


def explain(model: ActionModel, photo: Photo, result: ClassifiedPhoto) -> None:
    folder = sidebar.chosen_model_folder()
    show_explanation(model, folder, photo.data, result.prediction, photo.label)


@st.fragment
def predict(model: ActionModel) -> None:
    above = st.container()
    with st.container(key="handed_in"):
        inputs, answers = st.columns([5, 6], gap="large")
    with inputs:
        photos = photos_handed_in()
    with above:
        if photos:
            st.html(ANSWER_FIRST)
        else:
            guide()
    with answers:
        if not photos:
            st.header(f"It can tell {len(model.class_names)} actions apart", anchor=False)
            show_chart(even_bars(model.class_names), "The actions that this model tells apart")
            return
        outcomes = list(zip(photos, classify_all(model, photos), strict=True))
        good = [(p, r) for p, r in outcomes if isinstance(r, ClassifiedPhoto)]
        bad = [(p, r) for p, r in outcomes if isinstance(r, InvalidImageError)]
        if len(photos) == 1 and good:
            show_answer(model, *good[0])
        else:
            show_summary(good, bad)
    if len(photos) == 1 and good:
        if not photos[0].on_screen:
            with inputs:
                show_picture(*good[0])
        with inputs:
            explain(model, *good[0])
    elif good:
        row = choose_from_table(good)
        picture, answer = st.columns([5, 6], gap="large")
        with picture:
            show_picture(*good[row])
            explain(model, *good[row])
        with answer:
            show_answer(model, *good[row])


st.title("What is the person doing?", anchor=False)
st.markdown("Drop in one photograph or many. They are read in memory and never stored.")
chosen = sidebar.chosen_model()
if chosen:
    predict(chosen)
