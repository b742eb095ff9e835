"""Uploaded datasets are kept whole or not at all, under names that stay in their folder."""

import io
import os
import time
import zipfile
from pathlib import Path

import pytest

from har_core.dataset.decisions import decide
from har_core.dataset.kept import keep_dataset, kept_datasets, kept_name, remove_dataset
from har_core.dataset.table import load_dataset, open_dataset
from har_core.errors import DatasetError, UnclearTableError
from har_core.storage.data import data_dir
from tests.drawing import photo_bytes


def zipped(**entries: bytes) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer


def photographs() -> io.BytesIO:
    table = b"filename,label\na.jpg,running\nb.jpg,sitting\n"
    pictures = {f"train/{n}.jpg": photo_bytes("running", i) for i, n in enumerate("ab")}
    return zipped(**{"train.csv": table, **pictures})


def test_a_kept_dataset_is_opened_and_removed_with_its_decisions(tmp_path: Path) -> None:
    steps: list[tuple] = []
    folder = keep_dataset(photographs(), "my own", progress=lambda *step: steps.append(step))
    assert steps[-1] == ("Unpacking", 3, 3)
    assert kept_datasets() == {"my own": folder}
    assert kept_name(folder) == "my own"
    assert kept_name(tmp_path) is None
    assert load_dataset(folder)["label"].tolist() == ["running", "sitting"]
    decide(folder, "exclude", ["a.jpg"])
    with pytest.raises(DatasetError, match="already"):
        keep_dataset(photographs(), "my own")
    remove_dataset("my own")
    remove_dataset("my own")
    assert kept_datasets() == {}
    assert list((data_dir() / "datasets").iterdir()) == []


def test_a_dataset_whose_columns_are_unclear_is_kept_for_somebody_to_choose_them() -> None:
    table = b"Bild;Was macht die Person?\na.jpg;running\n"
    folder = keep_dataset(zipped(**{"t.csv": table, "a.jpg": photo_bytes("running")}), "odd")
    with pytest.raises(UnclearTableError):
        load_dataset(folder)
    columns = {"filename": "Bild", "label": "Was macht die Person?"}
    assert open_dataset(folder, columns=columns).rows["label"].tolist() == ["running"]


@pytest.mark.parametrize("name", ["", "..", "../a", "a/b", ".a", "a.", "a ", " a", "a  b"])
def test_names_that_are_no_folders_are_refused(name: str) -> None:
    with pytest.raises(DatasetError, match="cannot be"):
        keep_dataset(photographs(), name)
    assert kept_datasets() == {}


@pytest.mark.parametrize("archive", [b"no zip", zipped(**{"../a.jpg": b"x"}).getvalue()])
def test_of_an_unusable_archive_nothing_is_left(archive: bytes) -> None:
    with pytest.raises(DatasetError):
        keep_dataset(io.BytesIO(archive), "bad")
    assert list((data_dir() / "datasets").iterdir()) == []


def test_what_a_kill_left_behind_goes_after_a_day() -> None:
    home = data_dir() / "datasets"
    for name, age_s in ((".unpacking-old", 2 * 86_400), (".unpacking-now", 0)):
        (home / name / "train").mkdir(parents=True)
        then = time.time() - age_s
        os.utime(home / name, (then, then))
    # As one that somebody else removes just then.
    (home / ".removed-gone").symlink_to(home / "nowhere")
    keep_dataset(photographs(), "new")
    assert {path.name for path in home.iterdir()} == {".unpacking-now", ".removed-gone", "new"}


def test_what_is_cancelled_leaves_nothing() -> None:
    def cancel(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep_dataset(photographs(), "cancelled", progress=cancel)
    assert list((data_dir() / "datasets").iterdir()) == []
