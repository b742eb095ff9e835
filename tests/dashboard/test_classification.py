import csv
import io
import json
import pickle
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

import har_core
from dashboard.classification import ClassifiedPhoto, classify_photo, make_preview
from dashboard.predict import answers
from dashboard.predict.results import Photo, result_json, results_csv, results_table
from har_core import InvalidImageError, Prediction
from tests.drawing import CLASS_NAMES, encode, photo_bytes


def classified(label="running", name="photo.jpg", **drawing):
    photo = Photo(name, photo_bytes(label, **drawing))
    return photo, classify_photo(har_core.load_model(), photo.data)


def test_answer_is_the_models_own(tiny_models):
    photo, result = classified("sitting")
    assert result.prediction == har_core.load_model().predict(photo.data)
    assert result.seconds > 0


def test_table_on_the_page_holds_no_formula_because_its_toolbar_saves_it_as_csv(tiny_models):
    table = results_table([classified(name="=cmd.jpg")])
    assert table["file"].tolist() == ["'=cmd.jpg"]
    assert table["confidence"].dtype == float


def test_preview_is_small_and_keeps_the_shape(tiny_models):
    photo, result = classified(size=(3000, 2000))
    preview = make_preview(photo.data)
    assert Image.open(io.BytesIO(preview)).size == (640, 427)
    assert len(preview) < 100_000
    assert result.thumbnail.startswith("data:image/jpeg;base64,")
    assert len(result.thumbnail) < 10_000


def test_preview_shows_the_picture_upright():
    image = Image.new("RGB", (60, 30), "white")
    exif = image.getexif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees
    preview = make_preview(encode(image, "JPEG", exif=exif))
    assert Image.open(io.BytesIO(preview)).size == (30, 60)


def test_many_photographs_are_kept_in_little_memory(tiny_models):
    _, result = classified(size=(3000, 2000))
    assert len(pickle.dumps(result)) < 10_000


def test_unusable_file_is_returned_as_its_error(tiny_models):
    result = classify_photo(har_core.load_model(), b"no image")
    assert isinstance(result, InvalidImageError)


def test_table_has_one_row_per_photograph_in_order(tiny_models):
    photos = [classified(label, f"{label}.jpg") for label in CLASS_NAMES]
    table = results_table(photos, shown=1)
    assert list(table["action"]) == list(CLASS_NAMES)
    assert list(table["shown"]) == ["", "▶", ""]
    assert list(table["file"]) == [f"{label}.jpg" for label in CLASS_NAMES]
    assert (table["confidence"] > table["second_confidence"]).all()
    assert (table["confidence"] <= 100).all() and (table["confidence"] > 50).all()


def test_csv_holds_every_probability_and_no_formula(tiny_models):
    names = ['=HYPERLINK("http://x")', "+1.jpg", "-a.jpg", "@b.jpg", "plain, name.jpg"]
    photos = [classified(name=name) for name in names]
    rows = list(csv.DictReader(io.StringIO(results_csv(photos).decode())))
    assert [row["filename"] for row in rows] == [f"'{name}" for name in names[:4]] + names[4:]
    verdict = ["verdict", "answer", "in_scope", "novelty", "answer_set"]
    assert list(rows[0]) == ["filename", "action", "confidence", *verdict, *CLASS_NAMES]
    for row, (_, result) in zip(rows, photos, strict=True):
        got = [float(row[name]) for name in CLASS_NAMES]
        assert np.allclose(got, list(result.prediction.probabilities.values()), atol=1e-6)


def test_classes_that_differ_by_an_apostrophe_differ_in_the_csv():
    prediction = Prediction.from_probabilities(("=sum", "'=sum"), np.array([0.2, 0.8]))
    photos = [(Photo("a.jpg", b""), ClassifiedPhoto(prediction, "", 0.0))]
    headings, row = csv.reader(io.StringIO(results_csv(photos).decode()))
    assert headings[-2:] == ["'=sum", "''=sum"]
    assert row[1] == "''=sum"


def test_a_class_may_be_called_like_a_column_of_the_csv():
    prediction = Prediction.from_probabilities(("confidence", "running"), np.array([0.2, 0.8]))
    photos = [(Photo("a.jpg", b""), ClassifiedPhoto(prediction, "", 0.0))]
    headings, row = csv.reader(io.StringIO(results_csv(photos).decode()))
    assert headings[:3] == ["filename", "action", "confidence"]
    assert row[:3] == ["a.jpg", "running", "0.800000"]
    assert headings[-2:] == ["confidence", "running"]
    assert row[-2:] == ["0.200000", "0.800000"]


def test_json_has_the_field_names_of_the_api(tiny_models):
    photo, result = classified(name="tür.jpg")
    body = json.loads(result_json(photo, result.prediction, "tiny"))
    old = {"filename", "action", "confidence", "all_predictions", "model"}
    assert set(body) == {*old, "answer", "in_scope", "novelty", "answer_set"}
    assert body["filename"] == "tür.jpg"
    assert body["all_predictions"] == result.prediction.probabilities


def test_shipped_example_is_the_drawn_one():
    from dashboard.examples import draw

    shipped = np.asarray(Image.open(draw.FOLDER / "cycling.jpg"), dtype=float)
    drawn = np.asarray(draw.draw_cyclist(), dtype=float)
    assert shipped.shape == drawn.shape
    assert np.abs(shipped - drawn).mean() < 3


@pytest.mark.parametrize(("n", "written"), [(2, 2), (2_000, 100)])
def test_a_progress_bar_is_drawn_again_only_where_it_moves(monkeypatch, n, written):
    bar = MagicMock()
    monkeypatch.setattr(answers, "classified", lambda model, data: data)  # known already
    monkeypatch.setattr(answers.st, "progress", lambda *_: bar)
    photos = [Photo(f"{i}.jpg", b"%d" % i) for i in range(n)]
    assert answers.classify_all(MagicMock(), photos) == [photo.data for photo in photos]
    assert bar.progress.call_count == written
    bar.progress.assert_called_with(1.0, f"{n:,} of {n:,}")
