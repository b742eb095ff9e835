import pytest

from tests.drawing import photo_bytes

KEY = "sésame 42"
PROTECTED = [
    ("POST", "/predict"),
    ("POST", "/predict/batch"),
    ("POST", "/explain"),
    ("GET", "/models"),
    ("GET", "/metrics"),
]


@pytest.fixture
def client(client, monkeypatch):
    monkeypatch.setenv("HAR_API_KEY", KEY)
    return client


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "sesame"},
        {"X-API-Key": KEY.encode() + b"x"},
        {"X-API-Key": "wrong", "Authorization": f"Bearer {KEY}".encode()},
        {"Authorization": b"Basic " + KEY.encode()},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer \xff"},
    ],
)
def test_request_without_the_key_is_401(client, method, path, headers):
    encoded = {k: v if isinstance(v, bytes) else v.encode("latin-1") for k, v in headers.items()}
    answer = client.request(method, path, headers=encoded)
    assert (answer.status_code, answer.json().keys()) == (401, {"error"})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": KEY.encode()}, {"Authorization": b"Bearer " + KEY.encode()}]
)
def test_key_opens_every_route(client, headers):
    for method, path in PROTECTED:
        field = "files" if path == "/predict/batch" else "file"
        files = {field: ("a.jpg", photo_bytes())} if method == "POST" else None
        answer = client.request(method, path, files=files, headers=headers)
        assert answer.status_code == 200, path


def test_name_of_the_scheme_may_be_written_in_any_case(client):
    assert client.get("/models", headers={"Authorization": b"bearer " + KEY.encode()}).is_success


def test_openapi_says_which_routes_need_a_key_and_only_health_needs_none(client):
    document = client.get("/openapi.json").json()
    needed = {
        (method.upper(), path): operation.get("security")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert needed.pop(("GET", "/health")) is None
    assert list(needed) == PROTECTED
    for security in needed.values():
        assert security == [{"APIKeyHeader": []}, {"HTTPBearer": []}]
    assert document["components"]["securitySchemes"].keys() == {"APIKeyHeader", "HTTPBearer"}


def test_health_needs_no_key(client):
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("value", ["", "  "])
def test_empty_key_is_none(client, monkeypatch, value):
    monkeypatch.setenv("HAR_API_KEY", value)
    assert client.get("/models").status_code == 200
