import pytest

from tests.drawing import photo_bytes

pytestmark = pytest.mark.browser


def test_uploaded_picture_shows_action_and_chart(page):
    page.goto("/")
    page.set_input_files(
        "input[type=file]",
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo_bytes("running")},
    )
    page.get_by_text("running").first.wait_for()
