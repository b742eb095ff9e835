"""An evaluated photograph is decided about where it is opened."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

from har_core.dataset.decisions import load_decisions
from tests.drawing import photo_bytes
from tests.patience import PATIENCE_S


def test_a_photograph_is_relabelled_confirmed_and_taken_back(tiny_dataset: Path) -> None:
    def page(path: str, dataset: str) -> None:
        from dashboard.evaluation.relabelling import show_relabelling

        show_relabelling(path, dataset, ["clapping", "running", "sitting"])

    path = str(tiny_dataset / "train" / "running_1.jpg")
    app = AppTest.from_function(page, args=(path, str(tiny_dataset))).run(timeout=PATIENCE_S)
    assert not app.exception
    app.button(key="evaluated_confirm running_1.jpg").click().run()
    assert load_decisions(tiny_dataset).confirmed == {"running_1.jpg"}
    app.button(key="evaluated_exclude running_1.jpg").click().run()
    assert load_decisions(tiny_dataset).excluded == {"running_1.jpg"}
    app.button(key="evaluated_keep running_1.jpg").click().run()
    assert load_decisions(tiny_dataset).current == {}
    assert "keeps the labels" in app.caption[0].value
    app.selectbox[0].options.append("jumping")  # an AppTest sends nothing else
    app.selectbox[0].select("jumping").run()
    assert not app.exception and "jumping" in app.selectbox[0].options
    assert load_decisions(tiny_dataset).relabelled == {"running_1.jpg": "jumping"}
    app.button(key="evaluated_exclude running_1.jpg").click().run()
    assert [badge.value for badge in app.markdown if "Excluded" in badge.value]
    (tiny_dataset / "train" / "running_1.jpg").write_bytes(photo_bytes("running", 77))
    drawn_before = app.button(key="evaluated_confirm running_1.jpg")
    drawn_before.click().run()  # so is what was decided about what was seen before
    assert not [b.value for b in app.markdown if "Excluded" in b.value or "Right" in b.value]
    assert load_decisions(tiny_dataset).confirmed == {"running_1.jpg"}  # of what it was


def test_a_photograph_that_is_not_listed_is_not_offered(tiny_dataset: Path) -> None:
    def page(path: str, dataset: str) -> None:
        from dashboard.evaluation.relabelling import show_relabelling

        show_relabelling(path, dataset, ["running"])

    (tiny_dataset / "other.jpg").write_bytes(b"")
    arguments = (str(tiny_dataset / "other.jpg"), str(tiny_dataset))
    app = AppTest.from_function(page, args=arguments).run(timeout=PATIENCE_S)
    assert not app.button
