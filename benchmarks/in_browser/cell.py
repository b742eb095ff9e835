"""From a click on a cell of the confusion matrix to its photographs, in a real browser.

HAR_DATASET=/path/to/DataSet python -m benchmarks --only cell
"""

import os
import shutil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.table import Row, at_most, skipped
from har_core.model.loading import find_model
from tests.browser.conftest import CHROMIUM_ARGUMENTS, CHROMIUM_NAMES, DESKTOP, steady_box
from tests.dashboard_process import running_dashboard

CELLS: Final = ".js-plotly-plot .barlayer .point"
CLICKS: Final = 12
WHAT: Final = "click on a cell of the confusion matrix → its photographs painted, in the browser"
# Notes when the page was clicked, and when the frame was painted in which the gallery, which lies
# in a shadow tree, has other pictures, all loaded.
WATCH: Final = """
() => {
  const within = root => [...root.querySelectorAll('*')].flatMap(element => [
    ...(element.matches('.gallery img') ? [element] : []),
    ...(element.shadowRoot ? within(element.shadowRoot) : []),
  ]);
  const sources = pictures => pictures.map(picture => picture.src).join();
  window.addEventListener('pointerup', () => {
    const before = sources(within(document));
    window.clickedAt = performance.now();
    const look = () => {
      const pictures = within(document);
      const others = pictures.length && sources(pictures) !== before;
      if (others && pictures.every(picture => picture.complete))
        setTimeout(() => { window.paintedAt = performance.now(); }, 0);
      else
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, true);
}
"""


def measure() -> list[Row]:
    """Click on cells far from each other, so that every picture is another one."""
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    dataset = os.environ.get("HAR_DATASET", "").strip()
    if executable is None or not dataset:
        return [skipped(WHAT, "there is no Chromium" if dataset else "HAR_DATASET is not set")]
    with TemporaryDirectory() as temporary, sync_playwright() as playwright:
        log, models = Path(temporary) / "log.txt", find_model().parent
        with running_dashboard(log, models, Path(dataset)) as server:
            browser = playwright.chromium.launch(
                executable_path=executable, args=CHROMIUM_ARGUMENTS
            )
            page = browser.new_page(base_url=server.url, viewport=DESKTOP)
            page.set_default_timeout(60_000)
            expect.set_options(timeout=60_000)
            page.goto("/evaluation?view=Confusions")
            page.locator(CELLS).first.wait_for(state="attached")
            page.get_by_text("Most confused").wait_for()
            page.evaluate(WATCH)
            times = [click(page, number) for number in range(CLICKS)][1:]
            browser.close()
    note = f"median of {len(times)}; {min(times):.0f}-{max(times):.0f} ms"
    return [at_most(WHAT, median(times), 250, "ms", note)]


def click(page: Page, number: int) -> float:
    """Click on a right cell of the diagonal, which has photographs, and return the time in ms."""
    cells = page.locator(CELLS)
    reported = page.evaluate(
        "() => document.querySelector('.js-plotly-plot').data"
        ".filter(trace => trace.type === 'bar').flatMap(trace => trace.customdata)"
    )
    diagonal = [index for index, cell in enumerate(reported) if cell[0] == cell[1]]
    cell = cells.nth(diagonal[number % len(diagonal)])
    cell.scroll_into_view_if_needed()
    box = steady_box(cell)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(2000)
    return page.evaluate("window.paintedAt - window.clickedAt")
