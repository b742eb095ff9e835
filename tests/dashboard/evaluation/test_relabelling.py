"""An evaluated photograph is decided about where it is opened."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

from dashboard.evaluation.relabelling import name_in_dataset
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


def test_a_photograph_is_named_as_in_the_dataset_that_is_opened(tiny_dataset: Path) -> None:
    (tiny_dataset / "test").mkdir()  # evaluated alone, its photograph is called as one in train/
    for name in ("running_1.jpg", "unlisted.jpg"):
        (tiny_dataset / "test" / name).write_bytes(photo_bytes("running", 78))
    with (tiny_dataset / "train.csv").open("a") as table:
        table.write("test/running_1.jpg,running\n")
    for path, name in (
        ("train/running_1.jpg", "running_1.jpg"),
        ("test/running_1.jpg", "test/running_1.jpg"),
        ("test/unlisted.jpg", "test/unlisted.jpg"),
        ("elsewhere.jpg", None),
    ):
        assert name_in_dataset(str(tiny_dataset / path), str(tiny_dataset)) == name


def test_a_photograph_that_is_not_listed_is_not_offered(tiny_dataset: Path) -> None:
    def page(path: str, dataset: str) -> None:
        from dashboard.evaluation.relabelling import show_relabelling

        show_relabelling(path, dataset, ["running"])

    (tiny_dataset / "other.jpg").write_bytes(b"")
    arguments = (str(tiny_dataset / "other.jpg"), str(tiny_dataset))
    app = AppTest.from_function(page, args=arguments).run(timeout=PATIENCE_S)
    assert not app.button
