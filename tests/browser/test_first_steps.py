"""The three first steps, and the order of a phone."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE
from tests.drawing import photo_bytes

pytestmark = pytest.mark.browser


def test_the_first_steps_lead_on_and_never_come_back(context, page):
    page.goto("/")
    steps = page.get_by_role("region", name="First steps")
    steps.get_by_role("button", name="Try a sample").click()
    expect(page.get_by_role("img", name="The photograph cycling.jpg")).to_be_visible()
    expect(steps).to_have_count(0)
    page.evaluate("sessionStorage.clear()")  # a reload would bring the sample back
    page.goto("/")
    steps.get_by_role("button", name="Open a dataset").click()
    expect(page.get_by_role("heading", name="Know your photographs")).to_be_visible()
    page.goto("/")
    steps.get_by_role("button", name="Got it").click()
    expect(steps).to_have_count(0)
    page.goto("/")
    expect(page.get_by_role("button", name="Try an example")).to_be_visible()
    expect(steps).to_have_count(0)
    page.evaluate("localStorage.removeItem('first-steps-dismissed')")


def test_a_phone_shows_the_answer_before_what_was_handed_in(page):
    page.set_viewport_size(PHONE)
    page.goto("/")
    page.locator("input[type=file]").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo_bytes("running")}
    )
    answer = page.get_by_role("heading", name="running")
    expect(answer).to_be_visible()
    picture = page.get_by_role("img", name="The photograph a.jpg")
    expect(picture).to_be_visible()
    assert answer.bounding_box()["y"] < picture.bounding_box()["y"]
    assert answer.bounding_box()["y"] < PHONE["height"] / 2
