"""One visit: a cat, why, the threshold set on another page, a reload, and a part of a picture."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect

from har_core.model.bundle import update_bundle
from har_core.model.loading import load_model
from har_core.model.manifest import PREDICTIONS_FILE, SPLITS_FILE
from har_core.model.records import join_probabilities
from tests.browser.conftest import DESKTOP, steady_box, visitor, wait_until_drawn
from tests.dashboard_process import running_dashboard
from tests.drawing import draw_photo, encode
from tests.guarded import write_guarded_bundle

pytestmark = pytest.mark.browser


def drawn_cat() -> bytes:
    picture = Image.new("RGB", (320, 240), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((110, 70, 210, 160), fill="black")
    for ear in ([(115, 95), (125, 45), (155, 75)], [(205, 95), (195, 45), (165, 75)]):
        pen.polygon(ear, fill="black")
    pen.ellipse((80, 140, 240, 235), fill="black")
    pen.arc((210, 120, 300, 230), 200, 60, fill="black", width=12)
    for x in (140, 172):
        pen.ellipse((x, 100, x + 12, 118), fill="yellow")
    return encode(picture, "PNG")


def two_people() -> bytes:
    picture = Image.new("RGB", (400, 300))
    picture.paste(draw_photo("running", 97, (200, 300)), (0, 0))
    picture.paste(draw_photo("sitting", 97, (200, 300)), (200, 0))
    return encode(picture, "PNG")


def write_evaluated(models: Path) -> None:
    """Write the bundle that tells foreign pictures, with its validation predictions."""
    write_guarded_bundle(models)
    folder = models / "guarded"
    splits = pd.read_parquet(folder / SPLITS_FILE)
    held_out = splits[splits["split"] == "validation"].reset_index(drop=True)
    model = load_model(folder)
    names = held_out["filename"].str.removesuffix(".jpg").str.split("_")
    pixels = [model.prepare(np.asarray(draw_photo(label, int(seed)))) for label, seed in names]
    probabilities = model.predict_probabilities(np.stack(pixels), raw=True)
    table = held_out[["filename", "label", "split", "sha256"]].assign(in_scope=True)
    table = join_probabilities(table, model.class_names, probabilities)
    (folder / PREDICTIONS_FILE).parent.mkdir()
    update_bundle(folder, {PREDICTIONS_FILE: table.to_parquet(index=False)})


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("honest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAR_CACHE_DIR", str(folder / "cache"))
        patch.setenv("HAR_DATA_DIR", str(folder / "data"))
        write_evaluated(folder / "models")
        with running_dashboard(folder / "log.txt", folder / "models") as server:
            with visitor(browser, server.url) as context:
                opened, errors = context.new_page(), []
                opened.on("pageerror", lambda error: errors.append(str(error)))
                yield opened
            assert not errors


def hand_in(page: Page, name: str, data: bytes) -> None:
    file = {"name": name, "mimeType": "image/png", "buffer": data}
    page.locator("input[type=file]").set_input_files(file)


def test_a_visit_that_asks_for_honest_answers(page: Page) -> None:
    heading = page.get_by_role("heading", level=2)
    page.goto("/")
    hand_in(page, "cat.png", drawn_cat())
    expect(heading.filter(has_text="This does not look like a photograph")).to_be_visible()
    page.get_by_text("Why?", exact=True).click()
    expect(page.get_by_text(re.compile("^Hiding the bright area changes"))).to_be_visible()
    expect(page.get_by_text("Like these")).to_be_visible()
    similar = page.locator("[data-testid=stColumn] [data-testid=stColumn]")
    expect(similar).to_have_count(3)
    page.set_viewport_size({"width": 820, "height": 1180})  # a tablet has room for them, too
    tops = similar.evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
    assert len(set(tops)) == 1
    page.set_viewport_size(DESKTOP)
    page.get_by_text("Why?", exact=True).click()

    page.get_by_role("button", name=re.compile("Remove cat.png")).click()
    hand_in(page, "photo.png", encode(draw_photo("running", 97), "PNG"))
    expect(heading.filter(has_text="running —")).to_be_visible()

    # The threshold that the Evaluation page stores decides here, too.
    page.get_by_role("link", name="Evaluation").click()
    page.get_by_role("radio", name="Confidence").click()
    page.get_by_role("slider").press("End")
    page.get_by_role("button", name="Let it abstain below").click()
    expect(page.get_by_text(re.compile(r"Now it abstains below 100\s%"))).to_be_visible()
    page.get_by_role("link", name="Predict").click()
    expect(page.get_by_text("1 photograph from before")).to_be_visible()
    expect(heading.filter(has_text="I cannot tell: perhaps running or")).to_be_visible()
    page.reload()
    expect(heading.filter(has_text="I cannot tell: perhaps running or")).to_be_visible()

    # Another threshold for this visit is in the address.
    page.get_by_role("slider", name="Answer only from this confidence on").press("Home")
    expect(heading.filter(has_text="running —")).to_be_visible()
    expect(page).to_have_url(re.compile("min_confidence=0"))

    # It outlasts a file that gets no answer, and a reload.
    hand_in(page, "notes.png", b"text")
    expect(page.get_by_text("This file could not be used")).to_be_visible()
    page.reload()
    expect(page.get_by_text("This file could not be used")).to_be_visible()

    # A part: by a box, then by the keyboard.
    hand_in(page, "pair.png", two_people())
    expect(page.get_by_role("img", name="The photograph pair.png")).to_be_visible()
    expect(page).to_have_url(re.compile("min_confidence=0"))
    page.get_by_text("Look at a part only").click()
    chart = page.locator("[class*=part_box_0] .js-plotly-plot .draglayer .nsewdrag")
    wait_until_drawn(page)  # a rerun would take the chart from under the mouse
    box = steady_box(chart)
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.98 * box["width"], box["y"] + 0.9 * box["height"], steps=4)
    page.mouse.up()
    expect(page.get_by_text("Of the part that was chosen")).to_be_visible()
    expect(heading.filter(has_text="sitting —")).to_be_visible()
    left, right = page.get_by_role("slider", name="From left to right").all()
    left.press("Home")
    for _ in range(5):
        right.press("PageDown")
    expect(page.locator(".js-plotly-plot .ytick text").last).to_have_text("running")
