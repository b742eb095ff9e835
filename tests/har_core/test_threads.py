"""Only cores that may be used count, and limits of threads that overlap leave none behind."""

import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from har_core.threads import cores, limited_threads


def threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info()]


def test_only_cores_that_may_be_used_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3, 9}, raising=False)
    assert cores() == 3


def test_overlapping_limits_are_all_taken_back() -> None:
    before = threads()
    first, second = limited_threads(1), limited_threads(1)
    first.__enter__()
    second.__enter__()
    assert set(threads()) == {1}
    first.__exit__(None, None, None)
    assert set(threads()) == {1}
    second.__exit__(None, None, None)
    assert threads() == before
