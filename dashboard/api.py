"""The REST API: predictions, health and models, on the same loaded models as the pages."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import generate_latest
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dashboard import telemetry
from dashboard.api_key import require_api_key
from dashboard.limits import RequestQueue
from dashboard.uploads import (
    MAX_BATCH_BYTES,
    MAX_BATCH_FILES,
    announced_size,
    read_batch_upload,
    read_single_upload,
)
from har_core import ActionModel, InvalidImageError, ModelBundleError, Prediction, load_model
from har_core.images.decoding import MAX_BYTES
from har_core.model.bundle import list_bundles
from har_core.model.loading import find_model

Result = TypeVar("Result")

# Decoding and inference leave the event loop to the pages' websockets. With one worker more than
# cores no core waits for its next photograph while an answer is written.
_WORKERS: Final = ThreadPoolExecutor(
    min(4, (os.cpu_count() or 1) + 1), thread_name_prefix="predict"
)
_LOADER: Final = ThreadPoolExecutor(1, thread_name_prefix="load-model")
_HEALTH_PATIENCE_S: Final = 1.0
_queue: Final = RequestQueue()
telemetry.queued.set_function(lambda: _queue.requests)
telemetry.queue_limit.set_function(lambda: _queue.max_requests)


class ErrorBody(BaseModel):
    """What went wrong and what to do about it."""

    error: str = Field(examples=["The file is empty."])


class PredictionBody(BaseModel):
    """The most probable action in one photograph."""

    action: str = Field(description="The most probable class.", examples=["running"])
    confidence: float = Field(ge=0, le=1, description="Its probability.", examples=[0.93])
    all_predictions: dict[str, float] = Field(
        description="Probability of every class, in the model's order; sums to 1.",
        examples=[{"running": 0.93, "dancing": 0.05, "cycling": 0.02}],
    )
    model: str = Field(description="Name of the model.", examples=["cnn_lstm_har15"])


class BatchPrediction(BaseModel):
    """The prediction for one file of a batch."""

    filename: str
    action: str
    confidence: float = Field(ge=0, le=1)
    all_predictions: dict[str, float]


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
    """One model of the models folder; of a damaged one only ``name`` and ``error`` are known."""

    name: str
    default: bool = Field(description="Whether predictions use it unless told otherwise.")
    architecture: str | None = None
    created: str | None = None
    classes: list[str] = []
    metrics: dict[str, Any] = Field(
        default={}, description="Test metrics with 95 % intervals and the split's name."
    )
    error: str | None = None


class ModelsBody(BaseModel):
    """Every model that this server can use."""

    models: list[ModelBody]


def _errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    meaning = {
        400: "No file, a wrong field name, or a malformed form.",
        401: "The server has an API key, and the request does not bring it.",
        404: "No model of that name.",
        405: "Another method than the one documented here; see the Allow header.",
        408: "The upload stopped coming.",
        413: f"Larger than {MAX_BYTES // 2**20} MB or 50 megapixels (WebP: 30).",
        415: "The file is not an image that can be read; the message says why.",
        503: "No model is loaded, or too many requests wait: then with Retry-After, in seconds.",
    }
    return {code: {"model": ErrorBody, "description": meaning[code]} for code in codes}


def _form(field: str, schema: dict[str, Any], **encoding: str) -> dict[str, Any]:
    """Describe a multipart form, which is read by hand, to OpenAPI."""
    body = {"type": "object", "required": [field], "properties": {field: schema}}
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
                "description": "Name of a model in /models; default: the newest.",
                "schema": {"type": "string"},
            }
        ],
    }


_IMAGE_TYPES: Final = "image/jpeg, image/png, image/webp, image/bmp, image/tiff, image/gif"
_IMAGE: Final = {
    "type": "string",
    "format": "binary",
    "description": f"JPEG, PNG, WebP, BMP, TIFF or GIF, at most {MAX_BYTES // 2**20} MB.",
}
_needs_key: Final = [Depends(require_api_key)]
router = APIRouter()


@router.post(
    "/predict",
    summary="Classify one photograph",
    response_model=PredictionBody,
    dependencies=_needs_key,
    responses=_errors(400, 401, 404, 405, 408, 413, 415, 503),
    openapi_extra=_form("file", _IMAGE, contentType=_IMAGE_TYPES),
)
async def predict(request: Request) -> PredictionBody:
    """Say what the person in a photograph is doing.

    `curl -F file=@photo.jpg http://localhost:8501/predict`
    """
    bundle = _requested_bundle(request)
    with _queue.place(announced_size(request, MAX_BYTES)):
        upload = await read_single_upload(request)

        def work() -> PredictionBody:
            model = load_model(bundle)
            prediction = model.predict(upload.data, others_wait=_queue.requests > 1)
            body = PredictionBody(model=model.name, **_body(prediction))
            telemetry.predictions.labels(model.name).inc()
            return body

        return await _in_worker(work)


@router.post(
    "/predict/batch",
    summary="Classify several photographs",
    response_model=BatchBody,
    dependencies=_needs_key,
    responses=_errors(400, 401, 404, 405, 408, 413, 503),
    openapi_extra=_form(
        "files",
        {"type": "array", "items": _IMAGE, "minItems": 1, "maxItems": MAX_BATCH_FILES},
    ),
    description=(
        f"At most {MAX_BATCH_FILES} files and {MAX_BATCH_BYTES // 2**20} MB in total. A file that "
        "cannot be used gets an `error` in its place; the others get their prediction.\n\n"
        "`curl -F files=@a.jpg -F files=@b.jpg http://localhost:8501/predict/batch`"
    ),
)
async def predict_batch(request: Request) -> BatchBody:
    """Classify several photographs; one bad file does not spoil the rest."""
    bundle = _requested_bundle(request)
    with _queue.place(announced_size(request, MAX_BATCH_BYTES)):
        uploads = await read_batch_upload(request)

        def work() -> BatchBody:
            model = load_model(bundle)
            answers = model.predict_batch([upload.data for upload in uploads])
            results: list[BatchPrediction | BatchError] = []
            for upload, answer in zip(uploads, answers, strict=True):
                if isinstance(answer, Prediction):
                    results.append(BatchPrediction(filename=upload.filename, **_body(answer)))
                else:
                    results.append(BatchError(filename=upload.filename, error=str(answer)))
            classified = sum(isinstance(answer, Prediction) for answer in answers)
            telemetry.predictions.labels(model.name).inc(classified)
            return BatchBody(model=model.name, results=results)

        return await _in_worker(work)


@router.get(
    "/health",
    summary="Tell whether predictions can be answered",
    response_model=HealthBody,
    responses=_errors(405, 503),
)
async def health() -> HealthBody:
    """Answer 200 once the default model is loaded, 503 before that or without one."""
    loading = asyncio.wrap_future(load_default_model())
    done, _ = await asyncio.wait({loading}, timeout=_HEALTH_PATIENCE_S)
    if not done:
        raise HTTPException(503, "The model is still being loaded; try again in a moment.")
    return HealthBody(status="ready", model=loading.result().name)


@router.get(
    "/models",
    summary="List the models",
    response_model=ModelsBody,
    dependencies=_needs_key,
    responses=_errors(401, 405),
)
async def models() -> ModelsBody:
    """List every model of the models folder, newest first, damaged ones last."""
    return await _in_worker(_list_models)


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=PlainTextResponse,
    dependencies=_needs_key,
    responses=_errors(401, 405),
)
async def metrics() -> PlainTextResponse:
    """Report requests by status, their times, the queue and the model in use."""
    return PlainTextResponse(generate_latest(telemetry.registry))


def load_default_model(*, warm_up: bool = False) -> Future[ActionModel]:
    """Load the default model in the background.

    Parameters
    ----------
    warm_up : bool, default False
        Also classify a blank picture, so that the first request finds all memory allocated.

    Returns
    -------
    Future of ActionModel
        Its result raises `ModelBundleError` if there is no usable model. One load runs at a time.
    """

    def load() -> ActionModel:
        model = load_model()
        if warm_up:
            side = model.manifest.input_size
            model.predict(np.zeros((side, side, 3), dtype=np.uint8))
        telemetry.set_model_in_use(model.name)
        return model

    return _LOADER.submit(load)


def install(app: FastAPI) -> None:
    """Add the routes and their error answers; call before mounting anything at ``/``."""
    app.include_router(router)
    # A mount at "/" answers whatever the routes above refuse, so without these a GET of /predict
    # would return the web page.
    for route in router.routes:
        allowed = ", ".join(sorted(getattr(route, "methods", None) or ()))
        app.router.routes.append(Route(getattr(route, "path", ""), _MethodNotAllowed(allowed)))
    app.add_exception_handler(StarletteHTTPException, _answer_http_error)
    app.add_exception_handler(InvalidImageError, _answer_invalid_image)
    app.add_exception_handler(ModelBundleError, _answer_no_model)
    app.add_exception_handler(ClientDisconnect, _answer_disconnect)
    app.add_exception_handler(Exception, _answer_defect)
    paths = frozenset(getattr(route, "path", "") for route in router.routes)
    app.add_middleware(telemetry.RequestTelemetry, routes=paths)


class _MethodNotAllowed:
    """Answers 405 to every method; a class, because Starlette limits functions to GET."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = JSONResponse(
            {"error": f"{scope['path']} answers {self._allowed} only; see /docs."},
            status_code=405,
            headers={"Allow": self._allowed},
        )
        await response(scope, receive, send)


