"""A file's sha256 is computed once, and again when the file is another."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from har_core.storage import checksums
from har_core.storage.checksums import sha256_of_files


def test_files_that_are_not_there_have_no_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    paths = [str(path), None, str(tmp_path / "gone.jpg"), str(tmp_path), "zero\0byte"]
    assert sha256_of_files(paths) == [sha256(b"one").hexdigest(), "", "", "", ""]


def test_a_file_is_read_again_only_after_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def count(path: str) -> str:
        read.append(path)
        return sha256(Path(path).read_bytes()).hexdigest()

    monkeypatch.setattr(checksums, "sha256_of_file", count)
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    assert sha256_of_files([str(path)]) == sha256_of_files([str(path)])
    assert len(read) == 1
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert sha256_of_files([str(path)]) == [sha256(b"two").hexdigest()]
    assert len(read) == 2


def test_progress_counts_every_file() -> None:
    steps: list[tuple[int, int]] = []
    sha256_of_files([None] * 600, lambda what, done, total: steps.append((done, total)))
    assert steps == [(256, 600), (512, 600), (600, 600)]
