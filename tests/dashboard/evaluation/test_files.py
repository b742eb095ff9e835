from pathlib import Path

import numpy as np

from dashboard.evaluation.data import evaluated_files
from dashboard.evaluation.files import EvaluatedFiles
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import Evaluation
from har_core.storage.files import sha256_of_file
from tests.drawing import photo_bytes


def test_a_photograph_that_comes_back_into_its_classs_folder_is_found(tmp_path: Path) -> None:
    files = [tmp_path / label / f"{label}.jpg" for label in ("running", "sitting")]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(photo_bytes(file.stem))
    labels, names = [file.stem for file in files], [f"{file.stem}/{file.name}" for file in files]
    raw = EvaluationResult.from_predictions(
        labels, np.eye(2), tuple(labels), names, np.arange(2), list(map(sha256_of_file, files))
    )
    evaluation = Evaluation("set", "mine", "2026-01-01", raw, folder=str(tmp_path))
    gone = files[0].rename(tmp_path.parent / "gone.jpg")
    found = [evaluated_files(evaluation, None).get(name) is not None for name in names]
    assert found == [False, True]
    gone.rename(files[0])
    found = [evaluated_files(evaluation, None).get(name) is not None for name in names]
    assert found == [True, True]


def test_whoever_has_set_a_folder_is_not_told_to_set_one() -> None:
    told = EvaluatedFiles({}, {"a.jpg": "0" * 64}).why_missing("a.jpg")
    assert "Set the dataset folder" in told
    told = EvaluatedFiles({}, {"a.jpg": "0" * 64}, folder="/data").why_missing("a.jpg")
    assert told == "The dataset folder does not hold these photographs."
