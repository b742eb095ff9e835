"""What an operator sees, and what must never be in it."""

import json
import logging
import shutil

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dashboard.rest import routes
from tests.drawing import photo_bytes, write_tiny_bundle
from tests.patience import PATIENCE_S

SECRET = "secret-4711"


@pytest.fixture
def lines(monkeypatch):
    """Collect the lines of the request log."""
    collected = []

    class Collector(logging.Handler):
        def emit(self, record):
            collected.append(record.getMessage())

    log = logging.getLogger("har.requests")
    monkeypatch.setattr(log, "handlers", [Collector()])
    level = log.level
    log.setLevel(logging.INFO)  # not by monkeypatch: loggers remember what they are enabled for
    yield collected
    log.setLevel(level)


def samples(client):
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def counted(client, name, **labels):
    return samples(client).get((name, *sorted(labels.items())), 0)


def test_requests_are_counted_by_route_and_status_and_timed(client):
    ok = {"route": "/predict", "method": "POST", "status": "200"}
    bad = {**ok, "status": "415"}
    before = [counted(client, "har_requests_total", **labels) for labels in (ok, bad)]
    timed = counted(client, "har_request_seconds_count", route="/predict")
    took = counted(client, "har_request_seconds_sum", route="/predict")
    client.post("/predict", files={"file": ("a.jpg", photo_bytes())})
    client.post("/predict", files={"file": ("a.jpg", b"no image")})
    after = [counted(client, "har_requests_total", **labels) for labels in (ok, bad)]
    assert after == [before[0] + 1, before[1] + 1]
    assert counted(client, "har_request_seconds_count", route="/predict") == timed + 2
    assert 0 < counted(client, "har_request_seconds_sum", route="/predict") - took < PATIENCE_S


def test_a_defect_is_counted_as_one(client, monkeypatch):
    failed = {"route": "/models", "method": "GET", "status": "500"}
    before = counted(client, "har_requests_total", **failed)
    monkeypatch.setattr(routes, "list_models", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # by the test's client: a server logs it
        client.get("/models")
    assert counted(client, "har_requests_total", **failed) == before + 1


def test_a_slash_at_the_end_does_not_hide_a_route(client, lines):
    answered = {"route": "/models", "method": "GET", "status": "200"}
    before = counted(client, "har_requests_total", **answered)
    assert client.get("/models/").status_code == 200
    assert json.loads(lines[-1])["route"] == "/models"
    assert counted(client, "har_requests_total", **answered) == before + 1


def test_queue_and_model_in_use_are_told(client):
    assert client.get("/health").status_code == 200
    assert counted(client, "har_model_in_use", model="tiny") == 1
    assert counted(client, "har_queue_requests") == 0
    assert counted(client, "har_queue_limit") == routes._queue.max_requests
    before = counted(client, "har_predictions_total", model="tiny")
    files = [("files", ("a.jpg", photo_bytes())), ("files", ("b.jpg", b"no image"))]
    client.post("/predict/batch", files=files)
    assert counted(client, "har_predictions_total", model="tiny") == before + 1
    client.post("/predict", files={"file": ("a.jpg", photo_bytes())})
    assert counted(client, "har_predictions_total", model="tiny") == before + 2


def test_only_the_default_model_that_is_loaded_is_in_use(client, tiny_models):
    def in_use():
        return [dict([key[1]])["model"] for key in samples(client) if key[0] == "har_model_in_use"]

    assert client.get("/health").status_code == 200
    assert in_use() == ["tiny"]
    write_tiny_bundle(tiny_models, "newer", created="2999-01-01T00:00:00+00:00")
    assert in_use() == []  # before it is loaded
    assert client.get("/health").json()["model"] == "newer"
    assert in_use() == ["newer"]
    for name in ("newer", "tiny"):
        shutil.rmtree(tiny_models / name)
    assert client.get("/health").status_code == 503
    assert in_use() == []


def test_addresses_that_visitors_make_up_do_not_become_metrics(client):
    for path in (f"/{SECRET}", f"/predict/{SECRET}", f"/predict?model={SECRET}"):
        client.request(SECRET.upper(), path)
        client.post(path)
    assert SECRET not in client.get("/metrics").text.lower()


def test_each_request_is_one_line_of_json_without_what_its_sender_chose(client, lines):
    files = {"file": (f"{SECRET}.jpg", photo_bytes())}
    client.post(f"/predict?model={SECRET}", files=files, headers={"X-API-Key": SECRET})
    client.post("/predict", files=files, headers={"User-Agent": SECRET})
    client.post(f"/{SECRET}", content=SECRET)
    assert len(lines) == 3
    assert SECRET not in "".join(lines)
    first, second, third = map(json.loads, lines)
    assert set(first) == {"time", "id", "route", "method", "status", "ms"}
    assert (first["route"], first["status"]) == ("/predict", 404)
    assert (second["route"], second["status"]) == ("/predict", 200)
    assert 1 < second["ms"] < 1000 * PATIENCE_S and second["time"].endswith("+00:00")
    assert (third["route"], third["status"]) == ("pages", 404)


def test_files_of_the_pages_are_counted_but_not_logged(client, lines):
    before = counted(client, "har_requests_total", route="pages", method="GET", status="404")
    lines.clear()
    client.get("/static/index.js")
    assert lines == []
    after = counted(client, "har_requests_total", route="pages", method="GET", status="404")
    assert after == before + 1
