import threading

import pytest

from dashboard.jobs.registry import Job, dismiss_job, find_jobs, start_job
from har_core.errors import DatasetError, HarError
from tests.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def forget_jobs():
    yield
    for job in find_jobs("test/"):
        job.cancel()
        job.wait(PATIENCE_S)
        dismiss_job(job)


def test_a_job_reports_progress_and_returns_its_result():
    go_on, reported = threading.Event(), threading.Event()

    def work(job: Job) -> str:
        job.report(0, 12)
        job.report(3, 12)
        reported.set()
        go_on.wait(PATIENCE_S)
        return "ready"

    job = start_job("test/progress", "Counting", work)
    assert reported.wait(PATIENCE_S)
    assert (job.state, job.fraction) == ("running", 0.25)
    assert job.seconds_left is not None
    assert find_jobs("test/") == [job]
    go_on.set()
    assert job.wait(PATIENCE_S)
    assert (job.state, job.result) == ("done", "ready")
    dismiss_job(job)
    assert find_jobs("test/") == []


def test_a_key_runs_once_at_a_time():
    go_on = threading.Event()
    first = start_job("test/once", "First", lambda job: go_on.wait(PATIENCE_S))
    assert start_job("test/once", "Second", lambda job: None) is first
    dismiss_job(first)
    assert find_jobs("test/once") == [first]
    assert find_jobs("test/onc") == [first]
    assert find_jobs("test/onc", exact=True) == []
    assert find_jobs("test/once", exact=True) == [first]
    go_on.set()
    first.wait(PATIENCE_S)
    again = start_job("test/once", "Third", lambda job: None)
    assert again is not first
    again.wait(PATIENCE_S)
    dismiss_job(first)  # in a tab that still shows it
    assert find_jobs("test/once") == [again]


def test_other_work_of_a_key_is_not_passed_over_in_silence():
    go_on = threading.Event()
    first = start_job("test/other", "Keeping beach", lambda job: go_on.wait(PATIENCE_S))
    with pytest.raises(HarError, match="Keeping beach"):
        start_job("test/other", "Keeping beach", lambda job: None, shared=False)
    assert find_jobs("test/other") == [first]
    go_on.set()
    first.wait(PATIENCE_S)
    again = start_job("test/other", "Keeping beach", lambda job: None, shared=False)
    assert again.wait(PATIENCE_S)


def test_cancelling_stops_the_work_at_its_next_step_and_cleans_up():
    started, cleaned = threading.Event(), threading.Event()

    def work(job: Job) -> None:
        try:
            step = 0
            while True:
                step += 1
                job.report(step, 0)
                started.set()
        finally:
            cleaned.set()

    job = start_job("test/cancel", "Endless", work)
    assert started.wait(PATIENCE_S)
    job.cancel()
    assert job.wait(PATIENCE_S)
    assert job.state == "cancelled"
    assert cleaned.is_set()
    assert not job.is_cancelling


def test_a_failure_is_told_in_words():
    def refuse(job: Job) -> None:
        raise DatasetError("There is no train.csv.")

    def crash(job: Job) -> None:
        raise ZeroDivisionError

    refused, crashed = start_job("test/1", "One", refuse), start_job("test/2", "Two", crash)
    assert refused.wait(PATIENCE_S)
    assert crashed.wait(PATIENCE_S)
    assert (refused.state, refused.error) == ("failed", "There is no train.csv.")
    assert crashed.state == "failed"
    assert "internal error" in crashed.error


def test_defect_is_logged_without_the_name_that_a_visitor_chose(caplog):
    key = "test/evaluate/my secret set"
    job = start_job(key, "Evaluating", lambda job: 1 // 0)
    job.wait(PATIENCE_S)
    assert "ZeroDivisionError" in caplog.text
    assert "my secret set" not in caplog.text


def test_time_left_is_told_at_the_pace_of_this_run(monkeypatch: pytest.MonkeyPatch):
    clock = iter([100.0, 102.0, 102.0, 110.0, 110.0])
    monkeypatch.setattr("dashboard.jobs.registry.time.monotonic", lambda: next(clock))
    job = Job("test/pace", "Looking")
    job.report_step("Looking", 5000, 10_000)  # known from before
    assert job.seconds_left is None
    job.report_step("Looking", 5100, 10_000)
    assert job.seconds_left == pytest.approx(2 / 100 * 4900)
    job.report_step("Comparing", 0, 5)
    assert (job.step, job.seconds_left) == ("Comparing", None)
    job.report_step("Comparing", 1, 5)
    assert job.seconds_left == pytest.approx(8 * 4)
