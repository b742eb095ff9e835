"""Predictions of several photographs as a table, CSV and JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dashboard.classification import ClassifiedPhoto
from dashboard.wording.answers import VERDICT_WORDS
from dashboard.wording.names import human_name
from har_core import Prediction
from har_core.model.fields import ACTION, CONFIDENCE, FILENAME, VERDICT_FIELDS
from har_core.model.prediction import prediction_record, verdict_cells
from har_core.storage.spreadsheets import escape_formula


@dataclass(frozen=True)
class Photo:
    """A photograph as handed in.

    Parameters
    ----------
    name : str
        Of its file.
    data : bytes
        Content of its file.
    label : str, optional
        Class that a dataset gives it.
    on_screen : bool, default False
        Whether the input that it came from shows it already.
    split : str, default ""
        Of the model's splits, if its record holds the photograph.
    """

    name: str
    data: bytes
    label: str | None = None
    on_screen: bool = False
    split: str = ""


def results_table(
    photos: Sequence[tuple[Photo, ClassifiedPhoto]], shown: int | None = None
) -> pd.DataFrame:
    """Return one row per photograph, for display.

    Parameters
    ----------
    photos : sequence of (Photo, ClassifiedPhoto)
    shown : int, optional
        Position of the one that is shown large.

    Returns
    -------
    DataFrame
        ``shown`` (a mark, or ``""``), ``picture`` (data URI), ``action``, ``confidence`` in
        percent, ``verdict``, ``file``, ``second`` (the next likely action) and
        ``second_confidence`` in percent. What counts comes first, because a phone shows three
        columns.
    """
    rows = []
    for position, (photo, result) in enumerate(photos):
        (first, p_first), (second, p_second) = result.prediction.top(2)
        rows.append(
            (
                "▶" if position == shown else "",
                result.thumbnail,
                human_name(first),
                100 * p_first,
                VERDICT_WORDS[result.prediction.verdict],
                escape_formula(photo.name),  # the page's table can be saved as CSV
                human_name(second),
                100 * p_second,
            )
        )
    columns = ["shown", "picture", "action", "confidence", "verdict", "file"]
    columns += ["second", "second_confidence"]
    return pd.DataFrame(rows, columns=columns)


def results_csv(photos: Sequence[tuple[Photo, ClassifiedPhoto]]) -> bytes:
    """Return results, at least one, as UTF-8 CSV: filename, action, confidence, verdict, classes.

    The verdict's columns are those of the command line; then one for each class.
    """
    rows = [
        (
            escape_formula(photo.name),
            escape_formula(result.prediction.action),
            result.prediction.confidence,
            *map(escape_formula, verdict_cells(result.prediction)),
            *result.prediction.probabilities.values(),
        )
        for photo, result in photos
    ]
    classes = map(escape_formula, photos[0][1].prediction.probabilities)
    # Not by name: a class may be called like another column.
    table = pd.DataFrame(rows, columns=[FILENAME, ACTION, CONFIDENCE, *VERDICT_FIELDS, *classes])
    return table.to_csv(index=False, float_format="%.6f").encode()


def result_json(photo: Photo, prediction: Prediction, model_name: str) -> bytes:
    """Return one result as JSON with the field names of the REST API."""
    body = prediction_record(photo.name, prediction, model_name)
    return json.dumps(body, indent=2, ensure_ascii=False).encode()
