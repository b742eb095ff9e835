"""The REST API: predictions, health and models, on the same loaded models as the pages."""

import asyncio
import base64
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route

from dashboard.rest import telemetry
from dashboard.rest.addresses import Addresses
from dashboard.rest.api_key import NEEDS_KEY, document_key, require_api_key
from dashboard.rest.bodies import (
    IMAGE,
    IMAGE_TYPES,
    BatchBody,
    BatchError,
    BatchPrediction,
    ExplanationBody,
    HealthBody,
    ModelsBody,
    PredictionBody,
    error_responses,
    explain_schema,
    form_schema,
)
from dashboard.rest.default_model import loaded_default_name, model_or_path
from dashboard.rest.docs import DOCS
from dashboard.rest.models import list_models, model_named
from dashboard.rest.queue import RequestQueue
from dashboard.rest.refusals import (
    MethodNotAllowed,
    answer_defect,
    answer_disconnect,
    answer_http_error,
    answer_invalid_image,
    answer_no_model,
)
from dashboard.rest.unread import ReadRefused
from dashboard.rest.uploads import (
    MAX_BATCH_BYTES,
    MAX_BATCH_FILES,
    announced_size,
    read_batch_upload,
    read_single_upload,
)
from dashboard.rest.wrong_calls import check_parameters
from har_core import ActionModel, InvalidImageError, ModelBundleError, Prediction, load_model
from har_core.images.decoding import MAX_BYTES
from har_core.model.explanation import explain as explain_photo
from har_core.model.explanation import overlay
from har_core.threads import cores

Result = TypeVar("Result")

# Decoding and inference leave the event loop to the pages' websockets. With one worker more than
# cores no core waits for its next photograph while an answer is written.
_WORKERS: Final = ThreadPoolExecutor(min(4, cores() + 1), thread_name_prefix="predict")
_LOADER: Final = ThreadPoolExecutor(1, thread_name_prefix="load-model")
# Other models are loaded beside the workers, or requests for one that takes seconds would hold
# them all; each is loaded once, whoever asks.
_OTHER_LOADERS: Final = ThreadPoolExecutor(2, thread_name_prefix="load-other-model")
_loading: Final[dict[Path, Future[ActionModel]]] = {}
_HEALTH_PATIENCE_S: Final = 1.0
_queue: Final = RequestQueue()
telemetry.queued.set_function(lambda: _queue.requests)
telemetry.queue_limit.set_function(lambda: _queue.max_requests)


router = APIRouter()


@router.post(
    "/predict",
    summary="Classify one photograph",
    response_model=PredictionBody,
    response_model_exclude_unset=True,
    responses=error_responses(400, 401, 404, 405, 408, 413, 415, 503),
    openapi_extra=NEEDS_KEY | form_schema("file", IMAGE, contentType=IMAGE_TYPES),
)
async def predict(request: Request) -> Response:
    """Say what the person in a photograph is doing.

    `curl -F file=@photo.jpg http://localhost:8501/predict`
    """
    require_api_key(request)
    check_parameters(request.query_params, "model", "min_confidence")
    bundle, min_confidence = _requested_bundle(request), _requested_confidence(request)
    with _queue.place(announced_size(request, MAX_BYTES)):
        upload, named = await read_single_upload(request)
        bundle = _chosen_bundle(bundle, named)

        def work(model: ActionModel) -> Response:
            prediction = model.predict(upload.data, others_wait=_queue.requests > 1)
            prediction = prediction.abstaining_below(min_confidence)
            body = PredictionBody(model=model.name, **prediction.to_dict())
            telemetry.predictions.labels(model.name).inc()
            return _answer(body)

        return await _with_model(bundle, work)


