import contextlib
import io
import signal

import pytest

from har_core.cli import terminal
from har_core.cli.datasets import as_measured, as_reviewed
from har_core.cli.review import review
from har_core.cli.terminal import ended_by_interrupt, make_table, progress_bar, stderr, stdout
from har_core.dataset.table import open_dataset
from har_core.storage import checksums
from har_core.storage.checksums import sha256_of_photograph


@pytest.fixture(autouse=True)
def other_stream():
    """Forget the console, which is of the stream that it saw first, before and afterwards."""
    terminal._console.cache_clear()
    yield
    terminal._console.cache_clear()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream, *reports):
    with contextlib.redirect_stderr(stream), progress_bar() as report:
        for what in reports:
            report(*what)
    return stream.getvalue()


def test_a_terminal_sees_what_is_done_and_of_how_much(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    reports = [("Predicting", 1, 3), ("Predicting", 3, 3), ("Explaining", 1, 7)]
    text = shown(Terminal(), *reports)
    assert "Predicting" in text
    assert "Explaining" in text
    assert "1/7" in text


def test_photographs_are_never_told_apart_in_silence(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(checksums, "_CHUNK", 1)
    read = open_dataset(tiny_dataset)
    sha256 = sha256_of_photograph(read.rows["path"].iloc[-1])
    table = tmp_path / "decisions.csv"
    found_by_content = f"uri,decision,new_label,sha256\ns3://b/a.jpg,exclude,,{sha256}\n"
    found_by_name = "filename,decision,new_label\nrunning_1.jpg,exclude,\nsitting_1.jpg,,running\n"
    for rows, command in (
        (found_by_content, lambda: review(tiny_dataset, import_file=table)),
        (found_by_name, lambda: review(tiny_dataset, import_file=table)),
        ("", lambda: as_reviewed(read)),
        ("", lambda: as_measured(read, cleaned=False)),
    ):
        table.write_text(rows)
        with contextlib.redirect_stderr(Terminal()) as stream:
            command()
        assert "Telling photographs apart" in stream.getvalue()
        terminal._console.cache_clear()


def test_who_was_told_of_sigterm_before_is_again_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), ended_by_interrupt("Interrupted."):
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_done_in_one_step_has_no_bar():
    assert shown(Terminal(), ("Predicting", 1, 1)) == ""


def test_a_pipe_gets_no_progress():
    assert shown(io.StringIO(), ("Predicting", 1, 3)) == ""


def test_a_message_is_no_markup_and_is_not_broken_into_lines():
    with contextlib.redirect_stderr(io.StringIO()) as stream:
        stderr.print(f"Wrote {'a' * 90}/[red]model.onnx")
    assert stream.getvalue() == f"Wrote {'a' * 90}/[red]model.onnx\n"


def test_a_narrow_terminal_cuts_off_no_name_and_no_number(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    table = make_table("photograph", "action", "confidence")
    table.add_row("holiday/[b]2026/:dog:_0001.jpg", "listening_to_music", "97.3%")
    stdout().print(table)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert "".join(row.split("  ")[0].strip() for row in rows) == "holiday/[b]2026/:dog:_0001.jpg"
    assert "…" not in "".join(rows)
