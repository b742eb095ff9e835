import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dashboard.predict.inputs import OTHERS, PEOPLE
from har_core import load_model
from har_core.evaluation.result import EvaluationResult
from har_core.model.manifest import PREDICTIONS_FILE, SPLITS_FILE, UNLABELLED_FILE
from har_core.model.precision import compare_graphs
from har_core.model.temperature import apply_temperature

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "models" / "cnn_lstm_har15"


@pytest.fixture(scope="module")
def model():
    return load_model(FOLDER)


@pytest.fixture(scope="module")
def recorded():
    """Return the recorded predictions with each photograph's near-duplicate group."""
    predictions = pd.read_parquet(FOLDER / PREDICTIONS_FILE)
    splits = pd.read_parquet(FOLDER / SPLITS_FILE)
    return predictions.merge(splits, on=["filename", "label", "split", "sha256"])


def test_bundle_is_whole_and_small(model):
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert size < 30e6
    assert len(model.class_names) == 15


def test_headline_is_what_the_recorded_test_predictions_give(model, recorded):
    manifest = model.manifest
    test = recorded[recorded["split"] == "test"]
    probabilities = apply_temperature(test[list(model.class_names)], manifest.temperature)
    result = EvaluationResult.from_predictions(
        test["label"], probabilities, model.class_names, groups=test["duplicate_group"]
    )
    assert manifest.metrics["n"] == len(test)
    assert manifest.metrics["split"] == "test"
    for name, metric in result.headline().items():
        assert manifest.metrics[name] == pytest.approx(metric, abs=1e-6)
    assert manifest.metrics["top1"]["value"] >= 0.81
    assert manifest.metrics["top3"]["value"] >= 0.94
    recall = np.diag(result.confusion) / result.confusion.sum(axis=1)
    assert recall.min() >= 0.62
    assert manifest.metrics["ece"]["value"] <= 0.03


def test_samples_of_people_are_answered_and_those_of_other_things_are_not(model):
    folder = PROJECT / "dashboard" / "examples"
    answers = {name: model.predict(folder / f"{name}.jpg") for name in (*PEOPLE, *OTHERS)}
    of_people = {name: answers[name].answer for name in PEOPLE}
    assert of_people == {name: name for name in PEOPLE} | {"in_the_park": "running"}
    assert {answers[name].answer for name in OTHERS} == {None}
    assert answers["cat"].verdict == "foreign"


def test_no_group_or_file_is_in_two_splits():
    splits = pd.read_parquet(FOLDER / SPLITS_FILE)
    assert splits.groupby("duplicate_group")["split"].nunique().max() == 1
    assert splits.groupby("sha256")["split"].nunique().max() == 1


def test_held_out_photographs_were_not_learned_from_without_their_labels_either():
    splits = pd.read_parquet(FOLDER / SPLITS_FILE)
    unlabelled = pd.read_parquet(FOLDER / UNLABELLED_FILE)
    assert len(unlabelled) == 5326
    assert not set(unlabelled["sha256"]) & set(splits["sha256"])


def test_model_tells_foreign_pictures_and_how_sure_it_is(model):
    assert model.manifest.rules.set_threshold is not None
    prediction = model.predict(PROJECT / "dashboard" / "examples" / "cycling.jpg")
    assert prediction.in_scope
    assert prediction.answer_set == ("cycling",)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    assert not model.predict(buffer.getvalue()).in_scope


def test_example_of_the_predict_page_is_recognised(model):
    prediction = model.predict(PROJECT / "dashboard" / "examples" / "cycling.jpg")
    assert prediction.action == "cycling"
    assert prediction.confidence > 0.6


@pytest.mark.dataset
def test_served_predictions_are_the_recorded_ones(model, recorded, real_dataset):
    rows = recorded[recorded["split"] == "test"].sample(50, random_state=0)
    served = model.predict_batch([real_dataset / "train" / name for name in rows["filename"]])
    expected = apply_temperature(rows[list(model.class_names)], model.manifest.temperature)
    got = np.array([list(prediction.probabilities.values()) for prediction in served])
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_8_bits_are_exact_on_this_processor(model):
    assert compare_graphs(FOLDER, model.manifest)["difference"] < 0.05


@pytest.mark.dataset
def test_8_bits_answer_nearly_as_float32(model, recorded, real_dataset, monkeypatch):
    rows = recorded[recorded["split"] == "validation"].sample(60, random_state=0)
    monkeypatch.setenv("HAR_PRECISION", "int8")
    of_int8 = load_model(FOLDER)
    pixels = np.stack([model.prepare(real_dataset / "train" / name) for name in rows["filename"]])
    got, expected = of_int8.predict_probabilities(pixels), model.predict_probabilities(pixels)
    assert 0 < np.abs(got - expected).mean() < 0.01
    assert (got.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9
    together = of_int8.predict_batch(list(pixels[:9]))
    for one, among_others in zip(pixels[:9], together, strict=True):
        assert of_int8.predict(one).probabilities == among_others.probabilities
