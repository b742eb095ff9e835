"""The document names the product and the server; scripts are compressed once, for later visits."""

import asyncio
import tomllib
from pathlib import Path

import brotli
import pytest
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette_compress import CompressMiddleware

import dashboard
from dashboard.delivery import KeptScripts, PagesDocument

DOCUMENT = '<html><head><title>Streamlit</title></head><body><div id="root"></div></body></html>'
SCRIPT = "const answer = 42\n" * 4000


@pytest.fixture
def asked():
    return []


@pytest.fixture
def client(asked, tmp_path):
    (tmp_path / "app.js").write_text(SCRIPT)

    def document(request):
        headers = {"etag": '"file"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        if "if-none-match" in request.headers:
            return Response(status_code=304)
        return HTMLResponse(DOCUMENT, headers=headers)

    def script(request):
        asked.append(request.headers.get("accept-encoding"))
        # A file, as Streamlit sends it: that waits for a browser which goes away.
        return FileResponse(tmp_path / "app.js", headers={"cache-control": "immutable"})

    routes = [
        Route("/dataset", document),
        Route("/static/app.js", script),
        Route("/parts", lambda _: StreamingResponse(iter(DOCUMENT), media_type="text/html")),
        Route("/health", lambda _: PlainTextResponse(DOCUMENT)),
    ]
    # Streamlit compresses by itself.
    streamlit = GZipMiddleware(Starlette(routes=routes), minimum_size=1)
    pages = PagesDocument(streamlit, "A & B")
    with TestClient(KeptScripts(CompressMiddleware(pages), files=pages)) as client:
        yield client


def test_document_names_the_product_and_the_server(client):
    wanted = {"accept": "text/html", "accept-encoding": "identity", "if-none-match": '"old"'}
    answer = client.get("/dataset", headers=wanted)
    assert answer.status_code == 200
    assert "<title>A &amp; B</title>" in answer.text
    assert answer.text.index("BACKEND_BASE_URL") < answer.text.index("<title>")
    assert "etag" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_page_is_seen_to_be_on_its_way_in_the_colours_of_the_theme(client):
    document = client.get("/dataset", headers={"accept": "text/html"}).text
    root = document[document.index('<div id="root">') :]
    assert "<b>A &amp; B</b><br>Loading …" in root
    config = Path(dashboard.__file__).parent / ".streamlit" / "config.toml"
    themes = tomllib.loads(config.read_text())["theme"]
    light, dark = root.split("prefers-color-scheme: dark")
    for part, name in ((light, "light"), (dark, "dark")):
        for colour in ("backgroundColor", "textColor"):
            assert themes[name][colour] in part


def test_head_of_a_document_promises_no_wrong_length(client):
    wanted = {"accept": "text/html", "accept-encoding": "identity"}
    answer = client.head("/dataset", headers=wanted)
    whole = client.get("/dataset", headers=wanted).content
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers.get("content-length") in (None, str(len(whole)))


def test_document_that_comes_in_parts_is_completed_as_a_whole(client):
    wanted = {"accept": "text/html", "accept-encoding": "identity"}
    whole, parts = (client.get(path, headers=wanted) for path in ("/dataset", "/parts"))
    assert parts.text == whole.text


def test_anything_else_passes_unchanged(client):
    assert client.get("/health").text == DOCUMENT


def test_script_is_compressed_well_once(client, asked):
    wanted = {"accept-encoding": "gzip, br"}
    compressed = len(brotli.compress(SCRIPT.encode(), quality=6))
    for _ in range(3):
        answer = client.get("/static/app.js", headers=wanted)
        assert answer.text == SCRIPT
        assert answer.headers["content-encoding"] == "br"
        assert int(answer.headers["content-length"]) == compressed
        assert answer.headers["cache-control"] == "immutable"
        assert "accept-encoding" in answer.headers["vary"].lower()
    assert len(asked) == 1  # the others from memory
    plain = client.get("/static/app.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == SCRIPT


def test_those_who_ask_meanwhile_share_what_is_compressed_though_one_goes_away(tmp_path):
    (tmp_path / "app.js").write_text(SCRIPT)
    begun, asked = asyncio.Event(), []

    async def files(scope, receive, send):
        asked.append(scope["path"])
        begun.set()
        await asyncio.sleep(0)
        await FileResponse(tmp_path / "app.js")(scope, receive, send)

    async def ask(kept):
        said = []
        headers = [(b"accept-encoding", b"br")]
        scope = {"type": "http", "method": "GET", "path": "/app.js", "headers": headers}

        async def send(message):
            said.append(message)

        await kept(scope, None, send)
        return brotli.decompress(said[1]["body"]).decode()

    async def three():
        kept = KeptScripts(files, files=files)
        tasks = [asyncio.create_task(ask(kept)) for _ in range(3)]
        await begun.wait()
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    with start_blocking_portal() as portal:
        left, *others = portal.call(three)
    assert isinstance(left, asyncio.CancelledError)
    assert others == [SCRIPT, SCRIPT]
    assert asked == ["/app.js"]


@pytest.mark.parametrize("status", [200, 404])  # Streamlit answers with the page itself
def test_missing_script_is_not_kept(status):
    asked = []

    def page(request):
        asked.append(request.url.path)
        return HTMLResponse(DOCUMENT, status)

    app = Starlette(routes=[Route("/static/{name}", page)])
    with TestClient(KeptScripts(app, files=app)) as client:
        for n in range(1, 4):
            answer = client.get("/static/no.js", headers={"accept-encoding": "br"})
            assert (answer.status_code, answer.text) == (status, DOCUMENT)
            assert len(asked) == 2 * n  # looked for, and answered, anew


def test_script_that_could_not_be_read_is_tried_again(tmp_path):
    def script(_):
        return FileResponse(tmp_path / "app.js")

    files = Starlette(routes=[Route("/app.js", script)])
    with TestClient(KeptScripts(files, files=files)) as client:
        with pytest.raises(RuntimeError):
            client.get("/app.js", headers={"accept-encoding": "br"})
        (tmp_path / "app.js").write_text(SCRIPT)
        assert client.get("/app.js", headers={"accept-encoding": "br"}).text == SCRIPT
