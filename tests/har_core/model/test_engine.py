"""A network's output that is no probability is refused for its photograph, in every way in."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from dashboard.classification import classify_photo
from dashboard.rest import routes
from har_core.analysis.features import compute_features
from har_core.dataset.table import load_dataset
from har_core.errors import DatasetError, InvalidImageError, ModelBundleError
from har_core.evaluation.run import evaluate_dataset
from har_core.model import load_model
from har_core.model.bundle import write_bundle
from har_core.model.class_indices import format_class_indices
from har_core.model.engine import OnnxEngine, are_probabilities, keep_probabilities
from har_core.model.manifest import CLASS_INDICES_FILE, ONNX_FILE, BundleManifest
from har_core.scan.scanning import scan_dataset
from tests.command_line import har
from tests.drawing import CLASS_NAMES, COLOUR_WEIGHTS, colour_network, encode, photo_bytes

GREY = encode(Image.new("RGB", (64, 64), (128, 128, 128)), "PNG")
COLOURED = photo_bytes("running")


@pytest.mark.parametrize(
    ("row", "sound"),
    [
        ([0.2, 0.3, 0.5], True),
        ([0.2, 0.3, 0.5004], True),
        ([0.2, 0.3, 0.4], False),
        ([np.nan, 0.5, 0.5], False),
        ([np.inf, 0.0, 0.0], False),
        ([-0.5, 1.0, 0.5], False),
        ([3e38, 3e38, 3e38], False),
    ],
)
def test_what_are_probabilities(row, sound):
    outputs = np.array([[1.0, 0, 0], row], np.float32)
    assert are_probabilities(outputs).tolist() == [True, sound]
    assert np.isnan(keep_probabilities(outputs)).all(axis=1).tolist() == [False, not sound]


def test_a_process_of_one_answer_opens_one_session(tiny_models, monkeypatch):
    opened = []
    opens = OnnxEngine._session
    monkeypatch.setattr(
        OnnxEngine, "_session", lambda self, threads: opened.append(threads) or opens(self, threads)
    )
    engine = OnnxEngine(tiny_models / "tiny" / ONNX_FILE)
    grey = np.zeros((1, 224, 224, 3), np.float32)
    seen = []
    for alone in (False, True, False, True, True):
        engine.run(grey, alone=alone)
        seen.append(list(opened))
    assert seen == [[1], [1], [1], [1, 0], [1, 0]]


def test_two_who_are_alone_at_once_open_the_second_session_once(tiny_models, monkeypatch):
    engine = OnnxEngine(tiny_models / "tiny" / ONNX_FILE)
    grey = np.zeros((1, 224, 224, 3), np.float32)
    engine.run(grey)
    opens, opened = engine._session, []

    def open_slowly(threads):
        opened.append(threads)
        time.sleep(0.03)
        return opens(threads)

    monkeypatch.setattr(engine, "_session", open_slowly)
    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(engine.run, [grey] * 2))) == 2
    assert opened == [0]


@pytest.fixture
def overflowing(tmp_path, monkeypatch):
    """A model that gives NaN for whatever is not grey: its weights overflow."""
    weights = COLOUR_WEIGHTS * np.float32(8e37) + np.float32(1e37)
    manifest = BundleManifest(
        name="overflowing",
        architecture="mean colour → softmax",
        input_size=224,
        preprocessing="minus_one_to_one",
        class_names=CLASS_NAMES,
        temperature=1.5,
    )
    files = {
        ONNX_FILE: colour_network(weights),
        CLASS_INDICES_FILE: format_class_indices(CLASS_NAMES).encode(),
    }
    write_bundle(tmp_path / "models" / "overflowing", manifest, files)
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HAR_MODEL", raising=False)
    return load_model()


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "dataset"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "grey.png").write_bytes(GREY)
    (folder / "train" / "coloured.jpg").write_bytes(COLOURED)
    table = "filename,label\ngrey.png,running\ncoloured.jpg,running\n"
    (folder / "train.csv").write_text(table)
    return folder


def test_python_and_page_refuse_it(overflowing):
    assert sum(overflowing.predict(GREY).probabilities.values()) == pytest.approx(1)
    with pytest.raises(InvalidImageError, match="gives no probabilities") as caught:
        overflowing.predict(COLOURED)
    assert caught.value.reason == "no_answer"
    grey, coloured = overflowing.predict_batch([GREY, COLOURED])
    assert sum(grey.probabilities.values()) == pytest.approx(1)
    assert isinstance(coloured, InvalidImageError)
    assert isinstance(classify_photo(overflowing, COLOURED), InvalidImageError)


def test_rest_refuses_it(overflowing):
    app = FastAPI()
    routes.install(app)
    with TestClient(app) as client:
        answer = client.post("/predict", files={"file": ("a.jpg", COLOURED)})
        assert answer.status_code == 503
        assert "gives no probabilities" in answer.json()["error"]
        files = [("files", ("a.png", GREY)), ("files", ("b.jpg", COLOURED))]
        results = client.post("/predict/batch", files=files).json()["results"]
        assert "action" in results[0] and "error" in results[1]
        answer = client.post("/explain?overlay=true", files={"file": ("a.jpg", COLOURED)})
        assert answer.status_code == 503
        assert "gives no probabilities" in answer.json()["error"]


def test_the_command_line_refuses_it(overflowing, dataset):
    command = [sys.executable, "-m", "har_core", "predict", str(dataset / "train"), "--json"]
    result = subprocess.run(command, capture_output=True, timeout=120)
    assert result.returncode == 1
    answers = json.loads(result.stdout)
    assert "error" in answers[0] and "action" in answers[1]


def test_scoring_refuses_it(overflowing, dataset, tmp_path):
    ended = har("score", dataset / "train", "--to", tmp_path / "results", "--workers", "1")
    assert "1 of them cannot be used" in ended.stdout, ended.stderr
    (part,) = (tmp_path / "results").rglob("*.parquet")
    rows = pd.read_parquet(part)
    rows.index = rows["uri"].str.rpartition("/")[2]
    assert pd.isna(rows.loc["grey.png", "error"])
    assert "gives no probabilities" in rows.loc["coloured.jpg", "error"]
    assert rows.loc["coloured.jpg", list(CLASS_NAMES)].isna().all()


def test_evaluate_skips_it_with_its_reason(overflowing, dataset):
    evaluation = evaluate_dataset(overflowing, load_dataset(dataset))
    assert list(evaluation.raw.filenames) == ["grey.png"]
    assert evaluation.skipped["reason"].tolist() == ["the model gives no probabilities for it"]
    (dataset / "train.csv").write_text("filename,label\ncoloured.jpg,running\n")
    with pytest.raises(DatasetError, match="gives no probabilities"):
        evaluate_dataset(overflowing, load_dataset(dataset))


def test_the_whole_set_s_analysis_leaves_it_out(overflowing, dataset, tmp_path):
    photographs = scan_dataset(dataset)
    folder = tmp_path / "models" / "overflowing"
    features = compute_features(folder, photographs)
    assert len(features.sha256) == 1
    assert np.isfinite(features.probabilities).all()
    coloured: pd.DataFrame = photographs[photographs["filename"] == "coloured.jpg"]
    with pytest.raises(ModelBundleError, match="for any photograph"):
        compute_features(folder, coloured)
