"""Limits of threads that overlap leave none behind."""

import numpy as np
from threadpoolctl import threadpool_info

from har_core.threads import limited_threads


def threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info()]


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
