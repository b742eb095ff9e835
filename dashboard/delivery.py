"""What a browser loads before it draws a page: the document, and scripts that stay compressed."""

import asyncio
from html import escape
from typing import Final

import brotli
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Streamlit looks for its server below the page's own path first, which a browser reports as two
# errors: every page lies beside the server's root, behind a proxy, too. And it adds an entry to the
# browser's history for each part of the address that a step changes, but none for the section that
# somebody opens; a step is what somebody did.
# Messages that appear over a page are dialogs named by a title that none of them has.
_SCRIPT: Final = b"""<script>
window.__streamlit = { BACKEND_BASE_URL: new URL(".", window.location.href).href }
{
  const push = history.pushState.bind(history)
  const replace = history.replaceState.bind(history)
  const section = address => {
    const named = new URL(address, location.href).searchParams
    return ["section", "view", "results_section", "results_view"].map(key => named.get(key)).join()
  }
  let begun = false
  for (const kind of ["pointerdown", "keydown", "click"]) {
    addEventListener(kind, () => { begun = true }, true)
  }
  history.pushState = (...entry) => {
    begun ? push(...entry) : replace(...entry)
    begun = false
  }
  history.replaceState = (...entry) => {
    if (begun && section(entry[2] ?? "") !== section("")) history.pushState(...entry)
    else replace(...entry)
  }
}
new MutationObserver(() => {
  for (const named of ["aria-labelledby", "aria-describedby"]) {
    for (const message of document.querySelectorAll(`[role=alertdialog][${named}]`)) {
      if (document.getElementById(message.getAttribute(named))) continue
      message.removeAttribute(named)
      if (named === "aria-labelledby") message.setAttribute("aria-label", "Message")
    }
  }
}).observe(document, { childList: true, subtree: true })
</script>"""
_HEAD: Final = b"<head>"
_TITLE: Final = b"<title>Streamlit</title>"
_ROOT: Final = b'<div id="root"></div>'
# What is seen until the first script draws, in the theme's colours; soon enough nothing is.
_WAITING: Final = """<div id="root">
<style>
#waiting { position: fixed; inset: 0; display: grid; place-content: center; text-align: center;
  background: #fbfaf7; color: #0b1519; font: 1rem/1.6 system-ui, sans-serif }
#waiting p { margin: 0 1rem; animation: 0s 0.4s both waiting }
#waiting b { font: 600 1.4rem/1.4 Charter, "Iowan Old Style", "Palatino Linotype", Georgia, serif }
@keyframes waiting { from { visibility: hidden } }
@media (prefers-color-scheme: dark) { #waiting { background: #12191d; color: #e4e9e8 } }
</style>
<noscript><style>#waiting { display: none }</style></noscript>
<div id="waiting" role="status"><p><b>TITLE</b><br>Loading …</p></div>
</div>"""
# Of a request for the document, which must come whole, new and not compressed to be completed.
_NOT_PASSED_ON: Final = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
_COMPRESSED: Final = (".js", ".css")
# 9 takes four times as long, while a browser waits, for another fiftieth.
_QUALITY: Final = 6


class PagesDocument:
    """ASGI middleware that completes the HTML document of Streamlit's pages.

    It names the product before the first script runs, shows that the page is on its way, says where
    the server is, lets each thing that a visitor does be one step of the browser's history, and
    names messages.

    Parameters
    ----------
    app : ASGI application
        Streamlit's.
    title : str
        Of the browser's tab until a page has its own.
    """

    def __init__(self, app: ASGIApp, title: str) -> None:
        self._app = app
        self._title = f"<title>{escape(title)}</title>".encode()
        self._waiting = _WAITING.replace("TITLE", escape(title)).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; anything but an HTML document passes unchanged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def complete(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                if Headers(scope=message).get("content-type", "").startswith("text/html"):
                    start = message
                    return
            elif start is not None and message["type"] == "http.response.body":
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                headers = MutableHeaders(scope=start)
                for name in ("content-length", "etag", "last-modified"):  # of the file
                    del headers[name]
                if body:
                    body = self._completed(body)
                    headers["content-length"] = str(len(body))
                await send(start)
                message = {**message, "body": body}
            await send(message)

        headers = scope["headers"]
        if "text/html" in Headers(scope=scope).get("accept", ""):
            headers = [header for header in headers if header[0] not in _NOT_PASSED_ON]
        await self._app({**scope, "headers": headers}, receive, complete)

    def _completed(self, document: bytes) -> bytes:
        document = document.replace(_HEAD, _HEAD + _SCRIPT, 1)
        document = document.replace(_ROOT, self._waiting, 1)
        return document.replace(_TITLE, self._title, 1)


class KeptScripts:
    """ASGI middleware that compresses a script well when it is first asked for, and keeps that.

    Scripts never change under one name, so that nothing of it expires.

    Parameters
    ----------
    app : ASGI application
        Answers whatever is not kept.
    files : ASGI application
        Answers with the files as they are.
    """

    def __init__(self, app: ASGIApp, files: ASGIApp) -> None:
        self._app = app
        self._files = files
        self._kept: dict[str, asyncio.Task[tuple[Message, bytes] | None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, for a script that is kept at once."""
        if not _is_for_script(scope):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path not in self._kept:  # those who ask meanwhile wait for the same
            self._kept[path] = asyncio.create_task(self._compressed({**scope, "headers": []}))
        try:
            kept = await asyncio.shield(self._kept[path])  # a browser that goes away spoils none
        except Exception:
            self._kept.pop(path, None)
            raise
        if kept is None:
            self._kept.pop(path, None)  # an address that is nobody's takes no room
            await self._app(scope, receive, send)
            return
        start, body = kept
        await send(start)
        await send({"type": "http.response.body", "body": body})

    async def _compressed(self, scope: Scope) -> tuple[Message, bytes] | None:
        start: Message = {"status": 0, "headers": []}
        content = bytearray()

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            content.extend(message.get("body", b""))

        await self._files(scope, _nothing, collect)
        is_page = Headers(scope=start).get("content-type", "").startswith("text/html")
        if start["status"] != 200 or is_page:  # Streamlit's answer to an address that is nobody's
            return None
        body = await asyncio.to_thread(brotli.compress, bytes(content), quality=_QUALITY)
        headers = MutableHeaders(scope=start)
        headers["content-encoding"] = "br"
        headers["content-length"] = str(len(body))
        headers.add_vary_header("accept-encoding")
        return start, body


def _is_for_script(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    headers = Headers(scope=scope)
    encodings = {word.strip() for word in headers.get("accept-encoding", "").split(",")}
    return scope["path"].endswith(_COMPRESSED) and "br" in encodings and "range" not in headers


async def _nothing() -> Message:
    """Wait for more of a request without a body, and for a disconnection: neither comes."""
    return await asyncio.Future()
