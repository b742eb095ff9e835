import base64
import json
import re

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, visit, wait_until_drawn
from tests.drawing import CLASS_NAMES, draw_photo, encode, photo_bytes

pytestmark = pytest.mark.browser

CHART_NAMES = ".js-plotly-plot .ytick text"
BAR_LABELS = ".js-plotly-plot .bartext"


def picture(name, data):
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


def open_page(page):
    page.goto("/")
    expect(page.get_by_role("heading", name="What is the person doing?")).to_be_visible()
    expect(page.locator(CHART_NAMES)).to_have_count(len(CLASS_NAMES))


# Whether an element shows the picture of Chromium's stand-in for a camera, whose first are black.
SHOWS_GREEN = """(selector) => {
  const element = document.querySelector(selector);
  if (!element || element.readyState < 2) return false;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d");
  context.drawImage(element, 0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  return green > 50 && green > red + 20 && green > blue + 20;
}"""


def take_photograph(page):
    """Click "Take Photo" once the camera shows its picture, until it is taken, as a person does.

    Streamlit enables the button when the camera answers, before its first picture, and starts the
    camera anew when it knows how wide the picture is; a click in between does nothing, or takes a
    black picture, which is cleared.
    """
    button, taken = (page.get_by_role("button", name=n) for n in ("Take Photo", "Clear photo"))
    snapshot = "img[alt=Snapshot]"
    expect(button).to_be_enabled()
    for _ in range(20):
        page.wait_for_function(SHOWS_GREEN, arg="video")
        button.click()
        try:
            taken.wait_for(timeout=2_000)
        except PlaywrightTimeoutError:
            continue
        page.locator(snapshot).evaluate("image => image.decode()")
        if page.evaluate(SHOWS_GREEN, snapshot):
            return
        taken.click()
    pytest.fail("twenty clicks took no photograph")


def upload(page, *pictures):
    page.set_input_files("input[type=file]", list(pictures))


# What "Copy image" does.
COPY = """async data => {
  const picture = await (await fetch(`data:image/png;base64,${data}`)).blob()
  await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })])
}"""


def test_a_copied_picture_can_be_pasted(context, page):
    open_page(page)
    context.grant_permissions(["camera", "clipboard-read", "clipboard-write"])
    for label in ("running", "sitting"):
        picture = encode(draw_photo(label), "PNG")
        page.evaluate(COPY, base64.b64encode(picture).decode())
        page.keyboard.press("Control+V")
        if label == "running":
            expect(page.get_by_role("heading", name="Almost certainly running")).to_be_visible()
    expect(page.get_by_role("heading", name="2 photographs classified")).to_be_visible()


def test_an_example_an_upload_and_several(page):
    open_page(page)
    page.get_by_role("button", name="Try an example").click()
    expect(page.get_by_role("img", name="The photograph cycling.jpg")).to_be_visible()
    page.get_by_role("button", name="Surprise me").click()
    expect(page.get_by_text("in the dataset", exact=False).first).to_be_visible()
    expect(page.get_by_role("img", name="The photograph cycling.jpg")).to_be_hidden()

    upload(page, picture("photo.jpg", photo_bytes("running")))
    shown = page.get_by_role("img", name="The photograph photo.jpg")
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("naturalWidth", 275)
    expect(page.get_by_role("heading", name="Almost certainly running")).to_be_visible()
    expect(page.locator(BAR_LABELS)).to_have_count(len(CLASS_NAMES))
    expect(page.locator(CHART_NAMES).last).to_have_text("running")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    body = json.loads(download.value.path().read_text())
    assert (body["action"], body["model"]) == ("running", "tiny")
    assert download.value.suggested_filename == "photo.json"

    # A bad one has its reason, the others a table.
    upload(
        page,
        picture("second.jpg", photo_bytes("sitting")),
        picture("notes.jpg", b"this is a text file"),
    )
    expect(page.get_by_role("heading", name="2 photographs classified")).to_be_visible()
    expect(page.get_by_text("1 could not be used")).to_be_visible()
    reason = page.get_by_role("paragraph").filter(has_text="not an image")
    expect(reason).to_contain_text("notes.jpg")
    expect(shown).to_be_visible()
    table = page.get_by_test_id("stDataFrame")
    expect(table.locator("[role=gridcell]").first).to_be_attached()  # drawn, not just there
    header, row = 36, 56
    wait_until_drawn(page)
    table.click(position={"x": table.bounding_box()["width"] / 3, "y": header + 1.5 * row})
    expect(page.get_by_role("heading", name="Almost certainly sitting")).to_be_visible()
    expect(page.get_by_role("img", name="The photograph second.jpg")).to_be_visible()


