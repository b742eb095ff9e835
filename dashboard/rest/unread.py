"""Refusals that reach who is still sending: what is left of an upload is read, and thrown away."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Half as much again as the largest photograph; who sends more learns that the connection ends.
_MOST_BYTES: Final = 32 * 2**20
_MOST_S: Final = 30.0  # as of nginx (`lingering_time`)
_STOPPED_COMING: Final = 408


class ReadRefused:
    """ASGI middleware that refuses an upload at once, and ends the answer when all has arrived.

    A server that closes the connection meanwhile resets it, and whoever asked for an end of it
    (Python's urllib, proxies that speak HTTP/1.0) loses the answer. Who sends ``Expect`` waits for
    the answer, and sends nothing.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http" or not _brings_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        comes_more = True

        async def watched() -> Message:
            nonlocal comes_more
            message = await receive()
            comes_more = message["type"] == "http.request" and message.get("more_body", False)
            return message

        is_refusal = False

        async def send_then_read(message: Message) -> None:
            nonlocal is_refusal
            if "status" in message:
                is_refusal = message["status"] >= 400 and message["status"] != _STOPPED_COMING
            elif is_refusal and comes_more and not message.get("more_body", False):
                # Whole by its length; only with the end of it the server closes the connection.
                await send({**message, "more_body": True})
                await throw_away()
                message = {"type": "http.response.body"}
            await send(message)

        async def throw_away() -> None:
            left = _MOST_BYTES
            try:
                async with asyncio.timeout(_MOST_S):
                    while comes_more and left > 0:
                        left -= len((await watched()).get("body", b""))
            except TimeoutError:
                return  # who sends so slowly has had time to read the answer

        await self._app(scope, watched, send_then_read)


def _brings_body(headers: Headers) -> bool:
    announced = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    return announced and "expect" not in headers
