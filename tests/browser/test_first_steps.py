"""The three first steps."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_the_first_steps_lead_on_and_never_come_back(context, page):
    page.goto("/")
    steps = page.get_by_role("region", name="First steps")
    steps.get_by_role("button", name="Try a sample").click()
    expect(page.get_by_role("img", name="The photograph cycling.jpg")).to_be_visible()
    expect(steps).to_have_count(0)
    page.evaluate("sessionStorage.clear()")  # a reload would bring the sample back
    page.goto("/")
    steps.get_by_role("button", name="Open a dataset").click()
    expect(page.get_by_role("heading", name="Know your photographs")).to_be_visible()
    page.get_by_role("link", name="Predict").click()
    steps.get_by_role("button", name="Got it").click()
    expect(steps).to_have_count(0)
    page.goto("/")
    expect(page.get_by_role("button", name="Try an example")).to_be_visible()
    expect(steps).to_have_count(0)
    page.evaluate("localStorage.removeItem('first-steps-dismissed')")
