"""Work in a process of its own leaves the interpreter free, and can be ended at any time."""

import multiprocessing
import os
import time

import pytest

from dashboard.jobs.own_process import run_apart
from dashboard.jobs.registry import JobCancelled
from har_core.errors import DatasetError, HarError


def double(number, *, progress):
    progress("Doubling", 1, 1)
    return 2 * number, os.getpid(), os.environ.get("HAR_CACHE_DIR"), os.nice(0)


def refuse(*, progress):
    raise DatasetError("There is no such folder.")


def break_down(*, progress):
    return 1 / 0


def die(*, progress):
    os._exit(9)


def never_end(*, progress):
    progress("Arranging", 0, 1)
    while True:
        pass


def test_result_comes_from_another_process_that_lets_pages_go_first(monkeypatch, tmp_path):
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path))
    told, daemons = [], []

    def progress(*step):
        told.append(step)
        daemons.extend(child.daemon for child in multiprocessing.active_children())

    result, pid, cache, nice = run_apart(double, 21, progress=progress)
    assert result == 42
    assert pid != os.getpid()
    assert cache == str(tmp_path)  # set after this process began
    assert nice > os.nice(0)
    assert ("Doubling", 1, 1) in told
    assert daemons and all(daemons)  # so that a server that ends does not wait for it


def test_a_refusal_is_told_as_it_is():
    with pytest.raises(HarError, match=r"There is no such folder\."):
        run_apart(refuse, progress=print)


def test_a_defect_comes_with_its_traceback():
    with pytest.raises(RuntimeError, match=r"break_down[\s\S]*ZeroDivisionError"):
        run_apart(break_down, progress=print)


def test_a_process_that_ends_by_itself_says_so():
    with pytest.raises(HarError, match=r"exit code 9.*Start it again"):
        run_apart(die, progress=print)


def test_work_that_reports_nothing_is_cancelled_all_the_same():
    calls = []

    def cancel(*step):
        calls.append(step)
        if len(calls) == 3:  # the second and third while it is silent
            raise JobCancelled("Arranging")

    start = time.monotonic()
    with pytest.raises(JobCancelled):
        run_apart(never_end, progress=cancel)
    assert calls == [("Arranging", 0, 1)] * 3
    assert time.monotonic() - start < 30
