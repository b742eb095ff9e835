"""An opened photograph is upright, of bounded size, and nothing if the file is no picture."""

from PIL import Image

from dashboard.large_picture import large_picture
from tests.drawing import draw_photo, encode


def test_phone_picture_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    picture = large_picture(encode(draw_photo(), exif=exif))
    assert picture is not None
    assert picture.size == (183, 275)


def test_large_photograph_is_shrunk_to_its_place() -> None:
    picture = large_picture(encode(draw_photo(size=(3000, 2000))))
    assert picture is not None
    assert picture.size == (1360, 907)


def test_file_that_is_no_picture_is_none() -> None:
    assert large_picture(b"<html>") is None
