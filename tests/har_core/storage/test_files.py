"""What a person names as an output is written whole, and nothing but a file is replaced."""

import os
import threading
from pathlib import Path

import pytest

from har_core.cli.datasets import check_outputs
from har_core.cli.terminal import write_output
from har_core.errors import HarError
from har_core.storage import files
from har_core.storage.files import write_atomically


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "answers.csv"
    write_atomically(path, b"old")

    def fail(path: Path, content: bytes) -> None:
        path.write_bytes(content[:1])
        raise OSError("No space left on device")

    monkeypatch.setattr(files, "write_synced", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    """As /dev/null, /dev/stdout and a shell's >(…) are."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_outputs([pipe])
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_output(str(pipe), "a,b\n")
    reader.join()
    assert read == [b"a,b\n"]
    assert pipe.is_fifo()


def test_a_terminal_is_written_to_and_stays_one() -> None:
    ours, theirs = os.openpty()
    try:
        device = Path(os.ttyname(theirs))
        check_outputs([device])
        write_atomically(device, b"result")
        assert os.read(ours, 100) == b"result"
        assert device.is_char_device()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_link_stays_one_and_leads_to_the_result(tmp_path: Path) -> None:
    (tmp_path / "2026.csv").write_text("old")
    (tmp_path / "latest.csv").symlink_to("2026.csv")
    write_output(str(tmp_path / "latest.csv"), "new")
    assert (tmp_path / "latest.csv").is_symlink()
    assert (tmp_path / "2026.csv").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_replaced_file_keeps_its_permissions_and_a_new_one_has_the_usual(tmp_path: Path) -> None:
    private = tmp_path / "private.json"
    private.write_text("old")
    private.chmod(0o600)
    before = os.umask(0o027)
    try:
        write_output(str(private), "new")
        write_output(str(tmp_path / "new.json"), "new")
    finally:
        os.umask(before)
    assert private.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o640


def test_what_replaces_a_private_file_is_never_readable_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private.json"
    private.write_text("old")
    private.chmod(0o400)
    modes: list[int] = []
    write = files.write_synced

    def written(path: Path, content: bytes) -> None:
        write(path, content)
        modes.append(path.stat().st_mode & 0o777)

    monkeypatch.setattr(files, "write_synced", written)
    write_atomically(private, b"new")
    assert modes == [0o600] and private.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("letter", ["n", "名"])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path, letter: str) -> None:
    name = letter * (255 // len(letter.encode()))
    write_output(str(tmp_path / name), "new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_socket_is_refused(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / "s"))
        with pytest.raises(HarError, match="is a disk or a socket"):
            check_outputs([tmp_path / "s"])
