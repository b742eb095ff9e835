"""A real server and a real Chromium; no test may leave an error in the console or go outside."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    FloatRect,
    Locator,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.dashboard_process import DashboardProcess, running_dashboard
from tests.drawing import write_dataset, write_tiny_bundle

TIMEOUT_MS = 60_000  # generous: a busy machine takes half a minute to draw the first chart
POLL_MS = 50  # unless told, a page is asked sixty times a second, and drawn as often
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
# Pages live for seconds here: what compiles their scripts for speed costs more than it saves.
NOT_FOR_SPEED = "--js-flags=--max-optimized-bytecode-size=0 --no-maglev"

# Of the pages in each appearance of the system.
BACKGROUNDS: dict[Literal["dark", "light"], str] = {
    "dark": "rgb(18, 25, 29)",
    "light": "rgb(251, 250, 247)",
}
HAS_BACKGROUND = """colour => {
  const app = document.querySelector("[data-testid=stApp]")
  return app && getComputedStyle(app).backgroundColor === colour
}"""

# Rules that axe-core leaves out unless asked.
SERIOUS = ("serious", "critical")
RULES = {"resultTypes": ["violations"], "rules": {"label-content-name-mismatch": {"enabled": True}}}
# axe-core judges no text in drawings. Numbers inside of cells have a colour for each cell.
FAINT_IN_CHARTS = """() => {
  const luminance = colour => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).map(Number).map(part =>
      part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
  }
  const page = document.querySelector("[data-testid=stApp]")
  const behind = luminance(getComputedStyle(page).backgroundColor)
  return [...document.querySelectorAll(".js-plotly-plot text:not(.bartext-inside)")]
    .filter(text => {
      const ratio = luminance(getComputedStyle(text).fill) / behind
      return text.textContent.trim() && Math.max(ratio, 1 / ratio) < 4.5
    })
    .map(text => `too faint in a chart: ${text.textContent}`)
}"""


def steady_box(locator: Locator) -> FloatRect:
    """Return where an element is once it has stopped moving, for the mouse to go there."""
    element = locator.element_handle()
    element.wait_for_element_state("stable")
    box = element.bounding_box()
    assert box is not None
    return box


def wait_until_drawn(page: Page) -> None:
    """Wait until the script has ended and nothing on the page is of the run before."""
    page.wait_for_function(
        "document.querySelector('[data-test-script-state=notRunning]')"
        " && !document.querySelector('[data-testid=stStatusWidget]')"
        " && !document.querySelector('[data-stale=true]')"
        " && !document.querySelector('[data-testid=stSkeleton]')",
        polling=POLL_MS,
    )


def step_on(page: Page, dialog: Locator) -> None:
    """Press the key that leads from a photograph to the next, once the page hears it."""
    expect(dialog.get_by_role("button", name="Next")).to_be_enabled()
    wait_until_drawn(page)  # a button that was drawn just now does not hear its key yet
    page.keyboard.press("ArrowRight")


def serious_faults(page: Page) -> list[str]:
    """Return what axe-core finds on a page as it is now that keeps people out."""
    faint = page.evaluate(FAINT_IN_CHARTS)
    violations = Axe().run(page, options=RULES).response["violations"]
    return faint + [
        f"{v['id']}: {v['nodes'][0]['target']} {v['nodes'][0].get('failureSummary', '')}"
        for v in violations
        if v["impact"] in SERIOUS or v["id"] == "heading-order"
    ]


def faults_in_both_schemes(page: Page) -> list[str]:
    """Return what `serious_faults` finds in the dark and in the light appearance."""
    faults = []
    for scheme, background in BACKGROUNDS.items():
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(HAS_BACKGROUND, arg=background, polling=POLL_MS)
        wait_until_drawn(page)
        faults += [f"{scheme}: {fault}" for fault in serious_faults(page)]
    return faults


def errors_of(page: Page) -> list[str]:
    """Return the list that a page's errors will be in, each with its address."""
    errors: list[str] = []
    for event, listener in _listeners(errors).items():
        page.on(event, listener)
    return errors


