"""Names from files, tables and class lists are text on every page, never markup."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Element

from har_core.dataset.decisions import decide
from har_core.dataset.table import load_dataset
from har_core.scan.scanning import scan_dataset
from tests.drawing import COLOUR_WEIGHTS, photo_bytes
from tests.evaluated import write_evaluated_bundle
from tests.patience import PATIENCE_S

SCRIPT = Path(__file__).parents[2] / "dashboard" / "navigation.py"
EVALUATION_VIEWS = ("Confusions", "Classes", "Curves", "Confidence", "Errors", "Compare")
SECTIONS = ("Overview", "Photographs", "Findings", "Label suspects", "Map", "Leakage", "Clean up")
PICTURE = "![x](http:evil.png)"
MARKUP = "<img src=x onerror=alert(1)>"
CLASSES = (f"{PICTURE} a", f"{MARKUP} b", "[c](javascript:alert`1`) **c** $c$ :red[c]")
# What Markdown, or a chart, would take for more than text.
RAW = (PICTURE, "[c](", "**c**", "$c$", ":red[c]")


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset and a model of it, both full of hostile names."""
    folder = tmp_path / "data `**c**`"
    (folder / "train").mkdir(parents=True)
    rows = [f'filename,label,"{CLASSES[2].lower()}"']
    for number in range(24):
        kind = number % 3
        name = f"{number}{PICTURE}{MARKUP}.jpg"
        photo = photo_bytes(("clapping", "running", "sitting")[kind], number)
        (folder / "train" / name).write_bytes(photo)
        rows.append(f'"{name}","{CLASSES[kind]}",{"train" if number % 2 else "test"}')
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    with contextlib.suppress(OSError):  # where the file system takes Unicode names alone
        no_unicode = os.fsdecode(os.fsencode(folder / "train") + b"/caf\xe9.jpg")
        Path(no_unicode).write_bytes(photo_bytes("running", 99))
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HAR_DATASET", str(folder))
    monkeypatch.delenv("HAR_MODEL", raising=False)
    table = load_dataset(folder)
    table["split"] = np.resize(["train", "test", "test", "validation", "test"], len(table))
    write_evaluated_bundle(tmp_path / "models", table, CLASSES, weights=COLOUR_WEIGHTS, seed=3)
    scan_dataset(folder, workers=1)
    decide(folder, "relabel", [table["filename"][0]], CLASSES[1])
    return folder


def open_page(page: str, **address: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE_S)
    app.switch_page(f"../pages/{page}.py")
    for key, value in address.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def elements(block: Block) -> Iterator[Element]:
    for child in block.children.values():
        if isinstance(child, Block):
            yield from elements(child)
        else:
            yield child


def assert_names_are_text(app: AppTest, *, shown_at_least: int = 1) -> None:
    """Look at all that a browser would take for Markdown or a chart's markup."""
    shown = 0
    for element in elements(app._tree):
        if element.type == "plotly_chart":
            strings = json.dumps(_drawn(json.loads(element.proto.spec)))
            shown += "&lt;img" in strings
            assert "<img" not in strings and "<a " not in strings
            continue
        texts = [getattr(element.proto, f, "") for f in ("body", "label", "text", "icon", "help")]
        if element.type == "button_group":
            texts += [option.content for option in element.proto.options]
        for text in texts:
            if isinstance(text, str):
                shown += "evil" in text
                assert not [raw for raw in RAW if raw in text], (element.type, text)
                assert MARKUP not in text, (element.type, text)
        assert not getattr(element.proto, "allow_html", False)
    assert shown >= shown_at_least, "no hostile name was on the page"


def _drawn(figure: object) -> object:
    """Leave out ``customdata``, which a chart hands back but does not draw."""
    if isinstance(figure, dict):
        return {k: _drawn(v) for k, v in figure.items() if k != "customdata"}
    return [_drawn(value) for value in figure] if isinstance(figure, list) else figure


def test_predict_page(dataset: Path) -> None:
    app = open_page("predict")
    name = f"{PICTURE}{MARKUP}.jpg"
    app.file_uploader[0].upload(name, photo_bytes("clapping")).run()
    assert_names_are_text(app)
    app.toggle(key="why").set_value(True).run()
    assert not app.exception
    assert_names_are_text(app)
    app.file_uploader[0].upload(f"b{name}", photo_bytes("running")).run()
    app.file_uploader[0].upload(f"c{name}", b"no image").run()
    assert not app.exception
    assert_names_are_text(app)


def test_what_is_this(dataset: Path) -> None:
    assert_names_are_text(open_page("about"))


@pytest.mark.parametrize("view", EVALUATION_VIEWS)
def test_evaluation_page(dataset: Path, view: str) -> None:
    app = open_page("evaluation", view=view)
    if view == "Confusions":
        assert_names_are_text(app)
        app.query_params["true"] = CLASSES[0]
        app.run()
        assert not app.exception
    # The others name things of the set in tables and tiles only, which know no markup.
    assert_names_are_text(app, shown_at_least=view in ("Confusions", "Curves"))


@pytest.mark.parametrize("section", SECTIONS)
def test_dataset_page(dataset: Path, section: str) -> None:
    app = open_page("dataset", section=section)
    assert_names_are_text(app, shown_at_least=section in ("Overview", "Clean up"))


def test_opened_photograph(dataset: Path) -> None:
    app = open_page("dataset", section="Photographs")
    app.query_params["photo"] = f"0{PICTURE}{MARKUP}.jpg"
    app.run()
    assert not app.exception
    assert_names_are_text(app)


def test_smallest_class_of_an_uneven_table(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    rows = [f"{number}.jpg,running" for number in range(20)]
    (folder / "train.csv").write_text("\n".join(["filename,label", *rows, f'x.jpg,"{CLASSES[0]}"']))
    monkeypatch.setenv("HAR_DATASET", str(folder))
    assert_names_are_text(open_page("dataset"))
