"""Decisions survive, can be undone, never touch the originals, and end in a trainable table."""

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from har_core.dataset import decisions as decisions_module
from har_core.dataset.decision_tables import (
    cleaned_dataset,
    decisions_about,
    decisions_csv,
    new_labels,
    read_decisions_csv,
)
from har_core.dataset.decisions import (
    Decision,
    Decisions,
    cleaned_table,
    decide,
    decide_together,
    decisions_path,
    labels_csv,
    load_decisions,
    undo,
)
from har_core.dataset.files import DECISIONS_FILE
from har_core.dataset.table import load_dataset, open_dataset
from har_core.errors import DatasetError
from har_core.storage.checksums import sha256_of_photograph
from tests.drawing import photo_bytes, write_dataset


def cleaned_csv(folder: Path) -> str:
    dataset = open_dataset(folder)
    cleaned = cleaned_table(dataset.table, load_decisions(folder), dataset.unlisted)
    return labels_csv(cleaned, dataset.columns)


def test_decisions_are_kept_beside_the_dataset_and_survive(tiny_dataset: Path) -> None:
    decide(tiny_dataset, "exclude", ["running_0.jpg", "running_1.jpg"])
    decide(tiny_dataset, "relabel", ["sitting_0.jpg"], " clapping ")
    decisions = load_decisions(tiny_dataset)
    assert decisions.path == tiny_dataset / DECISIONS_FILE
    assert decisions.excluded == {"running_0.jpg", "running_1.jpg"}
    assert decisions.relabelled == {"sitting_0.jpg": "clapping"}


def test_undo_takes_back_one_step_after_another(tiny_dataset: Path) -> None:
    decide(tiny_dataset, "relabel", ["sitting_0.jpg"], "clapping")
    decide(tiny_dataset, "exclude", ["sitting_0.jpg", "running_0.jpg"])
    assert undo(tiny_dataset).relabelled == {"sitting_0.jpg": "clapping"}
    assert undo(tiny_dataset).current == {}
    assert undo(tiny_dataset).steps == ()


def test_a_decision_that_changes_nothing_leaves_no_step_to_undo(tiny_dataset: Path) -> None:
    for _ in range(2):  # two visitors, or a click after the first has not been seen to work
        decide(tiny_dataset, "relabel", ["sitting_0.jpg", "sitting_1.jpg"], "running")
        decide(tiny_dataset, "keep", ["running_0.jpg"])
    assert undo(tiny_dataset).current == {}
    decide(tiny_dataset, "exclude", ["running_0.jpg"])
    decide(tiny_dataset, "exclude", ["running_0.jpg", "running_1.jpg"])
    assert undo(tiny_dataset).excluded == {"running_0.jpg"}
    other = (tiny_dataset / "train" / "sitting_0.jpg").read_bytes()
    (tiny_dataset / "train" / "running_0.jpg").write_bytes(other)
    assert len(decide(tiny_dataset, "exclude", ["running_0.jpg"]).steps) == 2
    for label in ("sitting", "running"):
        last = decide(tiny_dataset, "relabel", ["running_2.jpg"], label).relabelled
        assert last == {"running_2.jpg": label}


def test_a_table_without_any_label_is_kept_until_the_review_gives_one(tiny_dataset: Path) -> None:
    table = tiny_dataset / "train.csv"
    table.write_text("\n".join(line.split(",")[0] for line in table.read_text().splitlines()))
    cleaned, said = cleaned_dataset(open_dataset(tiny_dataset))
    assert (len(cleaned.rows), cleaned.labelled, "Left out" in said) == (12, False, False)
    decide(tiny_dataset, "relabel", ["sitting_0.jpg"], "running")
    cleaned, said = cleaned_dataset(open_dataset(tiny_dataset))
    assert (len(cleaned.rows), cleaned.labelled) == (1, True)
    assert said.endswith("Left out: 11 rows without a label.")


def test_of_a_decision_about_some_of_its_photographs_each_keeps_its_own() -> None:
    step = Decision("exclude", ("a.jpg", "b.jpg"), sha256=("1", "2"))
    assert step.among({"b.jpg", "c.jpg"}).photographs == {"b.jpg": "2"}


