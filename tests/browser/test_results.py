"""Results of a score job in a browser: from the Jobs page to one photograph and to a confusion."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from har_core.scale.analyses import followed
from har_core.scale.results import Results
from tests.browser.conftest import (
    errors_of,
    faults_in_both_schemes,
    step_on,
    visitor,
)
from tests.dashboard_process import DashboardProcess, running_dashboard
from tests.drawing import write_tiny_bundle
from tests.made_results import write_results

pytestmark = pytest.mark.browser
ROWS = 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardProcess]:
    """Serve made-up results and their labels."""
    folder: Path = tmp_path_factory.mktemp("results")
    labels = write_results(folder / "jobs" / "made", ROWS)
    labels = labels[~labels.index.duplicated()].rename_axis("sha256").rename("label")
    labels.reset_index().to_csv(folder / "labels.csv", index=False)
    with followed(Results(str(folder / "jobs" / "made")), "suspects", "labels.csv") as analysis:
        analysis.status.found = "19,404 labels judged, 812 of them doubtful."
    write_tiny_bundle(folder / "models")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "data"):
            patch.setenv(f"HAR_{name.upper()}_DIR", str(folder / name))
        patch.setenv("HAR_RESULTS", str(folder / "jobs"))
        with running_dashboard(folder / "log.txt", folder / "models") as process:
            yield process


@pytest.fixture
def page(browser: Browser, server: DashboardProcess) -> Iterator[Page]:
    """Open a page that leaves no error in the console."""
    with visitor(browser, server.url) as context:
        opened = context.new_page()
        errors = errors_of(opened)
        yield opened
    assert not errors


def test_from_a_job_to_its_photographs_and_its_confusions(
    page: Page, server: DashboardProcess
) -> None:
    page.goto("/jobs")
    expect(page.get_by_text("20,000 rows in 5 parts")).to_be_visible()
    expect(page.get_by_text("Why there is no answer:")).to_be_visible()
    expect(page.get_by_text("19,404 labels judged, 812 of them doubtful.")).to_be_visible()
    assert faults_in_both_schemes(page) == []

    page.get_by_role("button", name="Open in Dataset").click()
    expect(page.get_by_text(f"{ROWS:,} photographs scored by")).to_be_visible()
    expect(page).to_have_url(re.compile("[?&]results="))
    page.get_by_role("radio", name="Photographs").click()
    page.get_by_role("textbox", name="Path").fill("photo_0000123")
    page.keyboard.press("Enter")
    expect(page.get_by_text("10 photographs", exact=True)).to_be_visible()
    page.get_by_role("button", name=re.compile("^Open .*photo_00001234")).click()
    dialog = page.get_by_role("dialog", name="photo_00001234.jpg")
    step_on(page, dialog)
    dialog = page.get_by_role("dialog", name="photo_00001235.jpg")
    expect(dialog.get_by_text("/photos/0000/photo_00001235.jpg")).to_be_visible()
    expect(dialog.get_by_role("button", name="Next")).to_be_enabled()
    assert faults_in_both_schemes(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    page.get_by_role("radio", name="Map").click()
    expect(page.get_by_text("A random sample: 4,000 of 19,800 photographs")).to_be_visible()

    page.get_by_role("link", name="Evaluation").click()
    page.get_by_role("textbox", name="Table of labels").fill(str(server.log.parent / "labels.csv"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("joined by sha256")).to_be_visible()
    began = page.evaluate("history.length")
    page.get_by_role("radio", name="Confusions").click()
    page.wait_for_url(re.compile("results_view=Confusions"))
    assert page.evaluate("history.length") == began + 1  # a section is one step
    page.get_by_role("button", name=re.compile(" taken for ")).first.click()
    photographs = page.get_by_role("button", name=re.compile("^Open "))
    expect(photographs.first).to_be_visible()
    assert page.evaluate("history.length") == began + 2

    page.reload()  # the address says it all
    expect(page.get_by_text("joined by sha256")).to_be_visible()
    expect(photographs.first).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Most confused")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="How each class fares")).to_be_visible()
    page.get_by_role("button", name="Close the results").click()
    expect(page.get_by_text(f"{ROWS:,} photographs scored by")).not_to_be_visible()
    expect(page).not_to_have_url(re.compile("[?&]results="))
