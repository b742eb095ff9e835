import gc
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from har_core.errors import ModelBundleError
from har_core.model import loading
from har_core.model.bundle import update_manifest
from har_core.model.loading import load_model
from har_core.model.manifest import CLASS_INDICES_FILE, ONNX_FILE
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


def test_a_bundle_that_changes_while_it_is_loaded_is_loaded_again(tiny_models, monkeypatch):
    load_bundle = loading.load_bundle

    def replaced_meanwhile(path: Path):
        model = load_bundle(path)
        update_manifest(path, temperature=2.0)
        return model

    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_bundle", replaced_meanwhile)
        load_model("tiny")
    assert load_model("tiny").manifest.temperature == 2.0


def test_models_that_were_deleted_or_replaced_are_forgotten_when_another_is_loaded(tiny_models):
    for name in ("deleted", "replaced", "kept", "another"):
        write_tiny_bundle(tiny_models, name)
    in_use, kept = load_model("replaced"), load_model("kept")
    gone = [weakref.ref(load_model("deleted")), weakref.ref(in_use)]
    shutil.rmtree(tiny_models / "deleted")
    update_manifest(tiny_models / "replaced", temperature=2.0)
    load_model("another")
    assert in_use.predict(photo_bytes("running")).action == "running"
    del in_use
    gc.collect()
    assert [model() for model in gone] == [None, None]
    assert load_model("kept") is kept


@pytest.mark.parametrize("name", [ONNX_FILE, CLASS_INDICES_FILE])
def test_damage_is_told_of_what_a_prediction_needs_and_of_the_rest(tiny_models, name):
    path = tiny_models / "tiny" / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelBundleError, match=f"{name} is damaged: its sha256"):
        load_model("tiny")


def test_a_loaded_model_stays_what_it_is_when_its_file_is_replaced(tiny_models):
    model = load_model("tiny")
    before = model.predict_batch([photo_bytes("running")])[0]  # on one core
    (tiny_models / "tiny" / ONNX_FILE).write_bytes(b"another model's")
    assert model.predict(photo_bytes("running")).probabilities == pytest.approx(
        before.probabilities
    )


def test_a_file_that_is_no_bundle_is_not_called_missing(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelBundleError, match=r"model\.onnx is a file and no bundle; .*import-"):
        load_model(tmp_path / "model.onnx")


def test_a_bundle_may_be_named_like_a_keras_file(tiny_models):
    write_tiny_bundle(tiny_models, "tiny.h5")
    assert load_model("tiny.h5").name == "tiny.h5"
