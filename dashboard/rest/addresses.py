"""Which address is the API's, which a page's and which nobody's, below whatever prefix."""

import re
import uuid
from collections.abc import Mapping
from typing import Final

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID: Final = "x-request-id"
_TAKEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
# Of Streamlit: its own routes, the files of the pages, and what browsers ask for by themselves.
_PAGE_PARTS: Final = frozenset(
    ("_stcore", "media", "component", "static", "app", "auth", "oauth2callback")
)
_PAGE_FILES: Final = frozenset(("index.html", "favicon.png", "manifest.json"))


def clean_prefix(prefix: str) -> str:
    """Return ``server.baseUrlPath`` as ``/har``, or ``""`` for none."""
    stripped = prefix.strip().strip("/")
    return f"/{stripped}" if stripped else ""


def below_prefix(scope: Scope, prefix: str) -> str:
    """Return the path of a request without what was put before it."""
    path = get_route_path(scope)
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        path = path[len(prefix) :]
    return path or "/"


def request_id(scope: Scope) -> str:
    """Return the id that the sender gave a request, else a new one.

    Anything but up to 128 letters, digits, ``.``, ``_`` and ``-`` is not taken: it goes into logs.
    """
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _TAKEN_ID.fullmatch(given) else uuid.uuid4().hex


class Addresses:
    """ASGI middleware that lets every address live below a prefix and at the root.

    A proxy may keep the prefix or strip it. An address that is nobody's is a 404, as JSON but for
    browsers: the pages would answer it with themselves, which a health check takes for well.
    ``HEAD`` is answered where ``GET`` is, and ``X-Request-ID`` is returned.

    Parameters
    ----------
    app : ASGI application
    prefix : str
        From `clean_prefix`.
    api : mapping of str to str
        Path of each of the API's routes to its method.
    pages : set of str
        Names of the pages, ``""`` for the first one.
    """

    def __init__(
        self, app: ASGIApp, prefix: str, api: Mapping[str, str], pages: frozenset[str]
    ) -> None:
        self._app = app
        self._prefix = prefix
        self._api = api
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to whom it is for."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        inner = below_prefix(scope, self._prefix)
        if scope["type"] == "websocket":
            await self._app(self._of_pages(scope, inner), receive, send)
            return
        own_id = scope.get("state", {}).get(REQUEST_ID) or request_id(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = own_id
            await send(message)

        await self._answer(scope, inner, receive, send_with_id)

    async def _answer(self, scope: Scope, inner: str, receive: Receive, send: Send) -> None:
        bare = inner.rstrip("/") or "/"
        if bare in self._api or bare.startswith("/swagger/"):
            send = _without_body(send) if scope["method"] == "HEAD" else send
            await self._app(self._of_api(scope, bare), receive, send)
            return
        outer = scope.get("root_path", "") + self._prefix
        if get_route_path(scope) == self._prefix != "":
            await RedirectResponse(f"{outer}/", 307)(scope, receive, send)
            return
        name = bare.strip("/")
        known = name in self._pages
        if known and name and inner.endswith("/"):
            # Relative, so that it holds behind a proxy that strips a prefix.
            await RedirectResponse(f"../{name}", 307)(scope, receive, send)
        elif known and scope["method"] not in ("GET", "HEAD"):
            message = f"{scope['path']} is a web page; photographs are sent to {outer}/predict."
            refusal = JSONResponse({"error": message}, 405, headers={"Allow": "GET, HEAD"})
            await refusal(scope, receive, send)
        elif known or name in _PAGE_FILES or name.split("/")[0] in _PAGE_PARTS:
            await self._app(self._of_pages(scope, inner), receive, send)
        elif "text/html" in Headers(scope=scope).get("accept", ""):
            await self._app(self._of_pages(scope, inner), receive, _with_status_404(send))
        else:
            message = f"There is nothing at {scope['path']}; {outer}/docs lists what there is."
            await JSONResponse({"error": message}, 404)(scope, receive, send)

    def _of_api(self, scope: Scope, path: str) -> Scope:
        root = scope.get("root_path", "")
        if get_route_path(scope).startswith(f"{self._prefix}/"):
            root += self._prefix
        method = scope["method"]
        if method == "HEAD" and self._api.get(path, "GET") == "GET":
            method = "GET"
        return {**scope, "root_path": root, "path": root + path, "method": method}

    def _of_pages(self, scope: Scope, path: str) -> Scope:
        """Return the request with the prefix, which Streamlit's own routes begin with."""
        return {**scope, "path": scope.get("root_path", "") + self._prefix + path}


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head


def _with_status_404(send: Send) -> Send:
    async def send_404(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            message = {**message, "status": 404}
        await send(message)

    return send_404
