"""What a run says of itself, and how others tell whether it is at work."""

import fcntl
import re
import threading
import time
from pathlib import Path

import pytest

from har_core.errors import DatasetError, HarError, LabelsError
from har_core.training.events import EventLog, is_running, read_events, recorded_run


def test_events_tell_how_a_run_ended_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "run" / "events.jsonl")
    with recorded_run(log, tmp_path / "runs", "mine"):
        log.progress("Reading", 0, 10)
        log.progress("Reading", 1, 10)  # too soon after the other
        log.progress("Reading", 10, 10)
    with log.path.open("a") as file:
        file.write('{"event": "prog')
    events = read_events(log.path)
    log = EventLog(log.path)  # of a process that goes on
    assert [e["event"] for e in events] == ["started", "progress", "progress", "finished"]
    assert events[-1]["model"] == "mine"
    with pytest.raises(DatasetError), recorded_run(log, tmp_path / "runs", "mine"):
        raise DatasetError("There is no dataset.")
    assert [e["event"] for e in read_events(log.path)[4:]] == ["started", "failed"]
    assert read_events(log.path)[-1]["error"] == "There is no dataset."
    assert not read_events(log.path)[-1]["for_good"]
    with pytest.raises(LabelsError), recorded_run(log, tmp_path / "runs", "mine"):
        raise LabelsError("There is a single class.")
    assert read_events(log.path)[-1]["for_good"]
    with pytest.raises(KeyboardInterrupt), recorded_run(log, tmp_path / "runs", "mine"):
        raise KeyboardInterrupt
    assert read_events(log.path)[-1]["event"] == "stopped"
    assert read_events(tmp_path / "none.jsonl") == []


def test_names_with_line_breaks_of_other_kinds_cost_no_event(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    error = "There is no dataset folder /photos/a\u2028b\x85c\nd\re."
    with pytest.raises(DatasetError), recorded_run(log, tmp_path / "runs", "mine"):
        raise DatasetError(error)
    assert read_events(log.path)[-1]["error"] == error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "not enough memory"),
        (
            OSError(28, "No space left on device", "/runs/a"),
            r"^No space left on device: /runs/a\.$",
        ),
        (OSError(28, "No space left on device"), r"^No space left on device\.$"),
        (ZeroDivisionError("secret"), "internal error; its log"),
    ],
)
def test_what_nobody_foresaw_is_told_in_words(tmp_path: Path, error: Exception, told: str) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    with pytest.raises(type(error)), recorded_run(log, tmp_path / "runs", "mine"):
        raise error
    assert re.search(told, read_events(log.path)[-1]["error"])
    assert "secret" not in log.path.read_text()


def test_a_device_is_not_read_and_a_full_one_is_named() -> None:
    log = EventLog("/dev/full")
    with pytest.raises(HarError, match=r"Cannot write /dev/full: No space left on device\."):
        log.write("started")


def test_looking_whether_a_run_is_at_work_disturbs_nobody(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    with log.path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as somebody else who looks
        assert not is_running(log.path)
        looked = threading.Thread(
            target=lambda: (time.sleep(0.1), fcntl.flock(file, fcntl.LOCK_UN))
        )
        looked.start()
        with recorded_run(log, tmp_path / "runs", "mine"):
            looked.join()
            assert is_running(log.path)
    assert not is_running(log.path)
    assert not is_running(tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()


def test_a_second_process_of_a_run_is_refused_and_says_nothing_in_its_name(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    with recorded_run(log, tmp_path / "runs", "mine"):
        second = recorded_run(EventLog(log.path), tmp_path / "runs", "mine")
        with pytest.raises(HarError, match="at work"), second:
            raise AssertionError("it began")
    assert [event["event"] for event in read_events(log.path)] == ["started", "finished"]
