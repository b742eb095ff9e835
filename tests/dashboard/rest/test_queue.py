"""Bounds: the queue, uploads that stall, and what one request may not do to the others."""

import asyncio
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from dashboard.rest import routes, unread, uploads
from dashboard.rest.queue import RequestQueue
from har_core import Prediction
from har_core.model import loading
from tests.drawing import photo_bytes, write_tiny_bundle
from tests.patience import PATIENCE_S


def post(client, **params):
    return client.post("/predict", params=params, files={"file": ("a.jpg", photo_bytes())})


def test_full_queue_turns_away_until_a_place_is_free():
    queue = RequestQueue(max_requests=2, max_bytes=100)
    with queue.place(1), queue.place(1):
        with pytest.raises(HTTPException) as refused, queue.place(1):
            pass
        assert refused.value.status_code == 503
        assert int(refused.value.headers["Retry-After"]) >= 1
    with queue.place(1):
        assert (queue.requests, queue.bytes) == (1, 1)


def test_uploads_that_wait_are_bounded_by_their_size_together():
    queue = RequestQueue(max_requests=10, max_bytes=100)
    with queue.place(60), pytest.raises(HTTPException), queue.place(60):
        pass
    with queue.place(1000):  # alone, or it could never be answered
        pass
    assert (queue.requests, queue.bytes) == (0, 0)


def test_requests_past_the_queue_get_503_at_once_and_the_others_their_answer(client, monkeypatch):
    started, finish, told = threading.Semaphore(0), threading.Event(), []

    class SlowModel:
        name = "slow"

        def predict(self, data, *, others_wait):
            told.append(others_wait)
            started.release()
            assert finish.wait(PATIENCE_S)
            return Prediction("running", 1.0, {"running": 1.0})

    monkeypatch.setattr(routes, "load_model", lambda *_: SlowModel())
    monkeypatch.setattr(routes._queue, "max_requests", 3)
    with ThreadPoolExecutor(3) as pool:
        pending = [pool.submit(post, client) for _ in range(3)]
        assert started.acquire(timeout=PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while routes._queue.requests < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        refused = post(client)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "busy" in refused.json()["error"]
        assert client.get("/health").status_code in (200, 503)  # never waits in the queue
        finish.set()
        assert [answer.result().status_code for answer in pending] == [200] * 3
    assert routes._queue.requests == 0
    assert post(client).status_code == 200
    assert told[1] and not told[-1]  # only who is alone takes all cores


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/explain"])
def test_whatever_brings_photographs_waits_in_the_queue(client, monkeypatch, path):
    files = {"files" if path == "/predict/batch" else "file": ("a.jpg", photo_bytes())}
    monkeypatch.setattr(routes._queue, "max_bytes", 100)
    with routes._queue.place(1):
        answer = client.post(path, files=files)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert client.post(path, files=files).status_code == 200


def test_a_batch_counts_with_all_that_it_announces(client, monkeypatch):
    monkeypatch.setattr(routes._queue, "max_bytes", uploads.MAX_BATCH_BYTES)
    size = str(uploads.MAX_BATCH_BYTES)
    headers = {"Content-Type": "multipart/form-data; boundary=B", "Content-Length": size}
    with routes._queue.place(1):
        answer = client.post("/predict/batch", content=b"--B--", headers=headers)
    assert answer.status_code == 503


def test_a_caller_who_leaves_takes_a_model_that_is_loaded_from_nobody(tiny_models, monkeypatch):
    go_on = threading.Event()

    async def ask() -> str:
        path = tiny_models / "tiny"
        leaving, staying = (
            asyncio.create_task(routes._with_model(path, lambda model: model.name)) for _ in "ab"
        )
        while path not in routes._loading:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)  # until both wait
        leaving.cancel()
        await asyncio.wait([leaving])
        go_on.set()
        return await staying

    with ThreadPoolExecutor(1) as loader, ThreadPoolExecutor(1) as thread:
        loader.submit(go_on.wait, PATIENCE_S)
        monkeypatch.setattr(routes, "_OTHER_LOADERS", loader)
        assert thread.submit(asyncio.run, ask()).result() == "tiny"


def test_requests_for_a_model_that_loads_slowly_take_no_worker(client, tiny_models, monkeypatch):
    write_tiny_bundle(tiny_models, "slow")
    write_tiny_bundle(tiny_models, "other")
    begun, finish = threading.Event(), threading.Event()
    load_bundle = loading.load_bundle

    def load(path):
        if path.name == "slow":
            begun.set()
            assert finish.wait(PATIENCE_S)
        return load_bundle(path)

    monkeypatch.setattr(loading, "load_bundle", load)
    monkeypatch.setenv("HAR_MODEL", "tiny")
    assert client.get("/health").status_code == 200
    n = 2 * routes._WORKERS._max_workers
    with ThreadPoolExecutor(n + 3) as pool:
        try:
            waiting = [pool.submit(post, client, model="slow") for _ in range(n)]
            assert begun.wait(PATIENCE_S)
            while routes._queue.requests < n:
                time.sleep(0.01)
            quick = [pool.submit(client.get, "/health")]
            quick += [pool.submit(post, client, model=name) for name in ("tiny", "other")]
            assert [answer.result(PATIENCE_S / 4).status_code for answer in quick] == [200] * 3
            assert not any(answer.done() for answer in waiting)
        finally:
            finish.set()
        assert {answer.result(PATIENCE_S).json()["model"] for answer in waiting} == {"slow"}