async def _in_worker(work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, work)


def _requested_bundle(request: Request) -> Path | None:
    """Return the folder of the bundle named in ``?model=``; only listed names, never a path."""
    name = request.query_params.get("model")
    if name is None:
        return None
    for entry in list_bundles():
        if entry.name == name:
            return entry.path
    raise HTTPException(404, f"There is no model {name!r}; GET /models lists them.")


def _body(prediction: Prediction) -> dict[str, Any]:
    return {
        "action": prediction.action,
        "confidence": prediction.confidence,
        "all_predictions": prediction.probabilities,
    }


def _list_models() -> ModelsBody:
    try:
        default = find_model()
    except ModelBundleError:
        default = None
    bodies = []
    for entry in list_bundles():
        body = ModelBody(name=entry.name, default=entry.path.resolve() == default)
        if entry.manifest is None:
            body.error = entry.error
        else:
            body.architecture = entry.manifest.architecture
            body.created = entry.manifest.created
            body.classes = list(entry.manifest.class_names)
            body.metrics = entry.manifest.metrics
        bodies.append(body)
    return ModelsBody(models=bodies)


async def _answer_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    return JSONResponse(
        {"error": error.detail}, status_code=error.status_code, headers=error.headers
    )


async def _answer_invalid_image(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidImageError)
    status = 413 if error.reason in ("too_large", "too_many_pixels") else 415
    return JSONResponse({"error": str(error)}, status_code=status)


async def _answer_no_model(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=503)


async def _answer_disconnect(request: Request, error: Exception) -> JSONResponse:
    """End quietly when the client hung up during its upload; nobody reads this answer."""
    return JSONResponse({"error": "The upload was interrupted."}, status_code=400)


async def _answer_defect(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse(
        {"error": "The server failed; its log says why. This is a defect, please report it."},
        status_code=500,
    )