@pytest.mark.parametrize(
    ("absent", "instead"),
    [("_lock", contextlib.nullcontext()), ("folder_to_oneself", contextlib.nullcontext)],
    ids=["processes", "threads where files know no locks"],
)
def test_those_who_decide_or_undo_at_once_lose_nothing(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch, absent: str, instead: Any
) -> None:
    def slow(folder: Path) -> decisions_module.Decisions:
        found = load_decisions(folder)
        time.sleep(0.01)
        return found

    monkeypatch.setattr(decisions_module, absent, instead)
    monkeypatch.setattr(decisions_module, "load_decisions", slow)
    names = [f"{label}_{n}.jpg" for label in ("running", "sitting") for n in range(2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: decide(tiny_dataset, "exclude", [name]), names))
        assert load_decisions(tiny_dataset).excluded == set(names)
        list(pool.map(undo, [tiny_dataset] * 3))
    assert len(load_decisions(tiny_dataset).steps) == 1


def test_keep_takes_back_a_single_photograph(tiny_dataset: Path) -> None:
    decide(tiny_dataset, "exclude", ["running_0.jpg", "running_1.jpg"])
    assert decide(tiny_dataset, "keep", ["running_0.jpg"]).excluded == {"running_1.jpg"}


def test_cleaned_table_is_accepted_as_a_dataset_table(tiny_dataset: Path, tmp_path: Path) -> None:
    original = (tiny_dataset / "train.csv").read_bytes()
    decide(tiny_dataset, "exclude", ["running_0.jpg"])
    decide(tiny_dataset, "relabel", ["sitting_0.jpg"], "clapping")
    csv = tmp_path / "cleaned.csv"
    csv.write_text(cleaned_csv(tiny_dataset))
    table = load_dataset(tiny_dataset, csv).set_index("filename")
    assert len(table) == 11
    assert "running_0.jpg" not in table.index
    assert table.loc["sitting_0.jpg", "label"] == "clapping"
    assert table["path"].notna().all()
    assert (tiny_dataset / "train.csv").read_bytes() == original


