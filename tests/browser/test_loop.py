"""The whole loop in a browser: review by keyboard, train, compare, use; and it was worth it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from har_core.analysis.whole_set import analyse_photographs
from har_core.dataset.decisions import load_decisions
from har_core.model.loading import load_model
from har_core.scan.scanning import scan_dataset
from har_core.training.quick.run import train_quick
from tests.browser.conftest import DESKTOP, PHONE, faults_in_both_schemes, visitor, wait_until_drawn
from tests.dashboard_process import running_dashboard
from tests.drawing import CLASS_NAMES, photo_bytes, write_tiny_bundle

pytestmark = pytest.mark.browser
N_PHOTOGRAPHS, N_WRONG, N_HELD_OUT = 200, 20, 60


@dataclass
class Workplace:
    url: str
    folder: Path
    models: Path
    wrong: set[str]


def truth(filename: str) -> str:
    return filename.split("_")[0]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Serve 200 drawn photographs, 20 with a wrong label, and a model that has learned those."""
    root: Path = tmp_path_factory.mktemp("loop")
    folder, models = root / "photos", root / "models"
    (folder / "train").mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{CLASS_NAMES[n % 3]}_{n}.jpg" for n in range(N_PHOTOGRAPHS)]
    wrong = set(rng.choice(names, N_WRONG, replace=False).tolist())
    rows = []
    for number, name in enumerate(names):
        (folder / "train" / name).write_bytes(photo_bytes(truth(name), number, size=(150, 100)))
        others = [label for label in CLASS_NAMES if label != truth(name)]
        rows.append((name, others[number % 2] if name in wrong else truth(name)))
    pd.DataFrame(rows, columns=["filename", "label"]).to_csv(folder / "train.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "data", "models"):
            patch.setenv(f"HAR_{name.upper()}_DIR", str(root / name))
        patch.delenv("HAR_MODEL", raising=False)
        write_tiny_bundle(models)
        train_quick(folder, "old", models / "tiny")
        analyse_photographs(models / "old", scan_dataset(folder, workers=1))
        with running_dashboard(root / "log.txt", models, folder) as server:
            yield Workplace(server.url, folder, models, wrong)


@pytest.fixture
def page(browser: Browser, workplace: Workplace) -> Iterator[Page]:
    with visitor(browser, workplace.url) as context:
        yield context.new_page()


def score(models: Path, name: str) -> tuple[float, float]:
    """Return top-1 accuracy and log loss on photographs that are nowhere in the dataset."""
    model = load_model(models / name)
    labels = [CLASS_NAMES[n % 3] for n in range(N_HELD_OUT)]
    answers = [
        model.predict(photo_bytes(label, 1000 + n, size=(150, 100)))
        for n, label in enumerate(labels)
    ]
    right = [answer.action == label for answer, label in zip(answers, labels, strict=True)]
    of_truth = [a.probabilities[label] for a, label in zip(answers, labels, strict=True)]
    return float(np.mean(right)), float(-np.log(np.maximum(of_truth, 1e-9)).mean())


def go_to_section(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).or_(page.get_by_role("button", name=name)).first.click()
    wait_until_drawn(page)


PRESS_AT_ONCE = """keys => keys.forEach(key => document.body.dispatchEvent(
  new KeyboardEvent("keydown", { key, code: `Digit${key}`, bubbles: true })))"""


def review(page: Page, workplace: Workplace) -> None:
    """Decide with the keys alone, as somebody does who sees the pictures."""
    go_to_section(page, "Review")
    decided = 0
    while not page.get_by_text("are decided").count():
        expect(page.get_by_text(f"· {decided} decided")).to_be_visible()
        question = page.get_by_role("heading", name=re.compile("^Is this "))
        wait_until_drawn(page)  # a key that is pressed before may meet the buttons of before
        alt = page.get_by_role("img", name=re.compile("^The photograph ")).first
        filename = (alt.get_attribute("alt") or "").removeprefix("The photograph ")
        if question.inner_text() == f"Is this {truth(filename)}?":
            page.keyboard.press("1")
        elif page.get_by_role("button", name=f"Relabel to {truth(filename)}").count():
            # Both before the page is drawn anew: the second was not meant for the next photograph,
            # and counts for none.
            page.evaluate(PRESS_AT_ONCE, ["2", "3"])
        else:
            page.keyboard.press("/")
            page.keyboard.type(truth(filename))
            page.keyboard.press("Enter")
        decided += 1
        expect(page.get_by_text(f"· {decided} decided")).to_be_visible()


def decide_together_and_undo(page: Page, workplace: Workplace) -> None:
    """Decide about many at once; one Undo, and one step of the history, for each thing done."""
    page.goto("/dataset?section=Label+suspects")
    accept = page.get_by_role("button", name="Accept the suggestions for the selected")
    expect(accept).to_be_disabled()
    began = page.evaluate("history.length")
    boxes = page.get_by_role("checkbox", name=re.compile("^Select .*jpg"))
    names = [(box.get_attribute("aria-label") or "") for box in boxes.all()]
    chosen = [next(n for n in names if n.startswith(f"Select {label}")) for label in CLASS_NAMES]
    for n, name in enumerate(chosen, 1):
        page.get_by_role("checkbox", name=name, exact=True).click()
        expect(page.get_by_text(f"{n} selected")).to_be_visible()
    accept.click()
    expect(page.locator(".gallery").get_by_text(re.compile("^→ "))).to_have_count(3)
    suggested = {name.removeprefix("Select "): name.split()[1].split("_")[0] for name in chosen}
    assert load_decisions(workplace.folder).relabelled == suggested  # to three classes
    assert page.evaluate("history.length") == began
    go_to_section(page, "Clean up")
    expect(page.get_by_text("3 with a new label")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("0 with a new label")).to_be_visible()
    assert load_decisions(workplace.folder).steps == ()
    assert page.evaluate("history.length") == began + 1

    go_to_section(page, "Photographs")
    page.get_by_text(f"Select all {N_PHOTOGRAPHS}, on every page").click()
    expect(page.get_by_text(f"{N_PHOTOGRAPHS} selected")).to_be_visible()
    page.get_by_role("button", name="Exclude").click()
    expect(page.locator(".gallery").get_by_text("excluded").first).to_be_visible()
    assert len(load_decisions(workplace.folder).excluded) == N_PHOTOGRAPHS
    go_to_section(page, "Clean up")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text(f"{N_PHOTOGRAPHS} of {N_PHOTOGRAPHS} rows are kept")).to_be_visible()
    assert load_decisions(workplace.folder).steps == ()
    assert page.evaluate("history.length") == began + 3
    for section in ("Photographs", "Clean up", "Label suspects"):
        page.go_back()
        expect(page.get_by_role("radio", name=section)).to_be_checked()
        wait_until_drawn(page)


