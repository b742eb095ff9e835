"""One photograph has one answer, whichever way it comes in."""

import contextlib
import json
import sys

import pandas as pd
import pytest
from fastapi import FastAPI
from PIL import ExifTags, Image
from starlette.testclient import TestClient

from dashboard.classification import ClassifiedPhoto, classify_photo
from dashboard.rest import routes
from har_core.cli import main
from har_core.dataset.table import load_dataset
from har_core.evaluation.run import evaluate_dataset
from har_core.model import load_model
from har_core.model.temperature import apply_temperature
from har_core.scale import jobs
from har_core.scale.scoring import score
from tests.command_line import har
from tests.drawing import draw_photo, encode, photo_bytes
from tests.har_core.scale.conftest import InlinePool, rows_of

SIDEWAYS = Image.Exif()
SIDEWAYS[ExifTags.Base.Orientation] = 6


@pytest.fixture(scope="module")
def photographs():
    return {
        **{
            f"{width}.jpg": encode(draw_photo("running", width, size=(width, width * 3 // 4)))
            for width in (300, 640, 1100, 2000, 5000)
        },
        "sideways.jpg": encode(draw_photo("sitting", 1, size=(1500, 1100)), exif=SIDEWAYS),
        "grey.jpg": encode(draw_photo("sitting", 2, size=(1200, 900)).convert("L")),
        "cmyk.jpg": encode(draw_photo("clapping", 3, size=(1200, 900)).convert("CMYK")),
        "progressive.jpg": encode(draw_photo("running", 4, size=(2600, 1300)), progressive=True),
        "1100.png": encode(draw_photo("running", 5, size=(1100, 800)), "PNG"),
        "1100.webp": encode(draw_photo("clapping", 6, size=(1100, 800)), "WEBP"),
        "1100.heic": encode(draw_photo("sitting", 7, size=(1100, 800)), "HEIF"),
        "1100.avif": encode(draw_photo("sitting", 8, size=(1100, 800)), "AVIF"),
        "1100.jp2": encode(draw_photo("sitting", 9, size=(1100, 800)), "JPEG2000"),
    }


@pytest.fixture
def dataset(photographs, tmp_path):
    folder = tmp_path / "dataset"
    (folder / "train").mkdir(parents=True)
    for name, data in photographs.items():
        (folder / "train" / name).write_bytes(data)
    rows = [f"{name},running\n" for name in photographs]
    (folder / "train.csv").write_text("filename,label\n" + "".join(rows))
    return folder


@pytest.fixture
def expected(photographs, monkeypatch):
    monkeypatch.delenv("HAR_MODEL", raising=False)
    monkeypatch.delenv("HAR_MODELS_DIR", raising=False)
    model = load_model()  # the shipped one
    return {name: model.predict(data).probabilities for name, data in photographs.items()}


def test_rest_gives_the_one_answer(photographs, expected):
    app = FastAPI()
    routes.install(app)
    with TestClient(app) as client:
        for name, data in photographs.items():
            body = client.post("/predict", files={"file": (name, data)}).json()
            assert body["all_predictions"] == pytest.approx(expected[name], abs=1e-6), name


def test_the_page_gives_the_one_answer(photographs, expected):
    for name, data in photographs.items():
        result = classify_photo(load_model(), data)
        assert isinstance(result, ClassifiedPhoto)
        assert result.prediction.probabilities == pytest.approx(expected[name], abs=1e-6), name


def test_the_command_line_gives_the_one_answer(expected, dataset, tmp_path, monkeypatch):
    result = tmp_path / "answers.json"
    arguments = ["har", "predict", str(dataset / "train"), "--json", str(result)]
    monkeypatch.setattr(sys, "argv", arguments)
    with contextlib.suppress(SystemExit):
        main()
    answers = {a["filename"].rsplit("/", 1)[-1]: a for a in json.loads(result.read_text())}
    assert answers.keys() == expected.keys()
    for name, answer in answers.items():
        assert answer["all_predictions"] == pytest.approx(expected[name], abs=1e-6), name


def test_evaluate_gives_the_one_answer(expected, dataset):
    model = load_model()
    evaluation = evaluate_dataset(model, load_dataset(dataset))
    rows = apply_temperature(evaluation.raw.probabilities, evaluation.temperature)
    for name, row in zip(evaluation.raw.filenames, rows, strict=True):
        answer = dict(zip(model.class_names, row, strict=True))
        assert answer == pytest.approx(expected[name], abs=1e-6), name
    assert len(rows) == len(expected)


def test_what_is_wrong_with_a_usable_file_is_told_on_every_way(tiny_models, tmp_path, monkeypatch):
    data, path = photo_bytes()[:-2], tmp_path / "photo.jpg"  # without its end marker
    path.write_bytes(data)
    model = load_model()
    warning = model.predict(path).warning
    assert "damaged" in warning
    answers = model.predict_batch([data, photo_bytes()])
    assert [answer.warning for answer in answers] == [warning, ""]
    shown = classify_photo(model, data)
    assert isinstance(shown, ClassifiedPhoto) and shown.prediction.warning == warning
    app = FastAPI()
    routes.install(app)
    with TestClient(app) as client:
        assert client.post("/predict", files={"file": data}).json()["warning"] == warning
        batch = client.post("/predict/batch", files={"files": data}).json()
        assert batch["results"][0]["warning"] == warning
    written = [tmp_path / name for name in ("answers.json", "answers.csv")]
    said = har("predict", path, "--json", written[0], "--csv", written[1])
    assert warning in said.stderr
    assert json.loads(written[0].read_text())[0]["warning"] == warning
    assert pd.read_csv(written[1])["warning"].tolist() == [warning]
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)
    score([str(path)], str(tmp_path / "results"))
    assert rows_of(tmp_path / "results")["warning"].tolist() == [warning]