@router.post(
    "/predict/batch",
    summary="Classify several photographs",
    response_model=BatchBody,
    response_model_exclude_unset=True,
    responses=error_responses(400, 401, 404, 405, 408, 413, 415, 503),
    openapi_extra=NEEDS_KEY
    | form_schema(
        "files",
        {"type": "array", "items": IMAGE, "minItems": 1, "maxItems": MAX_BATCH_FILES},
    ),
    description=(
        f"At most {MAX_BATCH_FILES} files and {MAX_BATCH_BYTES // 2**20} MB in total. A file that "
        "cannot be used gets an `error` in its place; the others get their prediction.\n\n"
        "`curl -F files=@a.jpg -F files=@b.jpg http://localhost:8501/predict/batch`"
    ),
)
async def predict_batch(request: Request) -> BatchBody:
    """Classify several photographs; one bad file does not spoil the rest."""
    require_api_key(request)
    check_parameters(request.query_params, "model", "min_confidence")
    bundle, min_confidence = _requested_bundle(request), _requested_confidence(request)
    with _queue.place(announced_size(request, MAX_BATCH_BYTES)):
        uploads, named = await read_batch_upload(request)
        bundle = _chosen_bundle(bundle, named)

        def work(model: ActionModel) -> BatchBody:
            answers = model.predict_batch([upload.data for upload in uploads])
            results: list[BatchPrediction | BatchError] = []
            for upload, answer in zip(uploads, answers, strict=True):
                if isinstance(answer, Prediction):
                    body = answer.abstaining_below(min_confidence).to_dict()
                    results.append(BatchPrediction(filename=upload.filename, **body))
                else:
                    results.append(BatchError(filename=upload.filename, error=str(answer)))
            classified = sum(isinstance(answer, Prediction) for answer in answers)
            telemetry.predictions.labels(model.name).inc(classified)
            return BatchBody(model=model.name, results=results)

        return await _with_model(bundle, work)


@router.post(
    "/explain",
    summary="Say which part of a photograph decided",
    response_model=ExplanationBody,
    responses=error_responses(400, 401, 404, 405, 408, 413, 415, 503),
    openapi_extra=NEEDS_KEY | explain_schema(),
)
async def explain(request: Request) -> ExplanationBody:
    """Hide one area of a photograph after the other, which takes 50 times as long as a prediction.

    `curl -F file=@photo.jpg 'http://localhost:8501/explain?overlay=true'`
    """
    require_api_key(request)
    check_parameters(request.query_params, "model", "action", "overlay")
    bundle, drawn = _requested_bundle(request), _requested_overlay(request)
    with _queue.place(announced_size(request, MAX_BYTES)):
        upload, named = await read_single_upload(request)
        bundle = _chosen_bundle(bundle, named)
        action = _parameter(request, "action")

        def work(model: ActionModel) -> ExplanationBody:
            if action is not None and action not in model.class_names:
                raise HTTPException(404, f"The model {model.name!r} has no action {action!r}.")
            found = explain_photo(model, upload.data, action)
            picture = overlay(model.prepare(upload.data), found) if drawn else None
            return ExplanationBody(
                action=found.action,
                method=found.method,
                cells=found.cells.tolist(),
                overlay=None if picture is None else base64.b64encode(picture).decode(),
                model=model.name,
            )

        return await _with_model(bundle, work)


