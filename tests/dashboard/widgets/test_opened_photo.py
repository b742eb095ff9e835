"""An opened photograph: how it is drawn, and which one is open."""

from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dashboard.widgets import opened_photo
from dashboard.widgets.opened_photo import large_picture
from tests.drawing import draw_photo, encode


def decoded(folder: Path, content: bytes) -> Image.Image | None:
    path = folder / "photo.jpg"
    path.write_bytes(content)
    return large_picture(path)


def test_phone_picture_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    picture = decoded(tmp_path, encode(draw_photo(), exif=exif))
    assert picture is not None
    assert picture.size == (183, 275)


def test_large_photograph_is_shrunk_to_its_place(tmp_path: Path) -> None:
    picture = decoded(tmp_path, encode(draw_photo(size=(3000, 2000))))
    assert picture is not None
    assert picture.size == (1360, 907)


def test_file_that_is_no_picture_or_gone_is_none(tmp_path: Path) -> None:
    assert decoded(tmp_path, b"<html>") is None
    assert large_picture(tmp_path / "gone.jpg") is None


def page() -> None:
    import streamlit as st

    from dashboard.widgets.opened_photo import (
        close_photograph,
        open_photograph,
        opened_photograph,
    )

    st.button("close", on_click=close_photograph)
    st.button("open", on_click=open_photograph, args=("a.jpg",))
    st.caption(str(opened_photograph()))


@pytest.fixture
def app() -> AppTest:
    opened = AppTest.from_function(page)
    opened.query_params["photo"] = "a.jpg"
    opened.run()
    assert opened.caption[0].value == "a.jpg"
    opened.button[0].click().run()
    assert opened.caption[0].value == "None" and not opened.query_params
    # The next click comes with an address of before.
    opened.query_params["photo"] = "a.jpg"
    opened.run()
    return opened


def test_a_closed_photograph_stays_closed_though_the_browser_still_names_it(app: AppTest) -> None:
    assert app.caption[0].value == "None"
    assert "photo" not in app.query_params


def test_a_closed_photograph_can_be_opened_again(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.button[1].click().run()
    assert app.caption[0].value == "a.jpg"
    app.button[0].click().run()
    app.query_params["photo"] = "b.jpg"
    app.run()
    assert app.caption[0].value == "b.jpg"
    monkeypatch.setattr(opened_photo, "_HEARD_AFTER_S", 0)  # much later
    app.query_params["photo"] = "a.jpg"
    app.run()
    assert app.caption[0].value == "a.jpg"
