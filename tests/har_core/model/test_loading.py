import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from har_core.model import loading
from har_core.model.loading import load_model
from tests.drawing import photo_bytes, write_tiny_bundle
from tests.patience import PATIENCE_S


class SlowDisk:
    """Lets the bundle named ``slow`` load only once `go_on` is set; counts the loads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.loads = 0
        load_bundle = loading.load_bundle

        def load(path: Path):
            if path.name == "slow":
                self.loads += 1
                self.begun.set()
                assert self.go_on.wait(PATIENCE_S)
            return load_bundle(path)

        monkeypatch.setattr(loading, "load_bundle", load)


@pytest.fixture
def slow_disk(tiny_models, monkeypatch):
    write_tiny_bundle(tiny_models, "slow")
    return SlowDisk(monkeypatch)


def test_a_bundle_that_loads_slowly_does_not_delay_a_loaded_one(slow_disk):
    load_model("tiny")
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(load_model, "slow")
        try:
            assert slow_disk.begun.wait(PATIENCE_S)
            answer = pool.submit(lambda: load_model("tiny").predict(photo_bytes("running")))
            assert answer.result(PATIENCE_S / 4).action == "running"
            assert not slow.done()
        finally:
            slow_disk.go_on.set()
        assert slow.result(PATIENCE_S).name == "slow"


def test_a_bundle_that_several_ask_for_at_once_is_loaded_once(slow_disk):
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(load_model, "slow") for _ in range(4)]
        assert slow_disk.begun.wait(PATIENCE_S)
        slow_disk.go_on.set()
        assert len({id(future.result(PATIENCE_S)) for future in asked}) == 1
    assert slow_disk.loads == 1
