"""The optional key of the REST API: ``HAR_API_KEY``, in ``X-API-Key`` or as a bearer token."""

import hashlib
import hmac
from typing import Annotated, Final

from fastapi import Depends, HTTPException
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from har_core.settings import API_KEY

_DESCRIPTION: Final = f"Needed where the server was started with `{API_KEY.name}`."
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description=_DESCRIPTION)
_bearer = HTTPBearer(auto_error=False, description=_DESCRIPTION)


async def require_api_key(
    header: Annotated[str | None, Depends(_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Let a request pass that brings the key, or any request where no key is set.

    Raises
    ------
    HTTPException
        401 if the key is missing or wrong.
    """
    expected = API_KEY.value
    if not expected:
        return
    given = header if header is not None else (bearer.credentials if bearer else "")
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
