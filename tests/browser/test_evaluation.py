import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from har_core.dataset.table import load_dataset
from har_core.evaluation.store import read_evaluation
from tests.browser.conftest import (
    POLL_MS,
    steady_box,
    step_on,
    visit,
    visitor,
    wait_until_drawn,
)
from tests.dashboard_process import DashboardProcess, running_dashboard
from tests.drawing import CLASS_NAMES, write_dataset
from tests.evaluated import draw_table, write_evaluated_bundle

pytestmark = pytest.mark.browser

MANY = tuple(f"action_{index:02}" for index in range(100))
CELLS = ".js-plotly-plot .barlayer .point"


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Two models: one of three classes whose photographs exist, one of a hundred classes."""
    folder = tmp_path_factory.mktemp("evaluation")
    table = load_dataset(write_dataset(folder / "dataset", per_class=10))
    table["split"] = "test"
    true = pd.Index(CLASS_NAMES).get_indexer(table["label"])
    said = true.copy()
    said[np.flatnonzero(table["label"] == "running")[:3]] = CLASS_NAMES.index("sitting")
    confidence = np.linspace(0.42, 0.99, len(true))[:, np.newaxis]
    probabilities = np.repeat((1 - confidence) / 2, 3, axis=1)
    probabilities[np.arange(len(true)), said] = confidence[:, 0]
    write_evaluated_bundle(
        folder / "models", table, CLASS_NAMES, name="three", probabilities=probabilities
    )
    write_evaluated_bundle(folder / "models", draw_table(3000, MANY), MANY, name="hundred")
    return folder / "models"


@pytest.fixture(scope="module")
def server(models, tmp_path_factory) -> Iterator[DashboardProcess]:
    log = tmp_path_factory.mktemp("log") / "log.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAR_CACHE_DIR", str(models.parent / "cache"))
        with running_dashboard(log, models, models.parent / "dataset") as process:
            yield process


@pytest.fixture(scope="module")
def visits(browser: Browser, server: DashboardProcess) -> Iterator[BrowserContext]:
    """One browser cache for the module's tests."""
    with visitor(browser, server.url) as context:
        yield context


@pytest.fixture
def page(visits: BrowserContext) -> Iterator[Page]:
    """An empty page on this module's server."""
    with visit(visits) as opened:
        yield opened


def open_view(page: Page, model: str, view: str, **address: str) -> None:
    query = "&".join(f"{key}={value}" for key, value in address.items())
    page.goto(f"/evaluation?model={model}&view={view}&{query}")
    expect(page.get_by_role("heading", name="How good is the model?")).to_be_visible()


def click_cell(page: Page, label: str, prediction: str) -> None:
    expect(page.locator(CELLS).first).to_be_attached()
    reported = page.evaluate(
        "() => document.querySelector('.js-plotly-plot').data"
        ".filter(trace => trace.type === 'bar').flatMap(trace => trace.customdata)"
    )
    index = [cell[:2] for cell in reported].index([label, prediction])
    cell = page.locator(CELLS).nth(index)
    cell.scroll_into_view_if_needed()
    box = steady_box(cell)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


# Of the cells of the matrix, those that are framed.
FRAMED = """
() => {
  const reported = (document.querySelector('.js-plotly-plot')?.data ?? [])
    .filter(trace => trace.type === 'bar').flatMap(trace => trace.customdata)
  const opaque = point => getComputedStyle(point.querySelector('path')).opacity === '1'
  return [...document.querySelectorAll('.barlayer .point')]
    .flatMap((point, i) => opaque(point) ? [reported[i].slice(0, 2).join(' as ')] : []).join()
}
"""


def expect_frame(page: Page, cell: str) -> None:
    page.wait_for_function(f"cell => ({FRAMED})() === cell", arg=cell, polling=POLL_MS)


def font_size(element: Locator) -> float:
    return float(element.evaluate("element => parseFloat(getComputedStyle(element).fontSize)"))


def tiles(page: Page) -> list[str]:
    names = page.locator(".gallery .open").evaluate_all(
        "tiles => tiles.map(tile => tile.textContent)"
    )
    return sorted(re.match(r"Open ([^:]+):", name).group(1) for name in names)


