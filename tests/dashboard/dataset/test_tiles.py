"""Groups of photographs, side by side."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from streamlit.testing.v1 import AppTest

from dashboard.dataset import tiles


def _page() -> None:
    import pandas as pd

    from dashboard.dataset.tiles import show_groups

    sizes = (2, 3, 9, 2, 2, 2)  # the third takes the whole width
    groups = {f"Group {n}": pd.DataFrame(index=range(size)) for n, size in enumerate(sizes)}
    show_groups(None, groups, key="groups", note=str)


def test_groups_keep_their_order_where_columns_follow_one_another(monkeypatch):
    monkeypatch.setattr(tiles, "show_tiles", lambda *_, **__: [])
    app = AppTest.from_function(_page).run()
    assert not app.exception
    assert [caption.value for caption in app.caption] == [f"Group {n}" for n in range(6)]


def test_ticks_are_of_one_dataset_though_another_has_photographs_of_the_same_names(monkeypatch):
    keys = []
    monkeypatch.setattr(tiles, "current_decisions", lambda view: SimpleNamespace(current={}))
    monkeypatch.setattr(tiles, "gallery", lambda *_, key, **__: (None, keys.append(key)))
    rows = pd.DataFrame({"filename": ["a.jpg"], "label": ["running"], "path": [None]})
    for folder in ("one", "other", "one"):
        view = SimpleNamespace(folder=Path(folder))
        tiles.show_tiles(view, rows, key="tiles", note=lambda row: "a note")
    assert keys[0] == keys[2] != keys[1]
