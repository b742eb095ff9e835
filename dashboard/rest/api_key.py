"""The optional key of the REST API: ``HAR_API_KEY``, in ``X-API-Key`` or as a bearer token."""

import hashlib
import hmac
from typing import Any, Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.security.utils import get_authorization_scheme_param

from har_core.settings import API_KEY

# For the OpenAPI document. As dependencies of FastAPI both would be solved for every request, which
# takes a fifth of what a request costs the event loop.
NEEDS_KEY: Final[dict[str, Any]] = {"security": [{"APIKeyHeader": []}, {"HTTPBearer": []}]}
_DESCRIPTION: Final = f"Needed where the server was started with `{API_KEY.name}`."
_SCHEMES: Final = {
    "APIKeyHeader": {
        "type": "apiKey",
        "description": _DESCRIPTION,
        "in": "header",
        "name": "X-API-Key",
    },
    "HTTPBearer": {"type": "http", "description": _DESCRIPTION, "scheme": "bearer"},
}


def document_key(app: FastAPI) -> None:
    """Say in the OpenAPI document how the key of routes with `NEEDS_KEY` is sent."""
    without_schemes = app.openapi

    def openapi() -> dict[str, Any]:
        document = without_schemes()
        document["components"]["securitySchemes"] = _SCHEMES
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def require_api_key(request: Request) -> None:
    """Let a request pass that brings the key, or any request where no key is set.

    Raises
    ------
    HTTPException
        401 if the key is missing or wrong.
    """
    expected = API_KEY.value
    if not expected:
        return
    scheme, bearer = get_authorization_scheme_param(request.headers.get("authorization"))
    given = request.headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
    # Headers arrive as Latin-1. Digests have one length, so that the time of the comparison tells
    # nothing about the key, not even how long it is.
    if not hmac.compare_digest(_digest(given.encode("latin-1")), _digest(expected.encode())):
        raise HTTPException(
            401,
            "Send the key of this server in the header X-API-Key, or as Authorization: Bearer.",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