@router.get(
    "/health",
    summary="Tell whether predictions can be answered",
    response_model=HealthBody,
    responses=error_responses(405, 503),
)
@router.get("/healthz", include_in_schema=False)
@router.get("/readyz", include_in_schema=False)
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
    responses=error_responses(401, 405),
    openapi_extra=NEEDS_KEY,
)
async def models(request: Request) -> ModelsBody:
    """List the models, newest first, damaged ones last; a default outside of their folder leads."""
    require_api_key(request)
    return await _in_worker(list_models)


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=PlainTextResponse,
    responses=error_responses(401, 405),
    openapi_extra=NEEDS_KEY,
)
async def metrics(request: Request) -> Response:
    """Report requests by status, their times, the queue and the model in use."""
    require_api_key(request)
    # Asked for here, and not in a worker, which predictions may keep waiting.
    telemetry.set_model_in_use(await asyncio.to_thread(loaded_default_name))
    return Response(generate_latest(telemetry.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def load_default_model(*, warm_up: bool = False) -> Future[ActionModel]:
    """Load the default model in the background.

    Parameters
    ----------
    warm_up : bool, default False
        Also classify blank pictures, so that the first request finds all memory allocated.

    Returns
    -------
    Future of ActionModel
        Its result raises `ModelBundleError` if there is no usable model. One load runs at a time.
    """

    def load() -> ActionModel:
        model = load_model()
        if warm_up:
            blank = np.zeros((model.manifest.input_size,) * 2 + (3,), dtype=np.uint8)
            model.predict(blank)
            # The second is the first that runs on all cores; no request has to wait for it.
            _LOADER.submit(model.predict, blank)
        return model

    return _LOADER.submit(load)


def install(app: FastAPI, *, prefix: str = "", pages: frozenset[str] = frozenset()) -> None:
    """Add the routes and their error answers; call before mounting anything at ``/``.

    Parameters
    ----------
    app : FastAPI
    prefix : str, default ""
        What addresses may begin with; see `dashboard.rest.addresses.clean_prefix`.
    pages : set of str, optional
        Names of the web pages; ``""`` is the first one's.
    """
    app.include_router(router)
    document_key(app)
    # A mount at "/" answers whatever the routes above refuse, so without these a GET of /predict
    # would return the web page.
    for route in [*router.routes, *app.router.routes]:  # the latter are of the documentation
        if path := getattr(route, "path", ""):
            allowed = "GET, HEAD" if _method_of(route) == "GET" else "POST"
            app.router.routes.append(Route(path, MethodNotAllowed(allowed)))
    app.add_exception_handler(StarletteHTTPException, answer_http_error)
    app.add_exception_handler(InvalidImageError, answer_invalid_image)
    app.add_exception_handler(ModelBundleError, answer_no_model)
    app.add_exception_handler(ClientDisconnect, answer_disconnect)
    app.add_exception_handler(Exception, answer_defect)
    paths = {getattr(route, "path", ""): _method_of(route) for route in router.routes}
    api = {**paths, DOCS: "GET", app.openapi_url or "": "GET"}
    app.add_middleware(Addresses, prefix=prefix, api=api, pages=pages)
    app.add_middleware(ReadRefused)
    app.add_middleware(telemetry.RequestTelemetry, routes=frozenset(paths), prefix=prefix)


def _method_of(route: BaseRoute) -> str:
    return "GET" if "GET" in (getattr(route, "methods", None) or ()) else "POST"


def _answer(body: BaseModel) -> Response:
    """Return an answer as it is sent: FastAPI would check it again, in the event loop."""
    return Response(body.model_dump_json(exclude_unset=True), media_type="application/json")


async def _in_worker(work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, work)


async def _with_model(bundle: Path | None, work: Callable[[ActionModel], Result]) -> Result:
    """Do `work` with a model in a worker; wait outside for one that is not loaded yet."""

    def at_once() -> Result | Path:
        found = model_or_path(bundle)
        return found if isinstance(found, Path) else work(found)

    path = await _in_worker(at_once)
    if not isinstance(path, Path):
        return path
    if (loading := _loading.get(path)) is None:
        loading = _loading[path] = _OTHER_LOADERS.submit(load_model, path)
        loading.add_done_callback(lambda _: _loading.pop(path, None))
    # A caller who leaves must not take the model from the others.
    model = await asyncio.shield(asyncio.wrap_future(loading))
    return await _in_worker(lambda: work(model))


def _requested_bundle(request: Request) -> Path | None:
    """Return the folder of the bundle named in ``?model=``."""
    name = _parameter(request, "model")
    return None if name is None else model_named(name)


def _chosen_bundle(in_address: Path | None, in_form: str | None) -> Path | None:
    """Return the bundle that the form names, or else the address."""
    if in_form is None:
        return in_address
    chosen = model_named(in_form)
    if in_address not in (None, chosen):
        raise HTTPException(400, "The form and the address name different models; name one.")
    return chosen


def _parameter(request: Request, name: str) -> str | None:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise HTTPException(400, f"The address names {name} {len(values)} times; name it once.")
    return values[0] if values else None


def _requested_overlay(request: Request) -> bool:
    asked = _parameter(request, "overlay")
    text = "false" if asked is None else asked.lower()
    if text not in ("1", "true", "0", "false"):
        raise HTTPException(400, f"overlay must be true or false, not {text!r}.")
    return text in ("1", "true")


def _requested_confidence(request: Request) -> float | None:
    """Return ``?min_confidence=``, None if it is not given."""
    text = _parameter(request, "min_confidence")
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise HTTPException(400, f"min_confidence must be a number from 0 to 1, not {text!r}.")
    return value