def test_ten_fixes_in_ten_keys_then_a_better_model_answers(
    page: Page, workplace: Workplace
) -> None:
    decide_together_and_undo(page, workplace)
    review(page, workplace)
    relabelled = load_decisions(workplace.folder).relabelled
    assert set(relabelled) <= workplace.wrong
    assert len(relabelled) >= 0.9 * N_WRONG
    assert all(label == truth(name) for name, label in relabelled.items())

    page.goto("/training?model=old")
    expect(page.get_by_text(f"{len(relabelled)} relabelled, 0 excluded").first).to_be_visible()
    page.get_by_role("textbox", name="Name of the new model").fill("corrected")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Train", exact=True).click()
    # Nobody has clicked: whoever watches a training sees the comparison when it ends.
    expect(page.get_by_role("heading", name="Compare corrected with old")).to_be_visible()
    expect(page.get_by_role("button", name="Use this model")).to_be_visible()
    assert faults_in_both_schemes(page) == []
    page.set_viewport_size(PHONE)  # where no word may make a table wider than the page
    words = page.get_by_test_id("stTable").get_by_test_id("stMarkdownContainer")
    expect(words.last).to_have_css("overflow-wrap", "anywhere")
    page.set_viewport_size(DESKTOP)
    expect(
        page.get_by_text("photographs that neither is known to have learned from")
    ).to_be_visible()
    expect(page.get_by_text("the numbers are by the labels for corrected")).to_be_visible()
    photograph = {"file": ("photo.jpg", photo_bytes("running", 2000), "image/jpeg")}
    assert httpx2.post(f"{workplace.url}/predict", files=photograph).json()["model"] == "old"

    page.get_by_role("button", name="Use this model").click()
    expect(page.get_by_role("button", name="Make it the default")).to_be_visible()
    answer = httpx2.post(f"{workplace.url}/predict", files=photograph).json()
    assert (answer["model"], answer["action"]) == ("corrected", "running")
    page.goto("/")
    expect(page.get_by_role("combobox", name=re.compile("Model"))).to_have_value("corrected")

    (before, loss_before), (after, loss_after) = (
        score(workplace.models, name) for name in ("old", "corrected")
    )
    assert after >= before
    assert loss_after < loss_before
