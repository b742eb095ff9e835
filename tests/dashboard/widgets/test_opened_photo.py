"""An opened photograph is upright, of bounded size, and nothing if the file is no picture."""

from pathlib import Path

from PIL import Image

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
