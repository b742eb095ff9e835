"""Groups of photographs, side by side."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from streamlit.testing.v1 import AppTest

from dashboard.dataset import tiles
from har_core.dataset.decisions import Decision


def _page() -> None:
    import pandas as pd

    from dashboard.dataset.tiles import show_groups

    sizes = (2, 3, 30, 2, 2, 2)  # the third takes the whole width
    groups = {f"Group {n}": pd.DataFrame(index=range(size)) for n, size in enumerate(sizes)}
    show_groups(None, groups, key="groups", note=str)


def test_groups_keep_their_order_where_columns_follow_one_another(monkeypatch):
    drawn = []
    monkeypatch.setattr(tiles, "show_tiles", lambda _, rows, **__: drawn.append(len(rows)) or [])
    app = AppTest.from_function(_page).run()
    assert not app.exception
    headings = [f"Group {n}" for n in range(6)]
    headings[2] += ", 24 of them"
    assert [caption.value for caption in app.caption] == headings
    assert drawn == [2, 3, 24, 2, 2, 2]


def test_ticks_are_of_one_dataset_though_another_has_photographs_of_the_same_names(monkeypatch):
    keys = []
    monkeypatch.setattr(tiles, "current_decisions", lambda view: SimpleNamespace(current={}))
    monkeypatch.setattr(tiles, "gallery", lambda *_, key, **__: (None, keys.append(key)))
    rows = pd.DataFrame({"filename": ["a.jpg"], "label": ["running"], "path": [None]})
    for folder in ("one", "other", "one"):
        view = SimpleNamespace(folder=Path(folder))
        tiles.show_tiles(view, rows, key="tiles", note=lambda row: "a note")
    assert keys[0] == keys[2] != keys[1]


def test_a_decision_is_marked_and_what_is_excluded_is_pale(monkeypatch):
    made = {
        "a.jpg": Decision("exclude", ("a.jpg",)),
        "b.jpg": Decision("relabel", ("b.jpg",), "using_laptop"),
    }
    drawn = []
    monkeypatch.setattr(tiles, "current_decisions", lambda view: SimpleNamespace(current=made))
    monkeypatch.setattr(tiles, "gallery", lambda shown, **_: (None, drawn.extend(shown)))
    rows = pd.DataFrame({"filename": [*"abc"], "label": ["running", "", ""], "path": None})
    rows["filename"] += ".jpg"
    tiles.show_tiles(SimpleNamespace(folder=Path("one")), rows, key="tiles", note=lambda row: "")
    assert [(tile.title, tile.note, tile.mark, tile.faded) for tile in drawn] == [
        ("running", "a.jpg", "excluded", True),
        ("no label", "b.jpg", "→ using laptop", False),
        ("no label", "c.jpg", "", False),
    ]
