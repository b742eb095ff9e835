"""axe-core finds nothing serious on any page, and all that matters can be done by keyboard."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import (
    POLL_MS,
    TIMEOUT_MS,
    faults_in_both_schemes,
    step_on,
    wait_until_drawn,
)
from tests.drawing import photo_bytes

pytestmark = pytest.mark.browser

IN_DIALOG = "document.activeElement.closest('[role=dialog]')"


def headed(page, name):
    expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=TIMEOUT_MS)


def test_axe_finds_nothing_serious(page):
    page.emulate_media(color_scheme="dark")  # followed from the beginning, and when it changes
    page.goto("/")
    headed(page, "What is the person doing?")
    assert faults_in_both_schemes(page) == []
    page.locator("input[type=file]").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo_bytes("running")}
    )
    expect(page.get_by_role("img", name="The photograph a.jpg")).to_be_visible()
    assert faults_in_both_schemes(page) == [], "an answer"

    page.get_by_role("link", name="Dataset").click()
    headed(page, "Know your photographs")
    # What lies below the mouse has another background.
    page.get_by_role("radio", name="Overview").hover()
    assert faults_in_both_schemes(page) == [], "dataset"
    page.get_by_role("radio", name="Photographs").click()
    tile = page.get_by_role("button", name=re.compile("^Open running_1.jpg"))
    expect(tile).to_be_visible()
    assert faults_in_both_schemes(page) == [], "photographs"
    tile.click()
    dialog = page.get_by_role("dialog", name="running_1.jpg")
    expect(dialog.get_by_text("The model says")).to_be_visible()
    assert faults_in_both_schemes(page) == [], "an opened photograph"
    page.keyboard.press("Escape")
    page.get_by_role("radio", name="Clean up").click()
    expect(page.get_by_text("12 of 12 rows are kept")).to_be_visible()
    assert faults_in_both_schemes(page) == [], "clean up"

    page.get_by_role("link", name="Evaluation").click()
    headed(page, "How good is the model?")
    assert faults_in_both_schemes(page) == [], "evaluation"


# A message without its title, but with its description.
DESCRIBED_MESSAGE = """async () => {
  const place = document.createElement("div")
  place.innerHTML = `<div role=alertdialog aria-labelledby=title aria-describedby=what>
    <p id=what>What</p></div>`
  document.body.append(place)
  await new Promise(requestAnimationFrame)
  place.remove()
  return ["aria-labelledby", "aria-label", "aria-describedby"]
    .map(name => place.firstChild.getAttribute(name))
}"""


def test_axe_finds_nothing_serious_on_the_smaller_pages(page):
    page.goto("/about")
    for name, heading in (
        ("What is this?", "What is Gerund?"),
        ("Jobs", "How far are the jobs?"),
        ("Training", "Train a better model"),
    ):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        assert faults_in_both_schemes(page) == [], name
    # A name that is taken is answered with a message that goes by itself.
    page.get_by_role("textbox", name=re.compile("Name of the new")).fill("tiny")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Train", exact=True).click()
    message = page.get_by_role("alertdialog", name="Message")
    expect(message).to_contain_text("already")
    assert page.evaluate(DESCRIBED_MESSAGE) == [None, "Message", "what"]
    assert faults_in_both_schemes(page) == []
    page.get_by_text("Standard", exact=True).click()
    page.get_by_text("Advanced settings").click()
    page.get_by_text("Which data made which model").click()
    expect(page.get_by_role("spinbutton", name="Epochs")).to_be_visible()
    assert faults_in_both_schemes(page) == []


HAS_FOCUS = "element => element.getRootNode().activeElement === element"


def reach(page, target):
    """Press the Tab key until an element has the focus."""
    expect(target).to_be_visible()
    for _ in range(100):
        if target.evaluate(HAS_FOCUS):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"a hundred Tab keys do not lead to {target}")


def test_everything_is_done_by_keyboard_alone(page):
    page.goto("/")
    reach(page, page.get_by_role("button", name="Try an example"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("img", name="The photograph cycling.jpg")).to_be_visible()

    for name in ("Evaluation", "Training", "Jobs", "What is this?", "Dataset"):
        reach(page, page.get_by_role("link", name=name, exact=True))
        page.keyboard.press("Enter")
        expect(page).to_have_title(re.compile(f"^{re.escape(name)} ·"))
        wait_until_drawn(page)
    reach(page, page.get_by_role("radio", name="Overview"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    tile = page.get_by_role("button", name=re.compile("^Open sitting_2.jpg"))
    reach(page, tile)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="sitting_2.jpg")).to_be_visible()
    step_on(page, page.get_by_role("dialog"))
    dialog = page.get_by_role("dialog", name="sitting_3.jpg")
    reach(page, dialog.get_by_role("button", name="Right as it is"))
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("Right as it is")).to_have_count(2)  # the button, and the badge
    reach(page, dialog.get_by_role("button", name="Take back"))
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Take back")).to_be_disabled()
    # A button that is disabled loses the focus, which the dialog, or what is first in it, has a
    # frame later; no key counts between.
    page.wait_for_function(IN_DIALOG, polling=POLL_MS)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(tile).to_be_focused()
