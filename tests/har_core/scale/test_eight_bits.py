"""`har score --precision int8`: a folder holds answers of one precision, whoever gave them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.cli import main
from har_core.errors import DatasetError, HarError
from har_core.model import precision
from har_core.model.loading import load_model
from har_core.model.manifest import (
    INT8_NOVELTY_FILE,
    INT8_ONNX_FILE,
    MANIFEST_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    read_manifest,
)
from har_core.scale.evaluating import evaluate_results
from har_core.scale.models import bundle_files, fingerprint
from har_core.scale.opened.finding import find_jobs
from har_core.scale.results import INFO_FILE, Results
from har_core.scale.scoring import Scoring, score
from har_core.scale.working import Worker, problem_of
from tests.drawing import CLASS_NAMES, COLOUR_WEIGHTS, give_8_bits
from tests.har_core.scale.conftest import rows_of


@pytest.fixture
def bundle(inline: None, tiny_models: Path) -> Path:
    """Give the tiny bundle an 8-bit graph whose answers are others."""
    return give_8_bits(tiny_models / "tiny", COLOUR_WEIGHTS / 2)


def test_rows_are_what_a_prediction_with_8_bits_says_whatever_else_is_scored(
    photographs: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_PRECISION", "float32")  # which does not decide here
    to, float_to = tmp_path / "results", tmp_path / "of_float"
    score([str(photographs)], str(to), precision="int8")
    score([str(photographs / "more")], str(float_to))
    rows, of_float = rows_of(to), rows_of(float_to)
    same = rows[rows["uri"].isin(of_float["uri"])].reset_index(drop=True)
    assert (same["confidence"] < of_float["confidence"] - 0.05)[same["error"].isna()].all()
    answered = rows[rows["error"].isna()]
    monkeypatch.setenv("HAR_PRECISION", "int8")
    for row in answered.iloc[:4].itertuples():
        alone = load_model("tiny").predict(row.uri)
        given = [getattr(row, name) for name in CLASS_NAMES]
        np.testing.assert_allclose(given, list(alone.probabilities.values()), atol=1e-6)
    score([answered["uri"].iloc[5]], str(tmp_path / "one"), precision="int8")
    pd.testing.assert_frame_equal(
        rows_of(tmp_path / "one"), answered.iloc[5:6].reset_index(drop=True)
    )
    assert find_jobs(str(to))[0].model == "tiny with 8 bits"
    (tmp_path / "labels.csv").write_text(
        "filename,label\n" + "".join(f"{uri},running\n" for uri in rows["uri"])
    )
    for place, told in ((to, True), (float_to, False)):
        _, notes = evaluate_results(Results(str(place)), tmp_path / "labels.csv")
        assert any("with 8 bits" in note for note in notes) is told
        assert not any("another model" in note for note in notes)


def test_results_of_another_precision_are_not_mixed(
    photographs: Path, bundle: Path, tmp_path: Path
) -> None:
    small, whole = str(photographs / "more"), str(photographs)
    score([small], str(tmp_path / "int8"), precision="int8")
    score([small], str(tmp_path / "float32"))
    info = tmp_path / "float32" / INFO_FILE
    body = json.loads(info.read_text())
    assert body.pop("precision") == "float32"
    info.write_text(json.dumps(body))  # as before there was another
    for there, wanted in (("int8", "float32"), ("float32", "int8")):
        before = rows_of(tmp_path / there)
        with pytest.raises(
            DatasetError,
            match=rf"holds answers of 'tiny' \(\w+, {there}, .*, not of 'tiny' \(\w+, {wanted}, "
            rf".*; name another folder, or say --precision {there}\.",
        ):
            score([whole], str(tmp_path / there), precision=wanted)
        pd.testing.assert_frame_equal(rows_of(tmp_path / there), before)
        status = score([whole], str(tmp_path / there), precision=there)
        assert status.answered > 0 and status.answered + status.total == 90
    info.write_text(json.dumps(body | {"precision": "int4"}))  # of a version to come
    (tmp_path / "labels.csv").write_text("filename,label\n1.jpg,running\n")
    with pytest.raises(DatasetError, match="computed with 'int4'"):
        evaluate_results(Results(str(tmp_path / "float32")), tmp_path / "labels.csv")


def test_model_without_such_a_graph_is_said_to_be_one_and_what_makes_it(
    photographs: Path,
    inline: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to = tmp_path / "results"
    command = ["har", "score", str(photographs), "--to", str(to), "--precision", "int8"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "'tiny' has no model.int8.onnx; 'har quantise tiny --dataset FOLDER' makes it" in said
    assert not to.exists()


def test_processor_that_is_not_exact_ends_the_job(
    photographs: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calls = precision.OnnxEngine.run, []

    def saturating(engine: precision.OnnxEngine, batch: np.ndarray) -> np.ndarray:
        calls.append(engine)
        outputs = run(engine, batch)
        return outputs[:, ::-1] if len(calls) % 2 else outputs  # one of the two that are compared

    monkeypatch.setattr(precision.OnnxEngine, "run", saturating)
    to = tmp_path / "results"
    with pytest.raises(HarError, match="does not compute exactly with 8 bits"):
        score([str(photographs)], str(to), precision="int8")
    assert not to.exists()
    with pytest.raises(HarError, match="does not compute exactly") as stopped:
        Worker(Scoring(to=str(to), bundle=str(bundle), precision="int8"))
    assert not problem_of(stopped.value).again


def test_job_that_never_wrote_a_row_has_chosen_no_precision(
    photographs: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:  # as on another machine of a cluster
        raise HarError("does not compute exactly")

    to = tmp_path / "results"
    with monkeypatch.context() as patch:
        patch.setattr(Scoring, "begin", refuse)
        with pytest.raises(HarError, match="does not compute exactly"):
            score([str(photographs)], str(to), precision="int8")
    failed = find_jobs(str(to))[0].status
    assert failed is not None and failed.state == "failed"
    (to / "_job.json").write_text(json.dumps(dataclasses.asdict(failed) | {"state": "running"}))
    with pytest.raises(DatasetError, match="holds answers of"):  # whose rows are to come
        score([str(photographs)], str(to))
    (to / "_job.json").write_text(json.dumps(dataclasses.asdict(failed)))
    assert score([str(photographs)], str(to)).total == 90
    assert Results(str(to)).read_info().precision == "float32"


def test_only_what_a_worker_needs_travels(bundle: Path) -> None:
    for name in (NOVELTY_FILE, INT8_NOVELTY_FILE):
        (bundle / name).write_bytes(name.encode())
    manifest = read_manifest(bundle)
    manifest.files.update({NOVELTY_FILE: "", INT8_NOVELTY_FILE: ""})
    of_float = {MANIFEST_FILE, ONNX_FILE, NOVELTY_FILE}
    of_int8 = {MANIFEST_FILE, INT8_ONNX_FILE, NOVELTY_FILE, INT8_NOVELTY_FILE}
    assert bundle_files(bundle, manifest, "float32").keys() == of_float
    assert bundle_files(bundle, manifest, "int8").keys() == of_int8
    measured_otherwise = read_manifest(bundle)
    measured_otherwise.files.update({NOVELTY_FILE: "", INT8_NOVELTY_FILE: "1"})
    assert fingerprint(manifest) == fingerprint(measured_otherwise)
    assert fingerprint(manifest, "int8") != fingerprint(measured_otherwise, "int8")
