"""How the REST API says no: every error as JSON with its status."""

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import Receive, Scope, Send

from dashboard.rest.addresses import REQUEST_ID
from har_core import InvalidImageError


class MethodNotAllowed:
    """Answers 405 to every method; a class, because Starlette limits functions to GET."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 405 and name the method that is allowed."""
        response = JSONResponse(
            {"error": f"{scope['path']} answers {self._allowed} only; see /docs."},
            status_code=405,
            headers={"Allow": self._allowed},
        )
        await response(scope, receive, send)


async def answer_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an HTTP error as JSON."""
    assert isinstance(error, StarletteHTTPException)
    return JSONResponse(
        {"error": error.detail}, status_code=error.status_code, headers=error.headers
    )


async def answer_invalid_image(request: Request, error: Exception) -> JSONResponse:
    """Answer 413 or 415 for a file that cannot be used, 503 if the model has no answer to it."""
    assert isinstance(error, InvalidImageError)
    if error.reason == "no_answer":  # the model's fault
        return JSONResponse({"error": str(error)}, status_code=503)
    status = 413 if error.reason in ("too_large", "too_many_pixels") else 415
    return JSONResponse({"error": str(error)}, status_code=status)


async def answer_no_model(request: Request, error: Exception) -> JSONResponse:
    """Answer 503 where there is no model."""
    return JSONResponse({"error": str(error)}, status_code=503)


async def answer_disconnect(request: Request, error: Exception) -> JSONResponse:
    """End quietly when the client hung up during its upload; nobody reads this answer."""
    return JSONResponse({"error": "The upload was interrupted."}, status_code=400)


async def answer_defect(request: Request, error: Exception) -> JSONResponse:
    """Answer 500 without telling a stranger more than that it is the server's fault."""
    # This answer is made outside of the middleware that adds the id to all others.
    own_id = request.scope.get("state", {}).get(REQUEST_ID)
    return JSONResponse(
        {"error": "The server failed; its log says why. This is a defect, please report it."},
        status_code=500,
        headers={REQUEST_ID: own_id} if own_id else None,
    )
