import contextlib
import io
import signal

import pytest

from har_core.cli import terminal
from har_core.cli.terminal import ended_by_interrupt, make_table, progress_bar, stderr, stdout


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
