"""From choosing a file to the painted chart, in a real browser."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from playwright.sync_api import FilePayload, Page, expect, sync_playwright

from benchmarks.bench_predict import small_jpeg
from benchmarks.table import Row, at_most, skipped
from har_core.model.loading import find_model
from tests.browser.conftest import CHROMIUM_ARGUMENTS, CHROMIUM_NAMES
from tests.dashboard_process import running_dashboard

PICTURES: Final = 15
WHAT: Final = "upload → chart painted, in the browser, second picture onward"
# Notes when a file was chosen, and when the frame after the last change of a chart was painted;
# observes the document, because a chart may be replaced by another.
WATCH: Final = """
() => {
  document.addEventListener('change', event => {
    if (event.target.type === 'file') window.chosenAt = performance.now();
  }, true);
  const isInChart = ({target}) =>
    (target.closest ? target : target.parentElement)?.closest('.js-plotly-plot');
  new MutationObserver(changes => {
    if (changes.some(isInChart))
      requestAnimationFrame(() => setTimeout(() => { window.paintedAt = performance.now(); }, 0));
  }).observe(document.body,
    {subtree: true, childList: true, attributes: true, characterData: true});
}
"""


def measure() -> list[Row]:
    """Hand in one picture after the other."""
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        return [skipped(WHAT, "there is no Chromium")]
    with opened_page(executable) as page:
        times = [upload(page, number) for number in range(PICTURES)][1:]
    total, server = (median(column) for column in zip(*times, strict=True))
    return [at_most(WHAT, total, 400, "ms", f"median of {len(times)}; server {server:.0f} ms")]


@contextmanager
def opened_page(executable: str) -> Iterator[Page]:
    """Open the Predict page of a server that has its model."""
    with TemporaryDirectory() as temporary, sync_playwright() as playwright:
        log = Path(temporary) / "log.txt"
        with running_dashboard(log, find_model().parent) as server:
            browser = playwright.chromium.launch(
                executable_path=executable, args=CHROMIUM_ARGUMENTS
            )
            page = browser.new_page(base_url=server.url)
            page.set_default_timeout(60_000)
            expect.set_options(timeout=60_000)
            page.goto("/")
            page.locator(".js-plotly-plot .ytick").first.wait_for()
            page.evaluate(WATCH)
            yield page
            browser.close()


def upload(page: Page, number: int) -> tuple[float, float]:
    """Hand in one picture, and return the browser's and the server's time in ms."""
    name = f"{number}.jpg"
    # Bytes behind the end of a JPEG make it another file with the same picture.
    data = small_jpeg() + bytes([number])
    file: FilePayload = {"name": name, "mimeType": "image/jpeg", "buffer": data}
    page.set_input_files("input[type=file]", [file])
    page.get_by_role("img", name=f"The photograph {name}").wait_for()
    took = page.get_by_text(re.compile(r"^Took \d+ ms$")).inner_text()
    page.wait_for_timeout(500)
    elapsed = page.evaluate("window.paintedAt - window.chosenAt")
    page.get_by_test_id("stFileChipDeleteBtn").get_by_role("button").click()
    page.get_by_text("actions apart").wait_for()
    return elapsed, float(took.split()[1])