def test_relabelled_photograph_that_was_not_listed_is_added(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    photos = tiny_dataset / "train"
    (photos / "new.jpg").write_bytes((photos / "running_0.jpg").read_bytes())
    decide(tiny_dataset, "relabel", ["new.jpg"], "running")
    csv = tmp_path / "cleaned.csv"
    csv.write_text(cleaned_csv(tiny_dataset))
    assert load_dataset(tiny_dataset, csv).iloc[-1]["filename"] == "new.jpg"


def test_a_label_is_new_only_if_the_table_does_not_give_it(tmp_path: Path) -> None:
    rows = [("a", "run"), ("b", "sit"), ("c", "run"), ("c", "sit"), ("d", ""), ("e", "sit")]
    table = pd.DataFrame(rows, columns=["filename", "label"])
    step = Decision("relabel", ("a", "b", "c", "d", "unlisted", "gone"), "run")
    relabelled, labelled = new_labels(table, Decisions(tmp_path, (step,)), {"unlisted"})
    assert relabelled == ["b", "c"]  # of c, one of two rows says otherwise
    assert labelled == ["d", "unlisted"]


def test_a_photograph_in_two_rows_is_excluded_once(tiny_dataset: Path) -> None:
    with (tiny_dataset / "train.csv").open("a") as table:
        table.write("running_0.jpg,running\n")
    decide(tiny_dataset, "exclude", ["running_0.jpg", "running_1.jpg"])
    cleaned, said = cleaned_dataset(open_dataset(tiny_dataset))
    assert (said, len(cleaned.rows)) == ("0 relabelled, 2 excluded by the review.", 10)


def present(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of_photograph(str(path)) for path in (folder / "train").iterdir()}


def test_decision_belongs_to_a_photograph_not_to_the_next_of_its_name(tiny_dataset: Path) -> None:
    photos = tiny_dataset / "train"
    first = (photos / "running_0.jpg").read_bytes()
    decide(tiny_dataset, "exclude", ["running_0.jpg", "running_1.jpg"])
    (photos / "running_0.jpg").write_bytes(photo_bytes("running", 77))
    decisions = load_decisions(tiny_dataset).about(present(tiny_dataset))
    assert decisions.excluded == {"running_1.jpg"}
    assert decisions.outdated == {"running_0.jpg"}
    decide(tiny_dataset, "relabel", ["running_0.jpg"], "sitting")
    decisions = load_decisions(tiny_dataset).about(present(tiny_dataset))
    assert decisions.relabelled == {"running_0.jpg": "sitting"}
    assert not decisions.outdated
    (photos / "running_0.jpg").write_bytes(first)
    decisions = load_decisions(tiny_dataset).about(present(tiny_dataset))
    assert decisions.excluded == {"running_0.jpg", "running_1.jpg"}


def test_what_was_taken_back_of_another_photograph_still_holds_for_the_first(
    tiny_dataset: Path,
) -> None:
    path = tiny_dataset / "train" / "running_0.jpg"
    first = path.read_bytes()
    decide(tiny_dataset, "exclude", ["running_0.jpg"])
    path.write_bytes(photo_bytes("running", 77))
    decide(tiny_dataset, "relabel", ["running_0.jpg"], "sitting")
    decide(tiny_dataset, "keep", ["running_0.jpg"])
    dataset = open_dataset(tiny_dataset)
    assert not decisions_about(dataset).current
    path.write_bytes(first)
    assert decisions_about(dataset).excluded == {"running_0.jpg"}


def test_decision_means_what_was_looked_at_not_what_has_its_name_meanwhile(
    tiny_dataset: Path,
) -> None:
    seen = present(tiny_dataset)
    (tiny_dataset / "train" / "running_0.jpg").write_bytes(photo_bytes("running", 77))
    decide(tiny_dataset, "exclude", ["running_0.jpg", "running_1.jpg"], sha256=seen)
    decisions = load_decisions(tiny_dataset).about(present(tiny_dataset))
    assert (decisions.excluded, decisions.outdated) == ({"running_1.jpg"}, {"running_0.jpg"})


def test_decision_holds_for_one_copy_and_for_a_file_that_is_missing(tiny_dataset: Path) -> None:
    photos = tiny_dataset / "train"
    (photos / "copy.jpg").write_bytes((photos / "running_0.jpg").read_bytes())
    decide(tiny_dataset, "exclude", ["copy.jpg", "running_1.jpg", "never_there.jpg"])
    (photos / "running_1.jpg").unlink()
    decisions = load_decisions(tiny_dataset).about(present(tiny_dataset))
    assert decisions.excluded == {"copy.jpg", "running_1.jpg", "never_there.jpg"}


def test_decisions_of_version_1_0_hold_for_their_names(tiny_dataset: Path) -> None:
    (tiny_dataset / DECISIONS_FILE).write_text(
        '{"format": 1, "steps": [{"action": "exclude", "filenames": ["running_0.jpg"]}]}'
    )
    decide(tiny_dataset, "exclude", ["running_1.jpg"])
    decisions = load_decisions(tiny_dataset).about(present(tiny_dataset))
    assert decisions.excluded == {"running_0.jpg", "running_1.jpg"}


def test_decision_opens_no_file_outside_the_dataset(tiny_dataset: Path) -> None:
    (step,) = decide(tiny_dataset, "exclude", ["../train.csv"]).steps
    assert step.sha256 == ("",)


def test_relabelled_photograph_that_is_gone_is_not_added(tiny_dataset: Path) -> None:
    new = tiny_dataset / "train" / "new.jpg"
    new.write_bytes(photo_bytes("running"))
    decide(tiny_dataset, "relabel", ["new.jpg"], "running")
    new.unlink()
    assert "new.jpg" not in cleaned_csv(tiny_dataset)


def test_cleaned_table_keeps_its_other_columns(tiny_dataset: Path) -> None:
    csv = tiny_dataset / "train.csv"
    table = pd.read_csv(csv)
    table.insert(0, "split", ["train", "test", "validation"] * 4)
    table["offset"], table["A note"] = -1.5, "=cmd"
    table.rename(columns={"filename": "Photo", "label": "Label"}).to_csv(csv, index=False)
    photos = tiny_dataset / "train"
    (photos / "new.jpg").write_bytes((photos / "running_0.jpg").read_bytes())
    decide(tiny_dataset, "exclude", ["clapping_0.jpg"])
    decide(tiny_dataset, "relabel", ["clapping_1.jpg", "new.jpg"], "sitting")
    lines = cleaned_csv(tiny_dataset).splitlines()
    assert lines[0] == "split,Photo,Label,offset,A note"
    assert lines[1] == "test,clapping_1.jpg,sitting,-1.5,'=cmd"
    assert lines[-1] == ",new.jpg,sitting,,"
    assert len(lines) == 13


@pytest.mark.parametrize("name", ["=1+1.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg"])
def test_filename_that_looks_like_a_formula_is_neutral_but_still_found(
    tiny_dataset: Path, tmp_path: Path, name: str
) -> None:
    photos = tiny_dataset / "train"
    (photos / "running_0.jpg").rename(photos / name)
    csv = tmp_path / "cleaned.csv"
    csv.write_text(labels_csv(pd.DataFrame({"filename": [name], "label": ["=running"]})))
    assert not any(line.startswith(tuple("=+-@")) for line in csv.read_text().splitlines())
    table = load_dataset(tiny_dataset, csv)
    assert table["path"].notna().all()
    assert list(table["label"]) == ["'=running"]


def test_labels_that_differ_by_an_apostrophe_alone_stay_apart_however_often_they_are_written(
    tmp_path: Path,
) -> None:
    labels = ["=sum", "'=sum", "sitting", "'=sum"]
    table = pd.DataFrame({"filename": list("abcd"), "label": labels})
    once = labels_csv(table)
    again = pd.read_csv(StringIO(once), dtype=str)
    assert again["label"].nunique() == 3
    assert labels_csv(again) == once


def test_read_only_dataset_keeps_decisions_in_the_data_folder(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "data"))
    tiny_dataset.chmod(0o555)
    try:
        decide(tiny_dataset, "exclude", ["running_0.jpg"])
        assert load_decisions(tiny_dataset).excluded == {"running_0.jpg"}
        assert decisions_path(tiny_dataset).is_relative_to(tmp_path / "data")
        assert not (tiny_dataset / DECISIONS_FILE).exists()
        assert not (tmp_path / "cache").exists()
    finally:
        tiny_dataset.chmod(0o755)


