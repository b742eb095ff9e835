"""A small training tells what larger ones take."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dashboard.training.estimate import estimate_seconds, seconds_per_pass
from dashboard.training.measuring import TrainingSpeed, speed_of
from dashboard.training.runs import Run
from har_core.errors import HarError


class StillNetwork:
    """Takes no time that the clock tells."""

    manifest = SimpleNamespace(input_size=8)

    def __init__(self, folder: Path) -> None: ...

    def run(self, pixels: np.ndarray) -> None: ...


def epoch(stage: str, seconds: float) -> dict:
    return {"event": "epoch", "stage": stage, "seconds": seconds}


def test_compiling_is_no_part_of_a_photographs_share() -> None:
    tuning = [epoch("fine-tuning", seconds) for seconds in (12.0, 2.0, 15.0, 4.0)]
    speed = speed_of([{"event": "started"}, epoch("head", 0.5), *tuning], n=100, seconds=60)
    assert (speed.small, speed.large) == (0.02, 0.04)
    assert speed.start == pytest.approx(60 - 2 * 2 - 2 * 4)
    # Those 100 photographs again, in the same epochs, take as long.
    assert speed.seconds(100, small_epochs=2, epochs=4) == pytest.approx(60)
    with pytest.raises(HarError, match="ended early"):
        speed_of(tuning[:2], n=100, seconds=60)


def test_other_work_of_the_machine_does_not_make_it_look_slow(tiny_models, monkeypatch) -> None:
    clock = itertools.accumulate([0.0, 9.0, 0.0, 0.4, 0.0, 5.0, 0.0, 9.0])  # starts and ends
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("dashboard.training.estimate.FeatureNetwork", StillNetwork)
    assert seconds_per_pass.__wrapped__(str(tiny_models / "tiny"), "") == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("n", "known", "seconds", "source"),
    [
        (1000, 1000, 15 + 2 + 10, "measured"),
        (1000, 0, 15 + 2 + 20, "measured"),
        (10_000, 0, 15 + 20 + 200, "measured, later ones about 2 min"),
        (100_000, 100_000, 15 + 200 + 300, "measured"),  # compared with 10,000 at most
    ],
)
def test_a_quick_training_looks_at_all_once_more_than_is_known(
    tiny_models, monkeypatch, n, known, seconds, source
) -> None:
    monkeypatch.setattr("dashboard.training.estimate.seconds_per_pass", lambda *_: 0.01)
    monkeypatch.setattr("dashboard.training.estimate.known_features", lambda base: known)
    estimate = estimate_seconds("quick", tiny_models / "tiny", n, [])
    assert estimate.seconds == pytest.approx(seconds)
    assert estimate.source == source


def test_what_was_measured_beats_what_is_estimated(tiny_models, monkeypatch) -> None:
    base = tiny_models / "tiny"
    monkeypatch.setattr("dashboard.training.estimate.seconds_per_pass", lambda *_: 0.01)
    assert estimate_seconds("full", base, 1000, []).basis == "estimated"
    speed = TrainingSpeed(small=0.02, large=0.04, start=50.0)
    monkeypatch.setattr("dashboard.training.estimate.known_speed", lambda base: speed)
    seconds, basis, _ = estimate_seconds("full", base, 1000, [])
    assert basis == "measured"
    assert seconds == pytest.approx(50 + 800 * (9 * 0.02 + 5 * 0.04) + 1000 * 0.01)


def test_few_photographs_tell_what_many_take_though_they_were_learned_from_in_more_epochs(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_models / "tiny"
    run = Run("1", "small", "full", str(base), "here", 100)
    manifest = SimpleNamespace(training={"photographs": {"train": 80, "test": 20}})
    monkeypatch.setattr(Run, "manifest", lambda run: manifest)
    monkeypatch.setattr(Run, "seconds", 67.0)
    # 67 epochs of 100 photographs, where 10,000 get 14.
    seconds, basis, source = estimate_seconds("full", base, 10_000, [run])
    assert (basis, source) == ("run", "as the last full training here")
    assert seconds == pytest.approx(67 * 100 * 14 / 67)
