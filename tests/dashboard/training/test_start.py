"""What a training that a visitor starts learns from."""

from pathlib import Path

from dashboard.training import start
from har_core.dataset.decisions import decide
from har_core.dataset.table import load_dataset


def test_a_photograph_in_several_rows_is_counted_once(tiny_dataset: Path) -> None:
    with (tiny_dataset / "train.csv").open("a") as table:
        table.write("running_0.jpg,running\nrunning_1.jpg,running\n")
    decide(tiny_dataset, "exclude", ["running_0.jpg"])
    as_it_is, cleaned = start._lessons(str(tiny_dataset))
    assert (as_it_is.photographs, cleaned.photographs, cleaned.excluded) == (12, 11, 1)


def test_a_class_keeps_its_name_whatever_that_begins_with(tiny_dataset: Path, tmp_path: Path):
    table = tiny_dataset / "train.csv"
    text = table.read_text().replace(",running", ",=sum").replace(",sitting", ",'=sum")
    table.write_text(text.replace("running_0", "=0"))
    (tiny_dataset / "train" / "running_0.jpg").rename(tiny_dataset / "train" / "=0.jpg")
    decide(tiny_dataset, "exclude", ["clapping_0.jpg"])
    as_it_is, cleaned = start._lessons(str(tiny_dataset))
    for lesson, n in ((as_it_is, 12), (cleaned, 11)):
        (tmp_path / "table.csv").write_text(lesson.csv)
        rows = load_dataset(tiny_dataset, tmp_path / "table.csv")
        assert len(rows) == n and rows["path"].notna().all()
        assert set(rows["label"]) == {"=sum", "'=sum", "clapping"}
