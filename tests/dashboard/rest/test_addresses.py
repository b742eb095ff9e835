"""Every address lives below a prefix and at the root; what is nobody's is a 404."""

import functools
import re

import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from dashboard.rest import routes
from dashboard.rest.addresses import clean_prefix
from dashboard.rest.docs import install_docs
from tests.drawing import photo_bytes


async def pages(scope, receive, send):
    """Stand in for the pages: tell what they would see."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["path"]})
        await send({"type": "websocket.close"})
        return
    await JSONResponse({"path": scope["path"]})(scope, receive, send)


@functools.cache
def app_below(prefix: str) -> FastAPI:
    app = FastAPI(servers=[{"url": "./"}], root_path_in_servers=False, docs_url=None)
    install_docs(app)
    names = frozenset({"", "dataset", "evaluation", "predict"})
    routes.install(app, prefix=clean_prefix(prefix), pages=names)
    app.mount("/", pages)
    return app


def client_below(prefix: str, **options) -> TestClient:
    return TestClient(app_below(prefix), follow_redirects=False, **options)


@pytest.fixture(params=["", "har", "/tools/har/"])
def prefix(request):
    return request.param


@pytest.fixture
def client(prefix, tiny_models):
    with client_below(prefix) as client:
        yield client


def both(prefix: str, path: str) -> set[str]:
    """Return an address as a proxy sends it that keeps the prefix, and one that strips it."""
    return {path, clean_prefix(prefix) + path}


@pytest.mark.parametrize("path", ["/health", "/healthz", "/readyz", "/models", "/metrics"])
def test_api_answers_below_the_prefix_and_at_the_root(client, prefix, path):
    for address in both(prefix, path) | both(prefix, f"{path}/"):
        answer = client.get(address)
        assert answer.status_code == 200, address
        head = client.head(address)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == answer.headers["content-type"]


def test_predictions_are_made_below_the_prefix(client, prefix):
    for address in both(prefix, "/predict"):
        answer = client.post(address, files={"file": ("a.jpg", photo_bytes("sitting"))})
        assert answer.json()["action"] == "sitting"
        assert client.post(address).json()["error"].endswith(f"{client.base_url}{address}")
        assert client.get(address).status_code == 405
        assert client.head(address).status_code == 405


def test_documentation_is_whole_below_the_prefix(client, prefix):
    for address in both(prefix, "/docs"):
        folder = address.removesuffix("docs")
        page = client.get(address).text
        for name in re.findall(r"(?:src|href)=\"([^\"]+)\"", page):
            assert client.get(folder + name).status_code == 200
        assert "url: 'openapi.json'" in page
        document = client.get(f"{folder}openapi.json").json()
        assert document["servers"] == [{"url": "./"}]
        assert "/predict" in document["paths"]
        assert "/healthz" not in document["paths"]


@pytest.mark.parametrize(
    "path", ["/", "/dataset", "/static/js/a.js", "/_stcore/health", "/media/x.png", "/favicon.png"]
)
def test_pages_see_their_prefix_whether_a_proxy_strips_it_or_not(client, prefix, path):
    for address in both(prefix, path):
        assert client.get(address).json() == {"path": clean_prefix(prefix) + path}


def test_pages_sockets_see_their_prefix(client, prefix):
    for address in both(prefix, "/_stcore/stream"):
        with client.websocket_connect(address) as socket:
            assert socket.receive_text() == clean_prefix(prefix) + "/_stcore/stream"


@pytest.mark.parametrize("path", ["/health/x", "/live", "/predictions", "/static2", "/dataset/x"])
@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/plain"])
def test_what_is_nobodys_is_json_404_for_programs(client, prefix, path, accept):
    for address in both(prefix, path):
        for method in ("GET", "POST", "HEAD"):
            answer = client.request(method, address, headers={"Accept": accept})
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/json"
        assert address in client.get(address).json()["error"]


def test_what_is_nobodys_is_404_for_browsers_too(client):
    answer = client.get("/no-such-page", headers={"Accept": "text/html,application/xml;q=0.9"})
    assert answer.status_code == 404


def test_photograph_that_is_sent_to_a_page_is_told_where_to_go(client, prefix):
    for address in both(prefix, "/") | both(prefix, "/dataset"):
        answer = client.post(address, files={"file": ("a.jpg", photo_bytes())})
        assert answer.status_code == 405
        assert f"sent to {clean_prefix(prefix)}/predict" in answer.json()["error"]
        assert "error" in client.options(address).json()


def test_redirects_are_relative_or_below_the_prefix(client, prefix):
    for address in both(prefix, "/dataset/"):
        assert client.get(address).headers["location"] == "../dataset"
    if clean_prefix(prefix):
        assert client.get(clean_prefix(prefix)).headers["location"] == f"{clean_prefix(prefix)}/"


def test_root_path_of_the_server_is_a_prefix_too(tiny_models):
    with client_below("", root_path="/outer") as client:
        assert client.get("/outer/health").status_code == 200
        assert client.get("/outer/dataset").json() == {"path": "/outer/dataset"}
        assert client.get("/outer/nothing").status_code == 404


def test_id_of_a_request_is_taken_and_returned(client):
    answer = client.get("/health", headers={"X-Request-ID": "a-1.b_2"})
    assert answer.headers["x-request-id"] == "a-1.b_2"
    made = {client.get(path).headers["x-request-id"] for path in ("/health", "/", "/nothing")}
    assert len(made) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


def test_a_defect_is_told_with_the_id_of_its_request(tiny_models, monkeypatch):
    monkeypatch.setattr(routes, "list_models", lambda: 1 / 0)
    with client_below("har", raise_server_exceptions=False) as client:
        answer = client.get("/har/models", headers={"X-Request-ID": "broken"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "broken")


@pytest.mark.parametrize("wrong", ["", "x" * 129, "a b", 'a"b', "ä", "a\tb"])
def test_id_that_could_spoil_a_log_is_replaced(client, wrong):
    answer = client.get("/health", headers={"X-Request-ID": wrong.encode()})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
