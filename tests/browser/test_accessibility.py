"""axe-core finds nothing serious on any page, and all that matters can be done by keyboard."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import TIMEOUT_MS, wait_until_drawn
from tests.drawing import photo_bytes

pytestmark = pytest.mark.browser

SERIOUS = ("serious", "critical")
RULES = {"resultTypes": ["violations"], "rules": {"label-content-name-mismatch": {"enabled": True}}}
VIEWS = {
    "predict": ("/", "What is the person doing?"),
    "dataset": ("/dataset", "Know your photographs"),
    "photographs": ("/dataset?section=Photographs", "Know your photographs"),
    "an opened photograph": (
        "/dataset?section=Photographs&photo=running_1.jpg",
        "Know your photographs",
    ),
    "clean up": ("/dataset?section=Clean+up", "Know your photographs"),
    "evaluation": ("/evaluation", "How good is the model?"),
}


def serious_faults(page) -> list[str]:
    violations = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['target']} {v['nodes'][0].get('failureSummary', '')}"
        for v in violations
        if v["impact"] in SERIOUS or v["id"] == "heading-order"
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(page, view, scheme):
    address, heading = VIEWS[view]
    page.emulate_media(color_scheme=scheme)
    page.goto(address)
    expect(page.get_by_role("heading", name=heading)).to_be_visible(timeout=TIMEOUT_MS)
    wait_until_drawn(page)
    assert serious_faults(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_an_answer(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto("/")
    expect(page.get_by_role("heading", name="What is the person doing?")).to_be_visible()
    page.locator("input[type=file]").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo_bytes("running")}
    )
    expect(page.get_by_role("img", name="The photograph a.jpg")).to_be_visible()
    wait_until_drawn(page)
    assert serious_faults(page) == []
