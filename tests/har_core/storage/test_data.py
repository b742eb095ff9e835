"""People's work lies in the data folder; what an older version left in the cache is moved there."""

import os
import subprocess
from pathlib import Path

import pytest

from har_core.errors import DatasetError
from har_core.storage.data import data_dir, work_dir

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "cache" / "evaluations" / "model"
    folder.mkdir(parents=True)
    (folder / "mine.parquet").write_bytes(b"old")
    return folder


def test_old_work_is_moved_once_with_its_folders(old: Path, tmp_path: Path) -> None:
    assert work_dir("evaluations") == tmp_path / "data" / "evaluations"
    assert (tmp_path / "data/evaluations/model/mine.parquet").read_bytes() == b"old"
    assert not (tmp_path / "cache" / "evaluations").exists()


def test_neither_old_nor_new_work_is_lost_when_both_have_one_name(
    old: Path, tmp_path: Path
) -> None:
    new = tmp_path / "data" / "evaluations" / "model"
    new.mkdir(parents=True)
    (new / "mine.parquet").write_bytes(b"new")
    work_dir("evaluations")
    assert (new / "mine.parquet").read_bytes() == b"new"
    assert (new / "mine-from-cache.parquet").read_bytes() == b"old"


def test_move_that_was_killed_is_finished(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "data" / "evaluations" / "model"
    new.mkdir(parents=True)
    (new / "mine.parquet").write_bytes(b"old")
    work_dir("evaluations")
    assert [path.name for path in new.iterdir()] == ["mine.parquet"]
    assert not old.exists()


def test_old_work_stays_where_the_data_folder_cannot_be_written(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(DatasetError, match="Set HAR_DATA_DIR"):
        work_dir("evaluations")
    assert (old / "mine.parquet").read_bytes() == b"old"


def test_data_folder_is_the_users_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_DATA_DIR", " ")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_dir().is_relative_to(tmp_path)
    assert data_dir().name == "har-dashboard"


def test_make_clean_deletes_no_data_folder() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    told = subprocess.run(
        ["make", "--dry-run", "clean"],
        cwd=PROJECT,
        env=clean | {"HAR_DATA_DIR": "/kept/data"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.startswith("rm ")
    deleted = set(told.split()[2:])
    assert deleted == {
        ".venv",
        ".venv-*",
        ".har_cache",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
    }
