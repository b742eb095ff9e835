"""No class can be called like another column of a table with a column per class."""

import io
import re

import numpy as np
import pandas as pd
import pytest

from dashboard.classification import classify_photo
from dashboard.predict.results import Photo, results_csv
from har_core.errors import DatasetError
from har_core.evaluation.store import Evaluation, keep_evaluation, read_evaluation
from har_core.model import load_model
from har_core.model.fields import RESERVED_COLUMNS, check_class_names
from har_core.model.manifest import PREDICTIONS_FILE
from har_core.model.records import read_predictions
from har_core.scale.results import results_schema
from tests.drawing import CLASS_NAMES, photo_bytes
from tests.evaluated import draw_table, write_evaluated_bundle


def test_every_table_of_probabilities_has_only_reserved_columns_beside_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "data"))
    manifest = write_evaluated_bundle(tmp_path, draw_table(60, CLASS_NAMES), CLASS_NAMES)
    folder = tmp_path / "drawn"
    evaluation = read_evaluation(folder, "test")
    kept = keep_evaluation(Evaluation("kept", "drawn", evaluation.created, evaluation.raw))
    data = photo_bytes()
    csv = results_csv([(Photo("a.jpg", data), classify_photo(load_model(folder), data))])
    tables = [
        pd.read_parquet(folder / PREDICTIONS_FILE),
        read_predictions(folder, manifest),
        pd.read_parquet(kept),
        evaluation.result.predictions_table(),
        pd.read_csv(io.BytesIO(csv)),
    ]
    scored = results_schema(CLASS_NAMES, n_features=3).names
    for columns in (scored, *(table.columns for table in tables)):
        assert set(columns) - set(CLASS_NAMES) <= set(RESERVED_COLUMNS)


@pytest.mark.parametrize("name", RESERVED_COLUMNS)
def test_reserved_names_are_refused(name):
    with pytest.raises(DatasetError, match=f"cannot be called '{re.escape(name)}'"):
        check_class_names(["running", name])


def test_other_names_are_accepted():
    check_class_names(np.array(["Confidence trick", "splits", "calling", ""]))
