"""What an operator sees: numbers for Prometheus, and one line a request without its content."""

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.rest.addresses import REQUEST_ID, below_prefix, request_id

PAGES: Final = "pages"
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

registry: Final = CollectorRegistry()
ProcessCollector(registry=registry)
requests: Final = Counter(
    "har_requests", "Answered requests.", ["route", "method", "status"], registry=registry
)
seconds: Final = Histogram(
    "har_request_seconds",
    "Time from a request's head to its whole answer.",
    ["route"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
    registry=registry,
)
predictions: Final = Counter(
    "har_predictions", "Photographs that were classified over REST.", ["model"], registry=registry
)
queued: Final = Gauge(
    "har_queue_requests", "Requests taken on and not answered yet.", registry=registry
)
queue_limit: Final = Gauge(
    "har_queue_limit", "Above so many, requests are answered with 503.", registry=registry
)
model_in_use: Final = Gauge(
    "har_model_in_use", "1 for the default model, once it is loaded.", ["model"], registry=registry
)

_LOG: Final = logging.getLogger("har.requests")


def set_model_in_use(name: str | None) -> None:
    """Record the name of the default model, None while there is none or it is not loaded."""
    model_in_use.clear()
    if name is not None:
        model_in_use.labels(name).set(1)


def start_request_log() -> None:
    """Write request lines to standard error, one JSON object each."""
    if not _LOG.handlers:
        _LOG.addHandler(logging.StreamHandler(sys.stderr))
    _LOG.setLevel(logging.INFO)
    _LOG.propagate = False


class RequestTelemetry:
    """ASGI middleware that counts and times every HTTP request.

    Routes come from a fixed list, because addresses are the visitor's: they may hold names, and
    each would become a time series of its own. The files that make up the pages are counted as
    one route and not logged.
    `prometheus-fastapi-instrumentator` would only spare the two lines that count: log, request ids
    and pages, which are no routes of FastAPI, would need this middleware all the same.

    Parameters
    ----------
    app : ASGI application
    routes : set of str
        Paths of the REST API.
    prefix : str, default ""
        What addresses may begin with; see `dashboard.rest.addresses.clean_prefix`.
    """

    def __init__(self, app: ASGIApp, routes: frozenset[str], prefix: str = "") -> None:
        self._app = app
        self._routes = routes
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and record its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # unless an answer begins

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        own_id = request_id(scope)
        scope.setdefault("state", {})[REQUEST_ID] = own_id
        start = time.perf_counter()
        try:
            await self._app(scope, receive, watch)
        finally:
            self._record(scope, own_id, status, time.perf_counter() - start)

    def _record(self, scope: Scope, own_id: str, status: int, duration: float) -> None:
        path = below_prefix(scope, self._prefix).rstrip("/")  # as `Addresses` does
        route = path if path in self._routes else PAGES
        method = scope["method"] if scope["method"] in _METHODS else "other"
        requests.labels(route, method, status).inc()
        seconds.labels(route).observe(duration)
        if route != PAGES or method not in ("GET", "HEAD"):
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "id": own_id,
                "route": route,
                "method": method,
                "status": status,
                "ms": round(1000 * duration, 1),
            }
            _LOG.info("%s", json.dumps(line))
