"""A file's sha256 is computed once, and again when the file is another."""

import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from har_core.errors import DatasetError
from har_core.storage import checksums
from har_core.storage.checksums import digests_of, sha256_of_files
from har_core.storage.names import storable


def test_files_that_are_not_there_have_no_checksum(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    Path(path).write_bytes(b"one")
    paths = [storable(path), None, str(tmp_path / "gone.jpg"), str(tmp_path), "zero\0byte"]
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
    path.write_bytes(b"three")
    os.utime(path, ns=(1, 1))
    assert sha256_of_files([str(path)]) == [sha256(b"three").hexdigest()]


def test_progress_counts_every_file() -> None:
    steps: list[tuple[int, int]] = []
    sha256_of_files([None] * 600, lambda what, done, total: steps.append((done, total)))
    assert steps == [(256, 600), (512, 600), (600, 600)]


SUMS = [sha256(bytes([i])).hexdigest() for i in range(4)]
BEGINNINGS = [bytes.fromhex(text[:16]) for text in SUMS]


def test_digests_are_the_beginnings_of_checksums_in_whatever_pieces_these_come() -> None:
    given = pa.array(SUMS)
    assert digests_of(given.slice(1)).tobytes() == b"".join(BEGINNINGS[1:])
    assert digests_of(pa.chunked_array([given[:3], given[3:]])).tobytes() == b"".join(BEGINNINGS)
    with_null = digests_of(pa.array([SUMS[0], None, SUMS[1].upper()]).slice(1))
    assert with_null.tobytes() == bytes(8) + BEGINNINGS[1]
    assert digests_of(pa.array([], pa.null())).dtype == np.uint64


@pytest.mark.parametrize("text", ["f" * 63, "f" * 128, "z" * 64, "é" * 32, " " * 64])
def test_what_is_no_checksum_is_refused(text: str) -> None:
    with pytest.raises(DatasetError, match="64 hexadecimal digits"):
        digests_of(pa.array([SUMS[0], text]))
