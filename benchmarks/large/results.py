"""The pages on a million made-up answers of a score job, in a real browser.

    python -m benchmarks.large.results [--rows N] [--most-seconds 3] [--most-gb 1.5]

Prints the time of every interaction, the server's peak memory and the load beside it; fails where
one is over the limit. The rows are made first, which takes a minute.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM_ARGUMENTS, CHROMIUM_NAMES, DESKTOP
from tests.dashboard_process import DashboardProcess, running_dashboard
from tests.drawing import write_tiny_bundle

_TIMEOUT_MS = 120_000


def peak_gb(pid: int) -> float:
    """Return the most memory that a process has had, in GB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def settle(page: Page) -> None:
    """Wait until the page has drawn everything."""
    page.wait_for_timeout(500)
    page.wait_for_function(
        "!document.querySelector('[data-testid=stStatusWidget], [data-stale=true]')"
    )
    page.wait_for_timeout(500)


def interactions(
    page: Page, server: DashboardProcess, folder: Path, rows: int
) -> list[tuple[str, Callable[[], object], Locator]]:
    """Return what is done one after another, and what is then to be seen."""

    def select(label: str, option: str) -> None:
        page.get_by_role("combobox", name=label).click()
        page.get_by_role("option", name=option, exact=True).click()

    def search(text: str) -> None:
        page.get_by_role("textbox", name="Path").fill(text)
        page.keyboard.press("Enter")

    def changing(do: Callable[[], object]) -> Callable[[], None]:
        def act() -> None:
            before = tile.first.get_attribute("data-id")
            assert before is not None
            do()
            expect(tile.first).not_to_have_attribute("data-id", before)

        return act

    def give_labels() -> None:
        page.get_by_role("textbox", name="Table of labels").fill(str(folder / "labels.parquet"))
        page.keyboard.press("Enter")

    def leave_for_the_map() -> None:
        page.keyboard.press("Escape")
        page.get_by_role("radio", name="Map").click()

    chart = page.locator(".js-plotly-plot .point, .js-plotly-plot canvas").first
    tile = page.get_by_role("button", name=re.compile("^Open "))
    radio, text = page.get_by_role, page.get_by_text
    return [
        ("Jobs", lambda: page.goto("/jobs"), text(f"{rows:,} rows in")),
        (
            "Dataset: overview",
            lambda: page.get_by_role("button", name="Open in Dataset").click(),
            chart,
        ),
        (
            "Dataset: photographs",
            lambda: radio("radio", name="Photographs").click(),
            tile.first,
        ),
        ("sort", changing(lambda: select("Sort by", "Least sure")), tile.first),
        (
            "another page",
            changing(page.get_by_role("button", name="Page 3", exact=True).click),
            tile.first,
        ),
        ("search", lambda: search("photo_0000012"), text("10 photographs", exact=True)),
        (
            "open one",
            lambda: tile.first.click(),
            page.get_by_role("dialog").get_by_text("sha256"),
        ),
        (
            "Map",
            leave_for_the_map,
            text("A random sample:"),
        ),
        (
            "Evaluation",
            lambda: page.get_by_role("link", name="Evaluation").click(),
            text("Without labels"),
        ),
        ("labels: joined and measured", give_labels, text("joined by sha256")),
        ("Confusions", lambda: radio("radio", name="Confusions").click(), text("Most confused")),
        (
            "a cell",
            lambda: page.get_by_role("button", name=re.compile(" taken for ")).first.click(),
            tile.first,
        ),
        (
            "Confidence",
            lambda: radio("radio", name="Confidence").click(),
            text("Fifteen groups"),
        ),
    ]


def main() -> None:
    """Make the rows, visit the pages, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--most-seconds", type=float, default=3.0)
    parser.add_argument("--most-gb", type=float, default=1.5)
    arguments = parser.parse_args()
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        raise SystemExit("There is no Chromium.")
    over = False
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        folder = Path(temporary)
        made = [str(folder / "made"), "--rows", str(arguments.rows)]
        labels = ["--labels", str(folder / "labels.parquet")]
        subprocess.run([sys.executable, "-m", "tests.made_results", *made, *labels], check=True)
        write_tiny_bundle(folder / "models")
        patch.setenv("HAR_RESULTS", str(folder / "made"))
        with (
            running_dashboard(folder / "log.txt", folder / "models") as server,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(
                executable_path=executable, args=CHROMIUM_ARGUMENTS
            )
            page = browser.new_page(base_url=server.url, viewport=DESKTOP)
            page.set_default_timeout(_TIMEOUT_MS)
            expect.set_options(timeout=_TIMEOUT_MS)
            # What Python imports, and the browser loads to draw charts, does not count.
            page.goto("/")
            page.locator(".js-plotly-plot").first.wait_for()
            for name in ("dataset", "evaluation", "jobs"):
                page.goto(f"/{name}")
                page.get_by_role("heading", level=1).wait_for()
                settle(page)
            print(f"{arguments.rows:,} rows")
            for name, do, seen in interactions(page, server, folder, arguments.rows):
                start = time.perf_counter()
                do()
                seen.wait_for()
                seconds = time.perf_counter() - start
                over |= seconds > arguments.most_seconds
                load = os.getloadavg()[0]
                print(f"{name:30} {seconds:6.2f} s   load {load:.1f}", flush=True)
                settle(page)
            peak = peak_gb(server.process.pid)
            over |= peak > arguments.most_gb
            print(f"{'peak memory of the server':30} {peak:6.2f} GB")
            browser.close()
    sys.exit(over)


if __name__ == "__main__":
    main()
