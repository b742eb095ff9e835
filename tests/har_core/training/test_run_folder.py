import json

import numpy as np
import pytest

from har_core.errors import HarError
from har_core.training.run_folder import Checkpoint, RunFolder


def weights(value):
    return [np.full(3, value, np.float32)]


def test_each_stage_keeps_its_own_best_weights(run):
    run.write_best("head", weights(1))
    assert run.read_best("fine-tuning", "head")[0][0] == 1
    run.write_best("fine-tuning", weights(2))
    assert run.read_best("fine-tuning", "head")[0][0] == 2
    assert run.read_best("head")[0][0] == 1


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more", b"nothing like it"])
def test_damaged_files_are_named_with_what_to_do(run, content):
    run.write_checkpoint(Checkpoint("head", 1, 0.5))
    for name in ("checkpoint.npz", "best_head.npz"):
        (run.path / name).write_bytes(content)
    for read in (run.read_checkpoint, lambda: run.read_best("head")):
        with pytest.raises(HarError, match=r"Cannot read .*npz.* Remove the run folder"):
            read()


@pytest.mark.parametrize("content", [[1], "text", None])
def test_settings_that_are_no_object_are_refused(run, content):
    (run.path / "settings.json").write_text(json.dumps(content))
    with pytest.raises(HarError, match="Remove the run folder"):
        run.read_settings()


def test_folder_of_somebody_else_is_left_alone(tmp_path):
    folder = RunFolder(tmp_path / "detect")
    folder.path.mkdir()
    (folder.path / "weights.pt").write_bytes(b"precious")
    with pytest.raises(HarError, match=r"holds other files, such as weights\.pt"):
        folder.make()
    folder.remove()
    assert (folder.path / "weights.pt").read_bytes() == b"precious"


def test_own_files_are_removed_also_those_of_an_interrupted_write(run):
    run.write_best("head", weights(1))
    run.write_checkpoint(Checkpoint("head", 1, 0.5))
    (run.path / ".checkpoint.npz.a1b2c3").write_bytes(b"half")
    run.make()
    run.remove()
    assert not run.path.exists()