def test_camera_is_asked_for_only_in_its_tab_and_its_shot_is_classified(context):
    # A page of its own, since no script is taken back that pages begin with.
    with context.new_page() as opened, visit(context, opened) as page:
        classify_a_shot(page)


def classify_a_shot(page):
    page.add_init_script(
        "window.asked = 0; const devices = navigator.mediaDevices;"
        "const original = devices.getUserMedia.bind(devices);"
        "devices.getUserMedia = (...args) => { window.asked += 1; return original(...args); };"
    )
    open_page(page)
    assert page.evaluate("window.asked") == 0
    page.get_by_role("tab", name="Camera").click()
    take_photograph(page)
    # Chromium's stand-in for a camera is a green picture, like those drawn for "running".
    expect(page.get_by_role("heading", name="running")).to_be_visible()


def test_phone_scrolls_only_down_cuts_no_label_and_shows_answers_before_what_was_handed_in(page):
    page.set_viewport_size(PHONE)
    open_page(page)
    upload(page, picture("photo.jpg", photo_bytes("running", size=(1200, 800))))
    expect(page.locator(BAR_LABELS)).to_have_count(len(CLASS_NAMES))
    expect(page.locator(".js-plotly-plot")).to_have_count(1)
    widest = page.get_by_test_id("stMain").evaluate(
        "main => Math.max(main.scrollWidth, document.documentElement.scrollWidth)"
    )
    assert widest <= PHONE["width"]
    answer = page.get_by_role("heading", name="Almost certainly running").bounding_box()
    shown = page.get_by_role("img", name="The photograph photo.jpg").bounding_box()
    assert answer["y"] < PHONE["height"] / 2
    handed_in = page.get_by_test_id("stFileUploader").bounding_box()
    assert answer["y"] < shown["y"] < handed_in["y"]
    assert shown["x"] + shown["width"] <= PHONE["width"]
    chart = page.locator(".js-plotly-plot").bounding_box()
    for text in [*page.locator(CHART_NAMES).all(), *page.locator(BAR_LABELS).all()]:
        box = text.bounding_box()
        assert box["x"] >= chart["x"] - 1
        assert box["x"] + box["width"] <= chart["x"] + chart["width"] + 1

    page.get_by_role("button", name=re.compile("Remove photo.jpg")).click()
    expect(page.get_by_role("img", name="The photograph photo.jpg")).to_have_count(0)
    upload(
        page,
        picture("first.jpg", photo_bytes("clapping")),
        picture("second.jpg", photo_bytes("sitting")),
    )
    shown = (
        page.get_by_role("heading", name="2 photographs classified"),
        page.get_by_test_id("stDataFrame"),
        page.get_by_role("heading", name="Almost certainly clapping"),
        page.get_by_role("img", name="The photograph first.jpg"),
        page.get_by_role("tab", name="Upload"),
    )
    for element in shown:
        expect(element).to_be_visible()
    wait_until_drawn(page)
    tops = [element.bounding_box()["y"] for element in shown]
    assert tops == sorted(tops)


def test_documentation_of_the_api_works_without_the_internet(page):
    page.goto("/docs")
    expect(page.get_by_text("Classify one photograph", exact=True)).to_be_visible()
