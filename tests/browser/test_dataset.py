"""The Dataset page in a real browser: filter, open a photograph, exclude it, export."""

import csv
import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import TIMEOUT_MS, steady_box, step_on, wait_until_drawn
from tests.drawing import write_dataset

pytestmark = pytest.mark.browser


def open_section(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).or_(page.get_by_role("button", name=name)).first.click()


def tiles(page: Page):
    return page.get_by_role("button", name=re.compile("^Open "))


def test_filter_open_exclude_and_export(page: Page) -> None:
    page.goto("/dataset?section=Photographs")
    expect(tiles(page)).to_have_count(12)
    page.get_by_placeholder("part of a name").fill("sitting")
    page.keyboard.press("Enter")
    expect(tiles(page)).to_have_count(4)

    page.get_by_role("button", name=re.compile("^Open sitting_2.jpg")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name="The photograph sitting_2.jpg")).to_be_visible()
    expect(dialog.get_by_text("The model says")).to_be_visible()
    step_on(page, dialog)
    expect(page.get_by_role("dialog", name="sitting_3.jpg")).to_be_visible()
    expect(page).to_have_url(re.compile("photo=sitting_3.jpg"))
    page.reload()
    expect(dialog.get_by_role("img", name="The photograph sitting_3.jpg")).to_be_visible()
    dialog.get_by_role("button", name="Exclude").click()
    expect(dialog.get_by_text("Excluded")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_text("excluded", exact=True)).to_be_visible()
    expect(page).not_to_have_url(re.compile("photo="))

    open_section(page, "Clean up")
    expect(page.get_by_text("11 of 12 rows are kept")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Cleaned train.csv").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert len(rows) == 11
    assert "sitting_3.jpg" not in {row["filename"] for row in rows}

    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("12 of 12 rows are kept")).to_be_visible()


def test_a_link_shows_the_same_photographs_and_ticked_ones_are_relabelled(page: Page) -> None:
    page.goto("/dataset?section=Photographs")
    expect(tiles(page)).to_have_count(12)
    page.get_by_role("combobox", name="Class").click()
    page.get_by_role("option", name="running").click()
    expect(tiles(page)).to_have_count(4)
    page.get_by_placeholder("part of a name").fill("_1")
    page.keyboard.press("Enter")
    expect(tiles(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("browse_class=running.*browse_search=_1"))
    page.reload()
    expect(page.get_by_role("button", name=re.compile("^Open running_1.jpg"))).to_be_visible()
    expect(tiles(page)).to_have_count(1)
    page.get_by_placeholder("part of a name").fill("nothing")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Clear the filters").click()
    expect(tiles(page)).to_have_count(12)
    expect(page).not_to_have_url(re.compile("browse_"))

    boxes = page.get_by_role("checkbox", name=re.compile("^Select "))
    boxes.nth(1).click()
    expect(page.get_by_text("1 selected")).to_be_visible()
    boxes.nth(4).click(modifiers=["Shift"])
    expect(page.get_by_text("4 selected")).to_be_visible()
    for number in (2, 3):
        boxes.nth(number).click()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("combobox", name="Relabel to").click()
    page.get_by_role("option", name="sitting").click()
    expect(page.get_by_text("→ sitting")).to_have_count(2)
    open_section(page, "Clean up")
    expect(page.get_by_text("2 with a new label")).to_be_visible()
    # The table of decisions acts on rows that are ticked.
    table = page.get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    box = steady_box(table)
    page.mouse.click(box["x"] + 16, box["y"] + 58)
    expect(page.get_by_text("1 ticked")).to_be_visible()
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_text("1 with a new label")).to_be_visible()
    expect(page.get_by_text("Tick rows to change")).to_be_visible()
    for left in (2, 0):
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text(f"{left} with a new label")).to_be_visible()


def test_scan_is_told_in_every_tab_and_leads_to_its_findings(
    page: Page, context: BrowserContext
) -> None:
    other = context.new_page()
    other.goto("/dataset")
    expect(other.get_by_role("button", name="Scan the photographs")).to_be_visible()
    page.goto("/dataset")
    page.get_by_role("button", name="Scan the photographs").click()
    for tab in (page, other):
        done = tab.get_by_text(re.compile("12 photographs scanned, .* with findings"))
        expect(done).to_be_visible()
    expect(other.get_by_role("button", name="Scan the photographs")).to_have_count(0)
    other.close()
    open_section(page, "Findings")
    expect(
        page.get_by_text("have at least one finding").or_(page.get_by_text("Nothing is wrong"))
    ).to_be_visible()
    expect(page.get_by_text("12 photographs scanned")).to_have_count(0)  # what it found is here


PLACE_OF_A_POINT = """() => {
  const chart = document.querySelector(".js-plotly-plot")
  const { x, y } = chart._fullData[0], { xaxis, yaxis } = chart._fullLayout
  const box = chart.querySelector(".plot-container").getBoundingClientRect()
  return [box.left + xaxis._offset + xaxis.l2p(x[0]), box.top + yaxis._offset + yaxis.l2p(y[0])]
}"""


def test_region_lassoed_on_the_map_shows_its_photographs(page: Page, tmp_path: Path) -> None:
    # Doubtful labels need five photographs of each class.
    dataset = write_dataset(tmp_path / "own", per_class=8)
    page.goto("/dataset?section=Map")
    page.get_by_role("textbox", name="Dataset folder").fill(str(dataset))
    page.keyboard.press("Enter")
    scan, start = (
        page.get_by_role("button", name=name) for name in ("Scan the photographs", "Start")
    )
    # The page of the dataset before stays until this one's is drawn.
    expect(page.get_by_text("24 photographs · 3 classes")).to_be_visible()
    page.wait_for_url(re.compile("folder="))
    wait_until_drawn(page)
    page.go_back()  # to the folder before, in the section that was open
    expect(page.get_by_text("12 photographs · 3 classes")).to_be_visible()
    expect(page.get_by_role("radio", name="Map")).to_be_checked()
    page.go_forward()
    expect(page.get_by_text("24 photographs · 3 classes")).to_be_visible()
    expect(start).to_be_disabled()
    scan.click()
    start.click()
    area = page.locator(".js-plotly-plot .nsewdrag").first
    area.wait_for(timeout=2 * TIMEOUT_MS)  # photographs are scanned and looked at meanwhile
    box = steady_box(area)
    left, top = box["x"] + 4, box["y"] + 4
    right, bottom = left + box["width"] - 8, top + box["height"] - 8
    x, y = page.evaluate(PLACE_OF_A_POINT)
    page.mouse.move(x - 2, y)
    page.mouse.move(x, y)
    picture = page.locator(".hover img")
    expect(picture).to_be_visible()
    expect(picture).to_have_attribute("src", re.compile("^data:image/jpeg;base64,.{500}"))
    page.mouse.move(left, top)
    expect(picture).to_be_hidden()
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top + 5)):
        page.mouse.move(x, y, steps=8)
    page.mouse.up()
    expect(page.get_by_text("24 photographs in this region")).to_be_visible()
    expect(tiles(page)).to_have_count(24)

    table = dataset / "train.csv"  # another process changes it
    table.write_text(table.read_text().replace("running_0.jpg,running", "running_0.jpg,flying"))
    page.get_by_role("radio", name="Split").click()
    expect(page.get_by_text("24 photographs · 4 classes")).to_be_visible()
