"""What the file of a job says while it is at work."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from har_core.errors import DatasetError
from har_core.scale import status
from har_core.scale.jobs import Where, run_job
from har_core.scale.results import Results, ResultsInfo
from har_core.scale.scoring import Scoring
from har_core.scale.sources.items import Item
from har_core.scale.status import JobStatus, StatusWriter, read_status
from tests.made_results import write_results
from tests.patience import PATIENCE_S


def test_job_that_lists_for_long_is_known_to_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "BEAT_S", 0.01)
    write_results(tmp_path, 10)
    results = Results(str(tmp_path))
    seen: list[JobStatus] = []

    def list_slowly() -> Iterator[Item]:
        end = time.monotonic() + PATIENCE_S
        while len({s.updated for s in seen}) < 3 and time.monotonic() < end:
            found = read_status(results)
            assert found is not None
            seen.append(found)
            time.sleep(0.005)
        yield from ()

    mine = JobStatus("1", "local", 0, "made_up", ["/photos"])
    work = Scoring(to=str(tmp_path), bundle="")
    run_job(lambda whole: list_slowly(), results, work, Where(), mine, "Scoring")
    assert len({s.updated for s in seen}) == 3
    assert {s.state for s in seen} == {"listing"}
    ended = read_status(results)
    assert ended is not None and ended.state == "done"


def test_rate_is_that_of_the_last_minute_also_when_nothing_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(status.time, "monotonic", lambda: clock[0])
    mine = JobStatus("1", "local", 1, "made_up", ["/photos"], total=100)
    writer = StatusWriter(Results(str(tmp_path)), mine)
    for done in (0, 40, 40, 30):  # what a worker had done that died counts no more
        writer.advance(done, 0)
        clock[0] += 40
    assert (mine.rate, mine.remaining_s) == (0.0, None)
    writer.advance(70, 0)
    assert mine.rate == 1.0 and mine.remaining_s == 30.0
    writer.write("stopped")
    assert mine.remaining_s is None


def test_folder_is_of_a_job_at_work_or_with_rows(tmp_path: Path) -> None:
    results = Results(str(tmp_path))
    mine = ResultsInfo("mine", "0" * 64, ("a", "b"), 0, "2026-01-01T00:00:00+00:00")
    other = dataclasses.replace(mine, model="other", fingerprint="1" * 64)
    results.create(mine)
    writer = StatusWriter(results, JobStatus("1", "local", 1, "mine", ["/photos"]))
    writer.write("running")
    with pytest.raises(DatasetError, match="holds answers of 'mine'"):
        results.create(other)
    writer.write("failed")  # it never wrote a row
    assert results.create(other) == other == results.read_info()


def test_part_that_a_server_did_not_give_is_not_to_be_deleted_at_once(tmp_path: Path) -> None:
    write_results(tmp_path, 3)
    results = Results(str(tmp_path))
    (tmp_path / results.parts()[0].name).write_bytes(b"nothing")
    (part,) = results.parts()
    for is_local, todo in ((True, "Delete it"), (False, "Try again; if it is damaged, delete it")):
        results.is_local = is_local
        with pytest.raises(DatasetError, match=f"^Cannot read .*{todo} and score again"):
            results.read_part(part)
