"""People's work lies in the data folder; what an older version left in the cache is moved there."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from har_core.errors import DatasetError
from har_core.storage import data, files
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
    (new / "mine-from-cache.parquet").write_bytes(b"older")
    work_dir("evaluations")
    assert {path.name: path.read_bytes() for path in new.iterdir()} == {
        "mine.parquet": b"new",
        "mine-from-cache.parquet": b"older",
        "mine-from-cache-from-cache.parquet": b"old",
    }


def test_work_stays_where_one_folder_is_both(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "cache"))
    assert work_dir("evaluations") == tmp_path / "cache" / "evaluations"
    assert (old / "mine.parquet").read_bytes() == b"old"


def test_what_a_killed_writer_left_is_no_work(old: Path, tmp_path: Path) -> None:
    (old / ".mine.parquet.1a2b").write_bytes(b"half")
    work_dir("evaluations")
    new = tmp_path / "data" / "evaluations" / "model"
    assert [path.name for path in new.iterdir()] == ["mine.parquet"]


def test_what_another_process_has_moved_meanwhile_is_passed_over(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, content: bytes) -> None:
        files.write_atomically(path, content)
        (old / "mine.parquet").unlink()

    monkeypatch.setattr(data, "write_atomically", write)
    work_dir("evaluations")
    assert (tmp_path / "data/evaluations/model/mine.parquet").read_bytes() == b"old"


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


def test_old_work_stays_until_it_is_written_anew(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(data, "write_atomically", refuse)
    with pytest.raises(DatasetError, match="No space left on device"):
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