@pytest.mark.parametrize(
    "request_parts",
    [{"json": {}}, {"files": {"file": ("a.jpg", b"no image")}}, {"files": {"image": b"x"}}],
)
def test_refused_request_gives_its_place_back(client, request_parts):
    assert client.post("/predict", **request_parts).status_code in (400, 415)
    assert (routes._queue.requests, routes._queue.bytes) == (0, 0)


@pytest.mark.parametrize(
    ("declared", "size"),
    [("5", 5), ("999999999999", 84), ("-1", 84), ("x", 84), ("²", 84), ("", 84)],
)
def test_size_that_is_not_announced_counts_as_the_largest(monkeypatch, declared, size):
    monkeypatch.setattr(uploads, "_FRAMING_BYTES", 4)
    scope = {"type": "http", "headers": [(b"content-length", declared.encode())]}
    assert uploads.announced_size(uploads.Request(scope), 80) == size


HEAD = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'


def answer_to_upload(receive, path="/predict", headers=(), sent=None):
    """Return status and headers that a photograph is answered with which arrives so."""
    app = FastAPI()
    routes.install(app)
    sent = [] if sent is None else sent

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path.partition("?")[0],
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": path.partition("?")[2].encode(),
        "headers": [
            (b"content-type", b"multipart/form-data; boundary=B"),
            (b"transfer-encoding", b"chunked"),
            *((name.encode(), value.encode()) for name, value in dict(headers).items()),
        ],
    }
    with ThreadPoolExecutor(1) as thread:  # the browser tests keep a loop in the main one
        thread.submit(asyncio.run, app(scope, receive, send)).result()
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize(("limit", "value"), [("_MAX_PAUSE_S", 0.05), ("_MAX_UPLOAD_S", 0.2)])
def test_upload_that_stalls_or_trickles_is_408_and_gives_its_place_back(
    tiny_models, monkeypatch, limit, value
):
    monkeypatch.setattr(uploads, limit, value)
    chunks = itertools.chain([HEAD], itertools.repeat(b"x"))

    async def trickle():
        await asyncio.sleep(0.03 if limit == "_MAX_UPLOAD_S" else 5)
        return {"type": "http.request", "body": next(chunks), "more_body": True}

    status, headers = answer_to_upload(trickle)
    assert (status, headers[b"connection"]) == (408, b"close")
    assert routes._queue.requests == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [("/predict", 413), ("/predict?model=x", 404), ("/health", 405), ("/x", 404)],
)
def test_what_is_sent_in_spite_of_a_refusal_is_read(tiny_models, monkeypatch, path, status):
    monkeypatch.setattr(uploads, "MAX_BYTES", 1_000)
    monkeypatch.setattr(uploads, "_FRAMING_BYTES", 200)
    monkeypatch.setattr(unread, "_MOST_BYTES", 4_000)

    def sent(n_parts, **headers):
        parts = iter([HEAD, *[b"x" * 100] * n_parts])
        left = n_parts + 1

        async def send():
            nonlocal left
            left -= 1
            return {"type": "http.request", "body": next(parts), "more_body": left > 0}

        found, said = answer_to_upload(send, path, headers)
        assert found == status and (found != 413 or said[b"connection"] == b"close")
        return n_parts + 1 - left

    assert sent(30) == 31
    assert 40 <= sent(1000) <= 55  # no more
    assert sent(30, expect="100-continue") <= 13  # and who waits for the answer sends nothing


def test_sender_who_stops_gets_a_refusal_at_once(tiny_models, monkeypatch):
    monkeypatch.setattr(unread, "_MOST_S", 0.02)
    answer = []

    async def stop():
        assert [bool(message.get("body")) for message in answer] == [False, True]
        await asyncio.sleep(5)

    assert answer_to_upload(stop, "/nowhere", sent=answer)[0] == 404
    assert [message.get("more_body", False) for message in answer] == [False, True, False]


def test_sender_who_hangs_up_is_no_defect_and_gives_its_place_back(tiny_models):
    messages = iter([{"type": "http.request", "body": HEAD, "more_body": True}])

    async def hang_up():
        return next(messages, {"type": "http.disconnect"})

    assert answer_to_upload(hang_up)[0] == 400
    assert routes._queue.requests == 0


HOSTILE_NAMES = [
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "nul\0character.jpg",
    "x" * 4000 + ".jpg",
    "<script>alert(1)</script>.jpg",
    "line\r\nbreak: yes.jpg",
    "=1+1.jpg",
    "ünïcödé 🙂.jpg",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_filename_is_only_text(client, name):
    answer = client.post("/predict/batch", files=[("files", (name, photo_bytes()))])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["results"][0]["action"] == "running"
    assert client.post("/predict", files={"file": (name, photo_bytes())}).status_code == 200


def test_twenty_files_are_a_batch_and_too_many_for_a_single_prediction(client):
    parts = [(f"{i}.jpg", photo_bytes(seed=i)) for i in range(20)]
    answer = client.post("/predict/batch", files=[("files", part) for part in parts])
    assert len(answer.json()["results"]) == 20
    answer = client.post("/predict", files=[("file", part) for part in parts])
    assert (answer.status_code, answer.json().keys()) == (400, {"error"})


def test_defect_of_the_server_is_json_too(tiny_models, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(routes, "load_model", fail)
    app = FastAPI()
    routes.install(app)
    answer = post(TestClient(app, raise_server_exceptions=False))
    assert (answer.status_code, answer.json().keys()) == (500, {"error"})
