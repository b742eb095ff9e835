"""What only a browser knows of a chart: how wide it is, and what lies over what."""

from itertools import pairwise

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from plotly.offline import get_plotlyjs

from dashboard.charts.confusion import confusion_figure
from tests.browser.conftest import DESKTOP, PHONE, POLL_MS

pytestmark = pytest.mark.browser

COLUMNS = """[...document.querySelectorAll(".xtick text")].map(text => {
  const { left, right } = text.getBoundingClientRect()
  return [text.textContent, left, right]
})"""

DRAW = """json => {
  const { data, layout } = JSON.parse(json)
  return Plotly.newPlot("chart", data, layout, { responsive: true }).then(() => null)
}"""


def test_the_names_of_many_columns_do_not_lie_over_each_other(browser: Browser) -> None:
    page = browser.new_page(viewport=DESKTOP)
    page.set_content(f"<script>{get_plotlyjs()}</script><div id=chart></div>")
    for n_classes in (30, 60, 200):
        check_the_names_of_columns(page, n_classes)
    page.close()


def check_the_names_of_columns(page: Page, n_classes: int) -> None:
    names = [f"class {number}" for number in range(n_classes)]
    figure = confusion_figure(np.eye(n_classes, dtype=np.int64), names)
    page.set_viewport_size(DESKTOP)
    page.evaluate(DRAW, figure.to_json())
    drawn = f"document.querySelectorAll('.barlayer .point').length === {n_classes}"
    page.wait_for_function(drawn, polling=POLL_MS)
    n_labels = []
    for viewport in (DESKTOP, PHONE):
        page.set_viewport_size(viewport)
        page.wait_for_function(
            f"document.querySelector('.main-svg').getBoundingClientRect().width"
            f" <= {viewport['width']}",
            polling=POLL_MS,
        )
        columns = page.evaluate(COLUMNS)
        ends = [(left, right) for _, left, right in columns]
        assert all(a[1] <= b[0] + 1 for a, b in pairwise(ends))
        assert {name for name, *_ in columns} <= set(names)
        n_labels.append(len(columns))
    wide, narrow = n_labels
    assert narrow >= 10
    assert wide == (n_classes if n_classes <= 60 else 100)