def _listeners(errors: list[str]) -> dict[Any, Callable[[Any], None]]:
    def hear(said: ConsoleMessage) -> None:
        address = said.location.get("url", "")
        # Streamlit forgets a picture when a rerun draws another in its place, which the browser may
        # only then have begun to load.
        replaced = "404" in said.text and urlsplit(address).path.startswith("/media/")
        if said.type == "error" and not replaced:
            errors.append(f"{said.text} {address}")

    return {"console": hear, "pageerror": lambda error: errors.append(str(error))}


@contextmanager
def visitor(browser: Browser, address: str, *permissions: str) -> Iterator[BrowserContext]:
    """Open an empty browser whose relative addresses lead to a server.

    It asks for little motion: a placeholder that shimmers is drawn sixty times a second.
    """
    context = browser.new_context(
        base_url=address,
        viewport=DESKTOP,
        permissions=permissions,
        reduced_motion="reduce",
    )
    context.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    yield context
    context.close()


@contextmanager
def visit(context: BrowserContext, page: Page | None = None) -> Iterator[Page]:
    """Open an empty page that must leave no error in the console and ask no other server.

    Visits share a tab, whose process has compiled the pages' scripts: a new one would need two
    seconds of a processor more. All else of a visit is forgotten when it ends.
    """
    opened = page or next(iter(context.pages), None) or context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    listeners = _listeners(errors) | {"request": lambda request: asked.append(request.url)}
    for event, listener in listeners.items():
        opened.on(event, listener)
    yield opened
    try:
        _forget(opened)
    except Error:  # of a tab that crashed, or that a dialog holds
        opened.close()
    for event, listener in listeners.items():
        opened.remove_listener(event, listener)
    # What is opened when a visit ends has no icon; pages name theirs.
    errors = [error for error in errors if not error.endswith("/favicon.ico")]
    external = [url for url in asked if urlsplit(url).hostname not in ("127.0.0.1", None)]
    assert not errors, f"errors in the console: {errors}"
    assert not external, f"the page asked other servers: {external}"


def _forget(page: Page) -> None:
    page.goto("/healthz")  # the visit ends for the server, too
    page.evaluate("sessionStorage.clear()")
    page.context.new_cdp_session(page).send("Page.resetNavigationHistory")
    page.emulate_media(color_scheme="null")
    page.set_viewport_size(DESKTOP)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium, or the one named by CHROMIUM."""
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, CHROMIUM_NAMES)]
    executable = next(filter(None, found), None)
    if executable is None:
        reason = "no Chromium found; install Debian's 'chromium' or set CHROMIUM to a browser"
        if os.environ.get("HAR_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=executable, args=[*CHROMIUM_ARGUMENTS, NOT_FOR_SPEED]
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardProcess]:
    """Serve the dashboard with the tiny bundle and a dataset of twelve drawn pictures."""
    folder: Path = tmp_path_factory.mktemp("dashboard")
    write_tiny_bundle(folder / "models")
    dataset = write_dataset(folder / "dataset")
    with pytest.MonkeyPatch.context() as patch:
        # What an earlier run left there would answer at once.
        patch.setenv("HAR_CACHE_DIR", str(folder / "cache"))
        patch.setenv("HAR_DATA_DIR", str(folder / "data"))
        with running_dashboard(folder / "log.txt", folder / "models", dataset) as server:
            yield server


@pytest.fixture(scope="session")
def context(browser: Browser, dashboard: DashboardProcess) -> Iterator[BrowserContext]:
    """Share one browser cache between the tests; every page is a visit of its own all the same."""
    with visitor(browser, dashboard.url, "camera") as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Open an empty browser page whose relative addresses lead to the dashboard."""
    with visit(context) as opened:
        yield opened
