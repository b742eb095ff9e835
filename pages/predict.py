"""Hand in photographs, see what the person in each is doing."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import streamlit as st
from plotly.graph_objects import Figure

from dashboard import sidebar
from dashboard.charts import even_bars, probability_bars
from dashboard.photos import ClassifiedPhoto, Photo, result_json, results_csv, results_table
from dashboard.resources import classified, dataset_table
from dashboard.wording import (
    certainty,
    counted,
    escape_markdown,
    hint,
    human_name,
    markdown_name,
    percent,
)
from har_core import ActionModel, InvalidImageError
from har_core.images.decoding import MAX_BYTES

EXAMPLE = Path(__file__).parents[1] / "dashboard" / "examples" / "cycling.jpg"
SUFFIXES = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"]
ROW_HEIGHT = 56
ROWS_SHOWN = 7.5  # half a row tells that there are more


def show_example() -> None:
    """Replace whatever is on the page by the drawn example."""
    replace_photos(Photo(EXAMPLE.name, EXAMPLE.read_bytes()))


def show_random_photo(folder: str) -> None:
    """Replace whatever is on the page by a random photograph of the dataset."""
    present = dataset_table(folder).dropna(subset="path")
    if present.empty:
        st.toast("None of the listed photographs is in the folder.")
        return
    row = present.sample().iloc[0]
    try:
        data = Path(row["path"]).read_bytes()
    except OSError as error:
        st.toast(f"Cannot read {escape_markdown(row['filename'])}: {error.strerror}.")
        return
    replace_photos(Photo(row["filename"], data, row["label"]))


def replace_photos(photo: Photo | None) -> None:
    st.session_state["sample"] = photo
    # A file uploader is emptied by giving it another key.
    st.session_state["uploads_cleared"] = st.session_state.get("uploads_cleared", 0) + 1


def photos_handed_in() -> list[Photo]:
    """Draw the inputs and return what is in them."""
    upload_tab, camera_tab = st.tabs(
        [":material/upload: Upload", ":material/photo_camera: Camera"],
        key="source",
        on_change="rerun",
    )
    if camera_tab.open:  # drawn only when open, because drawing it asks for the camera
        shot = camera_tab.camera_input("Take a photograph", label_visibility="collapsed")
        return [Photo("camera.jpg", shot.getvalue(), on_screen=True)] if shot else []
    with upload_tab:
        files = st.file_uploader(
            "Photographs",
            type=SUFFIXES,
            accept_multiple_files=True,
            max_upload_size=MAX_BYTES // 2**20,
            key=f"uploads_{st.session_state.get('uploads_cleared', 0)}",
            label_visibility="collapsed",
        )
        with st.container(horizontal=True):
            st.button("Try an example", icon=":material/pedal_bike:", on_click=show_example)
            if folder := sidebar.chosen_dataset():
                st.button(
                    "Surprise me",
                    icon=":material/shuffle:",
                    on_click=show_random_photo,
                    args=(folder,),
                    help="A random photograph of the dataset, with the label it was given.",
                )
    if files:
        return [Photo(file.name, file.getvalue()) for file in files]
    sample = st.session_state.get("sample")
    return [sample] if sample else []


def classify_all(
    model: ActionModel, photos: list[Photo]
) -> list[ClassifiedPhoto | InvalidImageError]:
    if len(photos) == 1:
        return [classified(model, photos[0].data)]
    results = []
    bar = st.progress(0.0)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for result in pool.map(lambda photo: classified(model, photo.data), photos):
            results.append(result)
            bar.progress(len(results) / len(photos), f"{len(results)} of {len(photos)}")
    bar.empty()
    return results


def show_picture(photo: Photo, result: ClassifiedPhoto) -> None:
    st.image(result.preview, width="content", alt=f"The photograph {photo.name}")
    st.caption(escape_markdown(photo.name))


def show_chart(figure: Figure, alt: str) -> None:
    # One key for all, so that the browser changes the bars of a chart that is there already.
    st.plotly_chart(figure, key="probabilities", config={"displayModeBar": False}, alt=alt)


def show_answer(model: ActionModel, photo: Photo, result: ClassifiedPhoto) -> None:
    prediction = result.prediction
    st.subheader(
        f"{certainty(prediction.confidence)} {markdown_name(prediction.action)} — "
        f"{percent(prediction.confidence)}",
        anchor=False,
    )
    if photo.label:
        agrees = photo.label == prediction.action
        st.badge(
            f"Labelled {markdown_name(photo.label)} in the dataset",
            icon=":material/check:" if agrees else ":material/close:",
            color="green" if agrees else "orange",
        )
    if advice := hint(prediction):
        st.info(advice, icon=":material/lightbulb:")
    show_chart(
        probability_bars(prediction),
        f"Probability of each action; {human_name(prediction.action)} leads",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "JSON",
            result_json(photo, prediction, model.name),
            file_name=f"{Path(photo.name).stem}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        st.caption(f"Took {1000 * result.seconds:.0f} ms")


def show_summary(
    good: list[tuple[Photo, ClassifiedPhoto]], bad: list[tuple[Photo, InvalidImageError]]
) -> None:
    if good:
        st.subheader(f"{counted(len(good), 'photograph')} classified", anchor=False)
        st.download_button(
            "CSV",
            results_csv(good),
            file_name="predictions.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
    if bad:
        with st.container(border=True):
            what = "This file" if not good and len(bad) == 1 else f"{len(bad):,}"
            st.markdown(f":material/broken_image: **{what} could not be used**")
            for photo, error in bad:
                st.markdown(
                    f"{escape_markdown(photo.name)}  \n:small[{escape_markdown(str(error))}]"
                )


def choose_from_table(good: list[tuple[Photo, ClassifiedPhoto]]) -> int:
    """Draw the table and return the position of the chosen photograph, at first the first."""
    table = st.dataframe(
        results_table(good),
        key="results",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-cell",
        row_height=ROW_HEIGHT,
        height=int(ROW_HEIGHT * min(len(good), ROWS_SHOWN)) + 38,
        alt="The photographs with their most likely actions",
        column_config={
            "picture": st.column_config.ImageColumn("", width="small"),
            "action": "Action",
            "confidence": st.column_config.ProgressColumn(
                "Confidence", min_value=0, max_value=100, format="%.0f %%"
            ),
            "file": "File",
            "second": "Second guess",
            "second_confidence": st.column_config.NumberColumn("Its confidence", format="%.0f %%"),
        },
    )
    # Cells, because a click anywhere in a row counts; rows would want a click on their checkbox.
    cells = table["selection"]["cells"]
    return cells[0][0] if cells and cells[0][0] < len(good) else 0


@st.fragment
def predict(model: ActionModel) -> None:
    inputs, answers = st.columns([5, 6], gap="large")
    with inputs:
        photos = photos_handed_in()
    with answers:
        if not photos:
            st.subheader(f"It can tell {len(model.class_names)} actions apart", anchor=False)
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
    elif good:
        row = choose_from_table(good)
        picture, answer = st.columns([5, 6], gap="large")
        with picture:
            show_picture(*good[row])
        with answer:
            show_answer(model, *good[row])


st.title("What is the person doing?", anchor=False)
st.markdown("Drop in one photograph or many. They are read in memory and never stored.")
chosen = sidebar.chosen_model()
if chosen:
    predict(chosen)
