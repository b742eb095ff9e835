"""Only cores that may be used count, and limits of threads that overlap leave none behind."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from har_core import onnx_session
from har_core import threads as module
from har_core.analysis.suspects import fit_regression
from har_core.evaluation.answers import fit_rules
from har_core.threads import cores, limited_threads
from har_core.training.quick.head import fit_linear_head


def threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info()]


def test_only_cores_that_may_be_used_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3, 9}, raising=False)
    monkeypatch.setattr(module, "_CONTROL_GROUP", Path("nowhere"))
    assert cores() == 3


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 8),
        ({"cpu.max": ""}, 8),
        ({"cpu.max": "200000 0"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "300000\n"}, 8),
    ],
)
def test_a_containers_share_of_the_cores_counts(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(module, "_CONTROL_GROUP", tmp_path)
    assert cores() == expected


@pytest.mark.parametrize(("allowed", "asked", "expected"), [(2, 0, 2), (2, 1, 1), (8, 0, 0)])
def test_a_network_takes_no_threads_for_cores_that_the_process_may_not_use(
    allowed: int, asked: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: list[onnxruntime.SessionOptions] = []
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(onnx_session, "cores", lambda: allowed)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda _, options, **__: sessions.append(options)
    )
    onnx_session.open_session(b"", threads=asked)
    assert sessions[0].intra_op_num_threads == expected
    # Without it, products of 8 bits saturate on processors that a test seldom runs on.
    assert sessions[0].get_session_config_entry("session.x64quantprecision") == "1"


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


def test_of_overlapping_limits_the_smallest_holds() -> None:
    with threadpool_limits(4), limited_threads(3):
        with limited_threads(1):
            assert set(threads()) == {1}
        assert set(threads()) == {3}


LABELS = np.arange(200) % 2
NUMBERS = np.random.default_rng(0).random((200, 8), dtype=np.float32)


@pytest.mark.parametrize(
    "fit",
    [
        lambda: fit_regression(NUMBERS, LABELS.astype(str)),
        lambda: fit_linear_head(NUMBERS, LABELS),
        lambda: fit_rules(LABELS, np.tile([0.7, 0.3], (200, 1)), "validation"),
    ],
    ids=["labels", "head", "answers"],
)
def test_a_regression_is_fitted_on_one_thread(
    fit: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    real = LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", lambda *of: used.extend(threads()) or real(*of))
    with threadpool_limits(2):
        fit()
    assert set(used) == {1}
