"""Groups of photographs, side by side."""

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
