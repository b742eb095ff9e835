"""Classifying the photographs that a visitor hands in."""

import io
import time
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image

from har_core import ActionModel, InvalidImageError, Prediction
from har_core.images.decoding import decode_image, decode_photograph
from har_core.images.thumbnails import data_uri

# Fills its place on the page, arrives at once.
_PREVIEW_SIZE: Final = (640, 440)
_THUMBNAIL_SIZE: Final = (120, 80)


@dataclass(frozen=True)
class ClassifiedPhoto:
    """What a page shows of one photograph among many.

    Parameters
    ----------
    prediction : Prediction
        The model's answer.
    thumbnail : str
        A small JPEG as a data URI, for tables.
    seconds : float
        Time for decoding and classifying.
    """

    prediction: Prediction
    thumbnail: str
    seconds: float

    def abstaining_below(self, min_confidence: float) -> "ClassifiedPhoto":
        """Return the same with another threshold; see `Prediction.abstaining_below`."""
        return replace(self, prediction=self.prediction.abstaining_below(min_confidence))


def classify_photo(model: ActionModel, data: bytes) -> ClassifiedPhoto | InvalidImageError:
    """Decode a photograph once, classify it, and make its thumbnail.

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
        # One recipe for the network's input everywhere, which is more than a thumbnail needs.
        side = model.manifest.input_size
        decoded = decode_photograph(data, side=side, min_side=side)
        assert decoded.image is not None and decoded.square is not None
        prediction = replace(model.predict(decoded.square), warning=decoded.warning)
    except InvalidImageError as error:
        return error
    seconds = time.perf_counter() - start
    image = Image.fromarray(decoded.image)
    image.thumbnail(_THUMBNAIL_SIZE)
    return ClassifiedPhoto(prediction, data_uri(_jpeg(image)), seconds)


def make_preview(data: bytes) -> bytes:
    """Return a photograph as a JPEG of at most 640×440 pixels.

    Raises
    ------
    InvalidImageError
        See `har_core.images.decoding.decode_image`.
    """
    image = Image.fromarray(decode_image(data, min_side=min(_PREVIEW_SIZE)))
    image.thumbnail(_PREVIEW_SIZE, Image.Resampling.BILINEAR)
    return _jpeg(image)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
