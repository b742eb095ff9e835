"""Classifying the photographs that a visitor hands in, and tables of the results."""

import base64
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
from PIL import Image

from dashboard.wording import human_name
from har_core import ActionModel, InvalidImageError, Prediction
from har_core.images.decoding import decode_image
from har_core.storage.spreadsheets import neutralise_formula

# Fills its place on the page, arrives at once.
_PREVIEW_SIZE: Final = (640, 440)
_THUMBNAIL_SIZE: Final = (120, 80)


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
    """

    name: str
    data: bytes
    label: str | None = None
    on_screen: bool = False


@dataclass(frozen=True)
class ClassifiedPhoto:
    """What a page shows of one photograph.

    Parameters
    ----------
    prediction : Prediction
        The model's answer.
    preview : bytes
        The picture as a JPEG of at most 640×440 pixels.
    thumbnail : str
        A small JPEG as a data URI, for tables.
    seconds : float
        Time for decoding and classifying.
    """

    prediction: Prediction
    preview: bytes
    thumbnail: str
    seconds: float


def classify_photo(model: ActionModel, data: bytes) -> ClassifiedPhoto | InvalidImageError:
    """Decode a photograph once, classify it, and make its preview.

    Parameters
    ----------
    model : ActionModel
        Answers.
    data : bytes
        Content of an image file.

    Returns
    -------
    ClassifiedPhoto or InvalidImageError
        The error of an unusable file, as a value, so that one does not end a batch.
    """
    start = time.perf_counter()
    try:
        pixels = decode_image(data, min_side=min(_PREVIEW_SIZE))
    except InvalidImageError as error:
        return error
    prediction = model.predict(pixels)
    seconds = time.perf_counter() - start
    image = Image.fromarray(pixels)
    image.thumbnail(_PREVIEW_SIZE, Image.Resampling.BILINEAR)
    preview = _jpeg(image)
    image.thumbnail(_THUMBNAIL_SIZE)
    thumbnail = "data:image/jpeg;base64," + base64.b64encode(_jpeg(image)).decode()
    return ClassifiedPhoto(prediction, preview, thumbnail, seconds)


def results_table(photos: Sequence[tuple[Photo, ClassifiedPhoto]]) -> pd.DataFrame:
    """Return one row per photograph, for display.

    Returns
    -------
    DataFrame
        ``picture`` (data URI), ``action``, ``confidence`` in percent, ``file``, ``second`` (the
        next likely action) and ``second_confidence`` in percent. What counts comes first, because
        a phone shows three columns.
    """
    rows = []
    for photo, result in photos:
        (first, p_first), (second, p_second) = result.prediction.top(2)
        rows.append(
            (
                result.thumbnail,
                human_name(first),
                100 * p_first,
                neutralise_formula(photo.name),  # the page's table can be saved as CSV
                human_name(second),
                100 * p_second,
            )
        )
    columns = ["picture", "action", "confidence", "file", "second", "second_confidence"]
    return pd.DataFrame(rows, columns=columns)


def results_csv(photos: Sequence[tuple[Photo, ClassifiedPhoto]]) -> bytes:
    """Return results as UTF-8 CSV: file, action, confidence, then every class's probability."""
    rows = [
        {
            "filename": neutralise_formula(photo.name),
            "action": neutralise_formula(result.prediction.action),
            "confidence": result.prediction.confidence,
            **{neutralise_formula(n): p for n, p in result.prediction.probabilities.items()},
        }
        for photo, result in photos
    ]
    return pd.DataFrame(rows).to_csv(index=False, float_format="%.6f").encode()


def result_json(photo: Photo, prediction: Prediction, model_name: str) -> bytes:
    """Return one result as JSON with the field names of the REST API."""
    body = {
        "filename": photo.name,
        "action": prediction.action,
        "confidence": prediction.confidence,
        "all_predictions": prediction.probabilities,
        "model": model_name,
    }
    return json.dumps(body, indent=2, ensure_ascii=False).encode()


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