def test_each_cell_shows_exactly_its_photographs_and_is_one_step_of_the_history(page, models):
    open_view(page, "three", "Confusions")
    before = page.evaluate("history.length")
    click_cell(page, "running", "sitting")
    confused = page.get_by_role("button", name="running taken for sitting · 3")
    expect(confused).to_be_visible()
    expect_frame(page, "running as sitting")
    expect(page.locator(".gallery .open")).to_have_count(3)
    assert tiles(page) == ["running_0.jpg", "running_1.jpg", "running_2.jpg"]
    for image in page.locator(".gallery img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    expect(page).to_have_url(re.compile("true=running&predicted=sitting"))

    click_cell(page, "clapping", "clapping")
    expect(page.locator(".gallery .open")).to_have_count(10)
    assert all(name.startswith("clapping_") for name in tiles(page))
    recognised = page.get_by_role("button", name="clapping, recognised · 10")
    recognised.click()
    expect(page.get_by_text("Most confused")).to_be_visible()
    expect_frame(page, "")
    expect(page).to_have_url(re.compile("true=any&predicted=any"))

    assert page.evaluate("history.length") == before + 3
    page.go_back()
    expect(recognised).to_be_visible()
    expect_frame(page, "clapping as clapping")
    page.go_back()
    expect(confused).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Most confused")).to_be_visible()

    # The matrix is walked with the arrow keys.
    page.get_by_role("button", name="Arrange").click()
    page.get_by_text("As a table").click()
    page.keyboard.press("Escape")
    expect(page.get_by_text("As a table")).to_be_hidden()  # it would take the click for its own
    wait_until_drawn(page)
    grid = page.get_by_test_id("stDataFrame")
    box = steady_box(grid)
    page.mouse.click(box["x"] + box["width"] - 40, box["y"] + 52)
    expect(page.get_by_role("button", name=re.compile("·"))).to_be_visible()
    before = page.url
    page.keyboard.press("ArrowLeft")
    expect(page).not_to_have_url(before)
    expect(page).to_have_url(re.compile("true=.*&predicted=.*"))


def test_a_pair_and_a_link_are_one_step_each(page):
    page.goto("/evaluation?model=three")
    before = page.evaluate("history.length")
    page.get_by_role("button", name="running taken for sitting").click()
    chip = page.get_by_role("button", name="running taken for sitting · 3")
    expect(chip).to_be_visible()
    expect(page).to_have_url(re.compile("view=Confusions.*true=running|true=running.*view=Conf"))
    page.get_by_role("button", name=re.compile("Open running_2.jpg")).click()
    page.get_by_role("dialog").get_by_role("link", name="Open it in the dataset").click()
    expect(page).to_have_url(re.compile("/dataset?.*photo=running_2.jpg"))
    expect(page.get_by_role("img", name="The photograph running_2.jpg")).to_be_visible()
    assert page.evaluate("history.length") == before + 2
    page.go_back()
    expect(chip).to_be_visible()
    expect(page.locator(".gallery .open")).to_have_count(3)
    wait_until_drawn(page)
    page.go_back()
    expect(page.get_by_role("heading", name="How each class fares")).to_be_visible()


def test_a_link_shows_the_same_cell_and_a_photograph_leads_to_the_dataset(page):
    open_view(page, "three", "Confusions", true="running", predicted="sitting")
    expect(page.locator(".gallery .open")).to_have_count(3)
    for _ in range(3):  # another click on it changes nothing
        expect_frame(page, "running as sitting")
        click_cell(page, "running", "sitting")
        wait_until_drawn(page)
    expect_frame(page, "running as sitting")
    page.get_by_role("button", name=re.compile("Open running_2.jpg")).click()
    dialog = page.get_by_role("dialog")
    step_on(page, dialog)
    expect(dialog.get_by_role("img", name="The photograph running_1.jpg")).to_be_visible()
    expect(dialog.get_by_text("taken for sitting")).to_be_visible()
    label = dialog.get_by_role("heading", name="running", exact=True)
    assert font_size(label) > 16  # the text's
    dialog.get_by_text("Why?", exact=True).click()
    expect(dialog.get_by_text("Hiding the bright area changes sitting most")).to_be_visible()
    dialog.get_by_text("Why running?").click()
    expect(dialog.get_by_text("Hiding the bright area changes running most")).to_be_visible()
    dialog.get_by_text("Why?", exact=True).click()
    dialog.get_by_role("button", name="Exclude").click()
    expect(dialog.get_by_text("Excluded in the dataset")).to_be_visible()
    dialog.get_by_role("button", name="Take back").click()
    expect(dialog.get_by_text("Excluded in the dataset")).to_be_hidden()
    link = dialog.get_by_role("link", name="Open it in the dataset")
    expect(link).to_have_count(1)  # until it is drawn the link of before may stand beside it
    expect(link).to_have_attribute("href", re.compile("photo=running_1.jpg$"))
    link.click()
    expect(page.get_by_role("heading", name="Know your photographs")).to_be_visible()
    expect(dialog.get_by_role("img", name="The photograph running_1.jpg")).to_be_visible()
    expect(dialog.get_by_role("button", name="Exclude")).to_be_visible()


def test_cells_of_a_hundred_classes_can_be_clicked(page, models):
    result = read_evaluation(models / "hundred", "test").result
    mistakes = result.confusion - np.diag(np.diag(result.confusion))
    row, column = np.unravel_index(mistakes.argmax(), mistakes.shape)
    open_view(page, "hundred", "Confusions")
    click_cell(page, MANY[row], MANY[column])
    title = f"{MANY[row]} taken for {MANY[column]} · {mistakes[row, column]}".replace("_", " ")
    expect(page.get_by_role("button", name=title)).to_be_visible()
    expect(page.locator(".gallery .open")).to_have_count(int(mistakes[row, column]))
    assert tiles(page) == sorted(
        result.filenames[(result.labels == row) & (result.predictions == column)].tolist()
    )


def test_a_threshold_is_moved_and_a_report_downloaded(page, models, browser, tmp_path):
    open_view(page, "three", "Confidence")
    expect(page.get_by_text("From 50\N{NO-BREAK SPACE}% on the model answers")).to_be_visible()
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowRight")
    result = read_evaluation(models / "three", "test").result
    answered = result.confidence >= 0.6
    text = (
        f"From 60% on the model answers {answered.mean():.0%} of the photographs and is right on "
        f"{result.correct[answered].mean():.0%} of those."
    ).replace("%", "\N{NO-BREAK SPACE}%")
    expect(page.get_by_text(text)).to_be_visible()
    expect(page).to_have_url(re.compile(r"threshold=0\.6"))

    # The report that is downloaded opens offline, with its plots.
    page.get_by_test_id("stPopoverButton").filter(has_text="Download").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML, opens offline)").click()
    report = tmp_path / download.value.suggested_filename
    download.value.save_as(report)
    assert report.name == "three_test_report.html"
    context = browser.new_context(offline=True)
    requested, errors = [], []
    offline = context.new_page()
    offline.on("request", lambda request: requested.append(request.url))
    offline.on("pageerror", lambda error: errors.append(str(error)))
    offline.goto(report.as_uri())
    expect(offline.get_by_role("heading", name="How good is three?")).to_be_visible()
    expect(offline.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    expect(offline.locator(".js-plotly-plot")).to_have_count(6)
    assert [url for url in requested if not url.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []
    context.close()


def test_a_running_evaluation_survives_a_page_change(page, models, tmp_path_factory):
    folder = write_dataset(tmp_path_factory.mktemp("other") / "set", per_class=40)
    open_view(page, "three", "Evaluate another set")
    page.get_by_role("textbox", name="Name of the evaluation").fill("other")
    page.get_by_role("textbox", name="Folder", exact=True).fill(str(folder))
    page.get_by_role("button", name="Evaluate", exact=True).click()
    expect(page.get_by_text(re.compile("Evaluating three on other")).first).to_be_visible()
    page.get_by_role("link", name="Predict").click()
    expect(page.get_by_role("heading", name="What is the person doing?")).to_be_visible()
    page.get_by_role("link", name="Evaluation").click()
    expect(page.get_by_text("Evaluating three on other: done.")).to_be_visible()
    page.locator(".st-key-open-evaluate-three-other button").click()
    expect(page.get_by_text("three · other · 120 photographs")).to_be_visible()
    expect(page).to_have_url(re.compile("evaluation=other"))
