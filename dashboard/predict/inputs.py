"""Photographs that a visitor hands in: uploads, camera, examples."""

from pathlib import Path

import streamlit as st

from dashboard import sidebar
from dashboard.predict.pasting import take_pasted
from dashboard.predict.results import Photo
from dashboard.resources import opened_dataset
from dashboard.widgets import tab_memory
from dashboard.widgets.gallery import Tile, gallery
from dashboard.widgets.messages import show_failure
from dashboard.wording.names import human_name
from har_core.errors import InvalidImageError
from har_core.images.decoding import MAX_BYTES, read_bytes
from har_core.images.thumbnails import thumbnail
from har_core.model.records import match_splits, read_lineage
from har_core.storage.checksums import sha256_of_photograph
from har_core.wording import counted

_UPLOADED, _SAMPLE = "uploaded_photos", "sample"
_HELD = "uploads_held"  # whether the uploader held files when it was last drawn
_DRAWN = 30  # with four of five learned from, one in a thousand draws holds no other
_EXAMPLES = Path(__file__).parents[1] / "examples"
# Drawn and rendered people, then photographs of none of the actions; see examples/LICENCES.md.
PEOPLE = ("cycling", "running", "sleeping", "using_laptop", "in_the_park")
OTHERS = ("cat", "coffee", "astronaut")


def show_example() -> None:
    """Replace whatever is on the page by a picture of someone, each time another."""
    _show_next(PEOPLE, "example")


def show_foreign_example() -> None:
    """Replace whatever is on the page by a photograph of none of the actions, each time another."""
    _show_next(OTHERS, "foreign_example")


def _show_next(names: tuple[str, ...], counter: str) -> None:
    number = st.session_state.get(counter, -1) + 1
    st.session_state[counter] = number
    _show_sample(names[number % len(names)])


def _show_sample(name: str) -> None:
    path = _EXAMPLES / f"{name}.jpg"
    replace_photos(Photo(path.name, path.read_bytes()))


def _offer_samples() -> None:
    """Draw all samples, for whoever has no photograph at hand."""
    st.caption("No photograph at hand? Take one of these.")
    tiles = [
        Tile(id=name, title=human_name(name), picture=thumbnail(_EXAMPLES / f"{name}.jpg"))
        for name in (*PEOPLE, *OTHERS)
    ]
    gallery(tiles, key="samples", tile_width=96, on_opened=_show_sample)


def show_random_photo(folder: str, model: Path | None) -> None:
    """Replace whatever is on the page by a random photograph of the dataset.

    One that the model has not learned from says more of it, so that others are passed over.
    """
    present = opened_dataset(folder).rows.dropna(subset="path")
    if present.empty:
        st.toast("None of the listed photographs is in the folder.")
        return
    drawn = present.sample(min(len(present), _DRAWN))
    drawn["split"] = ""
    if model is not None and (splits := read_lineage(model)) is not None:
        drawn["split"] = match_splits(drawn["path"].map(sha256_of_photograph), splits)
    row = drawn.loc[drawn["split"].eq("train").idxmin()]  # the first that is not, if there is one
    try:
        data = read_bytes(row["path"])
    except InvalidImageError as error:
        show_failure(error)
        return
    replace_photos(Photo(row["filename"], data, row["label"], split=row["split"]))


def replace_photos(photo: Photo | None) -> None:
    """Put one photograph, or none, in the place of all that was handed in."""
    st.session_state[_SAMPLE] = photo
    _forget_uploads()
    # A file uploader is emptied by giving it another key.
    st.session_state["uploads_cleared"] = st.session_state.get("uploads_cleared", 0) + 1


def _forget_uploads() -> None:
    """Forget what was uploaded before: the visitor has changed it."""
    st.session_state.pop(_UPLOADED, None)


def _keep(photos: list[Photo]) -> None:
    """Keep what was handed in: inputs forget it when another page is visited."""
    st.session_state[_UPLOADED] = photos


def photos_handed_in() -> list[Photo]:
    """Draw the inputs and return what is in them."""
    upload_tab, camera_tab = st.tabs(
        [":material/upload: Upload", ":material/photo_camera: Camera"],
        key="source",
        on_change="rerun",
    )
    if camera_tab.open:  # drawn only when open, because drawing it asks for the camera
        shot = camera_tab.camera_input("Take a photograph", label_visibility="collapsed")
        if not shot:
            return []
        _keep([Photo("camera.jpg", shot.getvalue())])
        return [Photo("camera.jpg", shot.getvalue(), on_screen=True)]
    uploader = f"uploads_{st.session_state.get('uploads_cleared', 0)}"
    # One that is drawn anew, as after another page, is empty without anybody having emptied it.
    held_files = uploader in st.session_state and st.session_state.get(_HELD)
    with upload_tab:
        files = st.file_uploader(
            "Photographs",
            type=None,  # the content decides, also of a file without a suffix
            accept_multiple_files=True,
            max_upload_size=MAX_BYTES // 2**20,
            key=uploader,
            label_visibility="collapsed",
        )
        st.session_state[_HELD] = bool(files)
        if held_files and not files:
            _forget_uploads()
        with st.container(horizontal=True):
            st.button("Try an example", icon=":material/pedal_bike:", on_click=show_example)
            st.button(
                "Try something else",
                icon=":material/pets:",
                on_click=show_foreign_example,
                help="A photograph of none of the actions, to see what is said then.",
            )
            if folder := sidebar.chosen_dataset():
                st.button(
                    "Surprise me",
                    icon=":material/shuffle:",
                    on_click=show_random_photo,
                    args=(folder, sidebar.chosen_model_folder()),
                    help="A random photograph of the dataset, with the label it was given; if "
                    "there is one, one that the model has not learned from.",
                )
            take_pasted(uploader)  # here it takes no line of its own
    if files:
        _keep([Photo(file.name, file.getvalue()) for file in files])
    elif kept := st.session_state.get(_UPLOADED) or st.session_state.get(_SAMPLE):
        with upload_tab, st.container(horizontal=True, vertical_alignment="center"):
            if isinstance(kept, list):
                st.caption(f"{counted(len(kept), 'photograph')} from before")
            st.button("Clear", icon=":material/close:", on_click=replace_photos, args=(None,))
    else:
        with upload_tab:
            _offer_samples()
    for name in (_UPLOADED, _SAMPLE):
        kept = st.session_state.get(name) or []
        photos = kept if isinstance(kept, list) else [kept]
        tab_memory.keep(name, sum(len(photo.data) for photo in photos))
    sample = st.session_state.get(_SAMPLE)
    return st.session_state.get(_UPLOADED) or ([sample] if sample else [])
