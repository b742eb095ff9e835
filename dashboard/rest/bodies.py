"""Bodies of the REST API's requests and answers, for its OpenAPI document."""

from typing import Any, Final

from pydantic import BaseModel, Field

from har_core.images.decoding import MAX_BYTES
from har_core.images.formats import FORMATS_IN_WORDS, PHOTO_FORMATS

_WARNING: Final = Field(
    default=None,
    description="What is wrong with the file, where it is damaged but little of the picture is "
    "lost; null for a sound one.",
)


class ErrorBody(BaseModel):
    """What went wrong and what to do about it."""

    error: str = Field(examples=["The file is empty."])


class AnswerBody(BaseModel):
    """The most probable action in a photograph, and whether to believe it."""

    action: str = Field(
        description="The most probable class, also where the model abstains.", examples=["running"]
    )
    confidence: float = Field(ge=0, le=1, description="Its probability.", examples=[0.93])
    all_predictions: dict[str, float] = Field(
        description="Probability of every class, in the model's order; sums to 1.",
        examples=[{"running": 0.93, "dancing": 0.05, "cycling": 0.02}],
    )
    answer: str | None = Field(
        description="The action, or null where the model abstains: `in_scope` is false, or the "
        "confidence is below the model's default (GET /models) or `min_confidence`.",
        examples=["running"],
    )
    in_scope: bool | None = Field(
        description="False if the picture is unlike anything that the model learned from, which "
        "does not mean that there is no person; null if the model cannot tell.",
        examples=[True],
    )
    novelty: float | None = Field(
        ge=0,
        le=1,
        description="Share of the model's own validation photographs that look more ordinary; "
        "null if the model cannot tell.",
        examples=[0.41],
    )
    answer_set: list[str] | None = Field(
        description="The classes that together hold the right one in 90 % of cases, the most "
        "probable first; null if the model has no such sets.",
        examples=[["running"]],
    )


class PredictionBody(AnswerBody):
    """The prediction for one photograph."""

    model: str = Field(description="Name of the model.", examples=["cnn_lstm_har15"])
    warning: str | None = _WARNING


class BatchPrediction(AnswerBody):
    """The prediction for one file of a batch."""

    filename: str
    warning: str | None = _WARNING


class ExplanationBody(BaseModel):
    """Which part of a photograph decided."""

    action: str = Field(description="The class that is explained.", examples=["running"])
    method: str = Field(examples=["occlusion"])
    cells: list[list[float]] = Field(
        description="7×7, row by row from the top left: how far the probability of the class "
        "falls when the area around the cell is hidden.",
    )
    overlay: str | None = Field(
        description="A PNG of the map over the photograph as the model sees it, in base64, if "
        "`overlay=true`; else null.",
    )
    model: str = Field(examples=["cnn_lstm_har15"])


class BatchError(BaseModel):
    """Why one file of a batch could not be used."""

    filename: str
    error: str


class BatchBody(BaseModel):
    """One result per file, in the order in which they were sent."""

    model: str
    results: list[BatchPrediction | BatchError]


class HealthBody(BaseModel):
    """The service can answer predictions."""

    status: str = Field(examples=["ready"])
    model: str = Field(description="Name of the default model.")


class ModelBody(BaseModel):
    """One model; of a damaged one only ``name`` and ``error`` are known."""

    name: str
    default: bool = Field(description="Whether predictions use it unless told otherwise.")
    architecture: str | None = None
    created: str | None = None
    classes: list[str] = []
    metrics: dict[str, Any] = Field(
        default={}, description="Test metrics with 95 % intervals and the split's name."
    )
    abstain_below: float | None = Field(
        default=None, description="The confidence below which it abstains unless told otherwise."
    )
    detects_foreign: bool | None = Field(
        default=None, description="Whether `in_scope` and `novelty` are known."
    )
    error: str | None = None


class ModelsBody(BaseModel):
    """Every model that this server can use."""

    models: list[ModelBody]


def error_responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors that a route may answer with to OpenAPI."""
    meaning = {
        400: "No file, a misspelt field or parameter, a malformed form, or a `min_confidence` "
        "outside 0 to 1.",
        401: "The server has an API key, and the request does not bring it.",
        404: "No model, or no action, of that name.",
        405: "Another method than the one documented here; see the Allow header.",
        408: "The upload stopped coming.",
        413: f"Larger than {MAX_BYTES // 2**20} MB or 50 megapixels (WebP: 30, JPEG 2000: 20).",
        415: "The file is not an image that can be read, or the body is packed (Content-Encoding); "
        "the message says why.",
        503: "No model is loaded, or too many requests wait: then with Retry-After, in seconds.",
    }
    return {code: {"model": ErrorBody, "description": meaning[code]} for code in codes}


_NAME: Final = {"type": "string", "minLength": 1}


def form_schema(field: str, schema: dict[str, Any], **encoding: str) -> dict[str, Any]:
    """Describe a multipart form, which is read by hand, to OpenAPI."""
    model = _NAME | {"description": "Name of a model in /models, as in the address."}
    body = {
        "type": "object",
        "required": [field],
        "properties": {field: schema, "model": model},
        "additionalProperties": {"description": "Ignored."},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": body,
                    "encoding": {field: encoding},
                }
            },
        },
        "parameters": [
            {
                "name": "model",
                "in": "query",
                "required": False,
                "description": "Name of a model in /models; default: the one marked so there.",
                "schema": _NAME,
            },
            {
                "name": "min_confidence",
                "in": "query",
                "required": False,
                "description": "Abstain (`answer`: null) below this confidence; default: the "
                "model's own.",
                "schema": {"type": "number", "minimum": 0, "maximum": 1},
            },
        ],
    }


IMAGE_TYPES: Final = ", ".join(entry.media_type for entry in PHOTO_FORMATS)
IMAGE: Final = {
    "type": "string",
    "format": "binary",
    "description": f"{FORMATS_IN_WORDS}, at most {MAX_BYTES // 2**20} MB.",
}


def explain_schema() -> dict[str, Any]:
    """Describe the request of ``/explain`` to OpenAPI."""
    schema = form_schema("file", IMAGE, contentType=IMAGE_TYPES)
    model = next(p for p in schema["parameters"] if p["name"] == "model")
    schema["parameters"] = [
        model,
        {
            "name": "action",
            "in": "query",
            "required": False,
            "description": "The class to explain; default: the most probable one.",
            "schema": _NAME,
        },
        {
            "name": "overlay",
            "in": "query",
            "required": False,
            "description": "Also answer a picture.",
            "schema": {"type": "boolean", "default": False},
        },
    ]
    return schema