def test_decisions_outlive_that_their_dataset_becomes_writable(tiny_dataset: Path) -> None:
    tiny_dataset.chmod(0o555)
    decide(tiny_dataset, "exclude", ["running_0.jpg"])
    tiny_dataset.chmod(0o755)
    assert load_decisions(tiny_dataset).excluded == {"running_0.jpg"}
    assert decide(tiny_dataset, "exclude", ["running_1.jpg"]).excluded == {
        "running_0.jpg",
        "running_1.jpg",
    }


def test_decisions_of_version_1_0_are_found_in_the_cache_and_moved(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    tiny_dataset.chmod(0o555)
    decide(tiny_dataset, "exclude", ["running_0.jpg"])
    kept = decisions_path(tiny_dataset)
    old = tmp_path / "cache" / "decisions" / kept.name
    old.parent.mkdir(parents=True)
    kept.rename(old)
    assert load_decisions(tiny_dataset).excluded == {"running_0.jpg"}
    assert kept.is_file()
    assert not old.parent.exists()
    tiny_dataset.chmod(0o755)


@pytest.mark.parametrize(
    "content",
    [
        "not JSON",
        "[]",
        '{"format": 2, "steps": []}',
        '{"format": 1, "steps": [{"action": "delete", "filenames": []}]}',
        '{"format": 1, "steps": [{"action": "relabel", "filenames": ["a"], "label": ""}]}',
        '{"format": 1, "steps": [{"action": "exclude", "filenames": ["a"], "sha256": ["A", "B"]}]}',
    ],
)
def test_damaged_file_is_an_error_and_stays_as_it_is(tiny_dataset: Path, content: str) -> None:
    path = tiny_dataset / DECISIONS_FILE
    path.write_text(content)
    with pytest.raises(DatasetError, match=DECISIONS_FILE):
        decide(tiny_dataset, "exclude", ["running_0.jpg"])
    assert path.read_text() == content


def test_empty_label_is_refused(tiny_dataset: Path) -> None:
    with pytest.raises(DatasetError, match="new label is empty"):
        decide(tiny_dataset, "relabel", ["running_0.jpg"], "  ")
    assert not (tiny_dataset / DECISIONS_FILE).exists()


def test_file_is_readable_json(tiny_dataset: Path) -> None:
    decide(tiny_dataset, "exclude", ["running_0.jpg"])
    (step,) = json.loads((tiny_dataset / DECISIONS_FILE).read_text())["steps"]
    assert step["action"] == "exclude"
    assert step["filenames"] == ["running_0.jpg"]
    assert step["time"].endswith("+00:00")


def test_a_confirmed_photograph_stays_as_it_is_and_counts_as_decided(tiny_dataset: Path) -> None:
    before = cleaned_csv(tiny_dataset)
    decide(tiny_dataset, "confirm", ["running_0.jpg"])
    decisions = load_decisions(tiny_dataset)
    assert decisions.confirmed == {"running_0.jpg"}
    assert set(decisions.current) == {"running_0.jpg"}
    assert cleaned_csv(tiny_dataset) == before
    assert decide(tiny_dataset, "keep", ["running_0.jpg"]).confirmed == set()


def test_what_was_decided_together_is_undone_together(tiny_dataset: Path) -> None:
    decide(tiny_dataset, "exclude", ["running_0.jpg"])
    steps = [
        Decision("relabel", ("sitting_0.jpg",), "clapping"),
        Decision("relabel", ("sitting_1.jpg",), "running"),
    ]
    assert len(decide_together(tiny_dataset, steps).relabelled) == 2
    assert len(load_decisions(tiny_dataset).last_together) == 2
    assert undo(tiny_dataset).excluded == {"running_0.jpg"}
    assert load_decisions(tiny_dataset).relabelled == {}
    assert undo(tiny_dataset).steps == ()
    assert undo(tiny_dataset).steps == ()


def test_decisions_move_to_another_machine_as_a_table(tiny_dataset: Path, tmp_path: Path) -> None:
    decide(tiny_dataset, "exclude", ["running_0.jpg", "=1.jpg"])
    decide(tiny_dataset, "relabel", ["sitting_0.jpg"], "=clapping")
    decide(tiny_dataset, "confirm", ["sitting_1.jpg"])
    decide(tiny_dataset, "exclude", ["sitting_2.jpg"])
    decide(tiny_dataset, "keep", ["sitting_2.jpg"])
    here = load_decisions(tiny_dataset)
    text = decisions_csv(here, {"running_0.jpg": "running"})
    assert "running_0.jpg,running,exclude,," in text
    assert "\n=" not in text and ",=" not in text
    table = tmp_path / "decisions.csv"
    table.write_text(text)
    there = write_dataset(tmp_path / "there")
    taken = decide_together(there, read_decisions_csv(table))
    assert (taken.excluded, taken.relabelled) == (here.excluded, here.relabelled)
    assert taken.confirmed == {"sitting_1.jpg"}
    # Of the same names, but other photographs: what was decided is not about them.
    for path in (there / "train").iterdir():
        path.write_bytes(photo_bytes("running", len(path.name), size=(64, 48)))
    taken = load_decisions(there).about(present(there))
    assert set(taken.current) == {"=1.jpg"}
    assert taken.outdated == {"running_0.jpg", "sitting_0.jpg", "sitting_1.jpg"}
    assert undo(there).steps == ()


def test_names_and_labels_with_apostrophes_of_their_own_are_taken_over_as_they_are(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    names = ["=1.jpg", "'=1.jpg", "''=1.jpg", "'a.jpg", "-1", "'-1", "'"]
    for label in ("=a", "'=a", "'a"):
        decide(tiny_dataset, "relabel", [f"{label}{name}" for name in names] + names, label)
    here = load_decisions(tiny_dataset)
    table = tmp_path / "decisions.csv"
    table.write_text(decisions_csv(here, {}))
    taken = decide_together(write_dataset(tmp_path / "there"), read_decisions_csv(table))
    assert taken.relabelled == here.relabelled


def test_table_of_decisions_needs_no_labels_and_is_told_what_it_lacks(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    table = tmp_path / "decisions.csv"
    table.write_text("filename,decision,new_label\nrunning_0.jpg,exclude,\n")
    assert decide_together(tiny_dataset, read_decisions_csv(table)).excluded == {"running_0.jpg"}
    table.write_text("name,decision,new_label\nrunning_0.jpg,exclude,\n")
    with pytest.raises(DatasetError, match="lacks the column filename; a table of decisions has"):
        read_decisions_csv(table)


def test_an_export_before_the_first_decision_is_taken_over_as_none(tiny_dataset: Path) -> None:
    table = tiny_dataset / "decisions.csv"
    table.write_text(decisions_csv(load_decisions(tiny_dataset), {}))
    assert read_decisions_csv(table) == []
    assert decide_together(tiny_dataset, read_decisions_csv(table)).steps == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("filename,label\na.jpg,run\n", "decision and new_label"),
        ("filename,label,decision,new_label\na.jpg,run,drop,\n", "a.jpg: 'drop'"),
        ("filename,label,decision,new_label\na.jpg,run,relabel, \n", "a.jpg: 'relabel'"),
    ],
)
def test_a_table_that_holds_no_decisions_is_refused(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DatasetError, match=named):
        read_decisions_csv(tmp_path / "table.csv")
    with pytest.raises(DatasetError, match=r"no .*none\.csv; a table of decisions has the columns"):
        read_decisions_csv(tmp_path / "none.csv")


def test_a_photograph_that_the_review_adds_is_in_the_split_of_its_folder(tmp_path: Path) -> None:
    for name in ("train/0.jpg", "train/1.jpg", "test/0.jpg", "test/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photo_bytes())
    (tmp_path / "train.csv").write_text("filename,label\ntrain/0.jpg,run\ntest/0.jpg,run\n")
    decide(tmp_path, "relabel", ["test/1.jpg", "1.jpg"], "sit")
    rows = cleaned_dataset(open_dataset(tmp_path))[0].rows.set_index("filename")
    assert rows["split"].to_dict() == {
        **{"0.jpg": "train", "1.jpg": "train"},
        **{"test/0.jpg": "test", "test/1.jpg": "test"},
    }
