"""What only a browser knows of a chart: how wide it is, and what lies over what."""

from itertools import pairwise

import numpy as np
import pytest
from playwright.sync_api import Browser

from dashboard.charts.confusion import confusion_figure
from tests.browser.conftest import DESKTOP, PHONE, POLL_MS

pytestmark = pytest.mark.browser

COLUMNS = """[...document.querySelectorAll(".xtick text")].map(text => {
  const { left, right } = text.getBoundingClientRect()
  return [text.textContent, left, right]
})"""


@pytest.mark.parametrize("n_classes", [30, 60, 200])
def test_the_names_of_many_columns_do_not_lie_over_each_other(
    browser: Browser, n_classes: int
) -> None:
    names = [f"class {number}" for number in range(n_classes)]
    figure = confusion_figure(np.eye(n_classes, dtype=np.int64), names)
    page = browser.new_page(viewport=DESKTOP)
    page.set_content(figure.to_html(include_plotlyjs=True, config={"responsive": True}))
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
    page.close()
