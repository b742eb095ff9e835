import base64
import gzip
import io
import re
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from streamlit.runtime import Runtime

import har_core
from dashboard.app import app
from dashboard.rest import default_model, models, routes, uploads
from har_core import ActionModel, InvalidImageError, Prediction
from har_core.model import bundle
from tests.drawing import CLASS_NAMES, draw_photo, encode, photo_bytes, write_tiny_bundle
from tests.guarded import checkerboard, write_guarded_bundle
from tests.patience import PATIENCE_S

NEW_FIELDS = {"answer", "in_scope", "novelty", "answer_set"}


@pytest.fixture(scope="module")
def running_app():
    with TestClient(app) as client:
        yield client


@pytest.fixture
def client(running_app, tiny_models):
    return running_app


def photo_part(label="running", name="photo.jpg"):
    return (name, photo_bytes(label), "image/jpeg")


def test_prediction_has_the_documented_fields(client):
    answer = client.post("/predict", files={"file": photo_part("sitting")})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"action", "confidence", "all_predictions", "model", *NEW_FIELDS}
    assert (body["action"], body["model"]) == ("sitting", "tiny")
    assert list(body["all_predictions"]) == list(CLASS_NAMES)
    assert sum(body["all_predictions"].values()) == pytest.approx(1)
    assert body["confidence"] == max(body["all_predictions"].values())


def test_prediction_is_the_one_that_python_users_get(client):
    from har_core import load_model

    expected = load_model().predict(photo_bytes("clapping"))
    body = client.post("/predict", files={"file": photo_part("clapping")}).json()
    assert body["all_predictions"] == expected.probabilities


def test_model_that_cannot_tell_says_so(client):
    body = client.post("/predict", files={"file": photo_part()}).json()
    assert (body["in_scope"], body["novelty"], body["answer_set"]) == (None, None, None)
    assert body["answer"] == body["action"]


def test_foreign_picture_keeps_its_action_but_gets_no_answer(client, tiny_models):
    write_guarded_bundle(tiny_models)
    for path, field in (("/predict", "file"), ("/predict/batch", "files")):
        answer = client.post(
            path,
            params={"model": "guarded"},
            files={field: ("board.png", checkerboard(), "image/png")},
        )
        body = answer.json() if field == "file" else answer.json()["results"][0]
        assert body["in_scope"] is False and body["answer"] is None
        assert body["novelty"] == 1 and body["action"] in CLASS_NAMES


def test_answer_can_be_asked_from_a_confidence_on(client, tiny_models):
    write_guarded_bundle(tiny_models)

    def answers(**params):
        params = {"model": "guarded", **params}
        one = client.post("/predict", params=params, files={"file": photo_part()}).json()
        batch = client.post("/predict/batch", params=params, files={"files": photo_part()}).json()
        return [one["answer"], batch["results"][0]["answer"]]

    assert answers() == answers(min_confidence=0) == ["running"] * 2
    assert answers(min_confidence=1) == [None] * 2


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_misspelt_parameter_is_not_passed_over(client, path):
    answer = client.post(f"{path}?minconfidence=0.9", files={"file": photo_part()})
    assert answer.status_code == 400
    says = "Unknown parameter 'minconfidence'; there are 'model' and 'min_confidence'."
    assert answer.json() == {"error": says}


def test_what_resembles_no_parameter_is_ignored_as_it_always_was(client):
    plain = client.post("/predict", files={"file": photo_part()})
    answer = client.post("/predict?_=17", files={"file": photo_part()}, data={"user_id": "5"})
    assert answer.json() == plain.json()


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/explain"])
def test_packed_body_is_415_and_says_so(client, path):
    body = gzip.compress(b"--B--")
    headers = {"Content-Type": "Multipart/Form-Data; boundary=B", "Content-Encoding": "gzip"}
    answer = client.post(path, content=body, headers=headers)
    assert answer.status_code == 415
    assert "packed ('gzip')" in answer.json()["error"]
    assert answer.headers["accept-encoding"] == "identity"
    plain = client.post(path, content=b"--B--", headers=headers | {"Content-Encoding": "Identity"})
    assert plain.status_code == 400


@pytest.mark.parametrize("value", ["high", "-0.1", "1.5", "nan"])
def test_unusable_confidence_is_answered_400(client, value):
    answer = client.post("/predict", params={"min_confidence": value}, files={"file": photo_part()})
    assert answer.status_code == 400
    assert "from 0 to 1" in answer.json()["error"]


def test_models_say_what_they_are_and_when_they_abstain(client, tiny_models):
    write_guarded_bundle(tiny_models)
    manifest = bundle.update_manifest(tiny_models / "tiny", metrics={"n": 7})
    found = {model["name"]: model for model in client.get("/models").json()["models"]}
    for name in ("architecture", "created", "metrics"):
        assert found["tiny"][name] == getattr(manifest, name)
    assert found["guarded"]["abstain_below"] == 0.5 and found["guarded"]["detects_foreign"] is True
    assert found["tiny"]["abstain_below"] == 0 and found["tiny"]["detects_foreign"] is False


def test_explanation_is_a_map_of_cells_and_on_request_a_picture(client):
    body = client.post("/explain", files={"file": photo_part("running")}).json()
    assert set(body) == {"action", "method", "cells", "overlay", "model"}
    assert (body["action"], body["method"], body["overlay"]) == ("running", "occlusion", None)
    assert [len(row) for row in body["cells"]] == [7] * 7
    for asked in ("True", "1"):
        drawn = client.post(
            "/explain",
            params={"overlay": asked, "action": "sitting"},
            files={"file": photo_part("running")},
        ).json()
        assert drawn["action"] == "sitting"
        picture = Image.open(io.BytesIO(base64.b64decode(drawn["overlay"])))
        assert (picture.format, picture.size) == ("PNG", (224, 224))
        assert picture.getchannel("B").getextrema()[1] > 0  # of the photograph: the map has none


@pytest.mark.parametrize(
    "query",
    [
        "overlay=null",
        "overlay=",
        "overlay=true&overlay=true",
        "model=a&model=b",
        "overlays=true",
        "MODEL=a",
    ],
)
def test_parameter_that_makes_no_sense_is_answered_400(client, query):
    answer = client.post(f"/explain?{query}", files={"file": photo_part("running")})
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["error"]


@pytest.mark.parametrize("name", ["model", "min_confidence", "action", "overlay"])
def test_empty_parameter_is_answered_400_and_says_so(client, name):
    path = "/explain" if name in ("action", "overlay") else "/predict"
    answer = client.post(f"{path}?{name}=", files={"file": photo_part()})
    says = f"The address names {name} without a value: give it one, or leave it out."
    assert (answer.status_code, answer.json()) == (400, {"error": says})


def test_explanation_of_an_unknown_action_is_answered_404(client):
    answer = client.post("/explain", params={"action": "flying"}, files={"file": photo_part()})
    assert answer.status_code == 404 and "no action 'flying'" in answer.json()["error"]


def test_model_can_be_chosen_by_name(client, tiny_models):
    write_tiny_bundle(tiny_models, "older", created="2001-01-01T00:00:00+00:00")
    files = {"file": photo_part()}
    for name in ("older", "tiny", "older"):
        answer = client.post("/predict", params={"model": name}, files=files)
        assert answer.json()["model"] == name
    assert client.post("/predict", files=files).json()["model"] == "tiny"  # which is newer


def test_newer_model_is_served_soon_but_not_looked_for_by_every_request(
    client, tiny_models, monkeypatch
):
    def answering():
        return client.post("/predict", files={"file": photo_part()}).json()["model"]

    assert default_model.ASK_EVERY_S <= 0.25
    assert answering() == answering() == "tiny"  # loaded by the first, found so by the second
    monkeypatch.setattr(default_model, "ASK_EVERY_S", 600)
    write_tiny_bundle(tiny_models, name="newer", created="2999-01-01T00:00:00+00:00")
    assert answering() == "tiny"
    monkeypatch.setattr(default_model, "ASK_EVERY_S", 0)
    assert answering() == "newer"
    assert answering() == "newer"
    assert 'har_model_in_use{model="newer"} 1.0' in client.get("/metrics").text


def test_model_that_another_of_its_name_replaces_is_loaded_again(client, tiny_models):
    def confidence():
        answer = client.post("/predict", params={"model": "tiny"}, files={"file": photo_part()})
        return answer.json()["confidence"]

    seen = [confidence()]
    for temperature in (2.0, 4.0):
        bundle.update_manifest(tiny_models / "tiny", temperature=temperature)
        seen.append(confidence())
    assert seen[0] > seen[1] > seen[2]


@pytest.mark.parametrize("name", ["nobody", "../models/tiny", "/etc", "tiny/"])
def test_unknown_model_is_404_and_never_a_path(client, name):
    answer = client.post("/predict", params={"model": name}, files={"file": photo_part()})
    assert answer.status_code == 404
    assert "GET /models" in answer.json()["error"]


@pytest.mark.parametrize(
    ("request_parts", "says"),
    [
        ({}, "multipart/form-data"),
        ({"json": {"file": "photo.jpg"}}, "multipart/form-data"),
        ({"content": b"\xff\xd8", "headers": {"Content-Type": "image/jpeg"}}, "curl -F file="),
        ({"data": {"file": "photo.jpg"}}, "multipart/form-data"),
        ({"files": {"image": ("a.jpg", b"x")}}, "fields received: 'image'"),
        ({"files": {"file": (None, b"just text")}}, "holds the text 'just text', not a file"),
        ({"files": {"file": (None, b"photo.jpg")}}, "curl -F file=@photo.jpg"),
        ({"files": {"file": (None, b"https://a.example/x.jpg")}}, "addresses are never fetched"),
        ({"files": {"file": (None, b"data:image/png;base64,iVBO")}}, "holds base64 text"),
        ({"files": {"file": (None, b"/9j/4AAQ" * 40)}}, "holds base64 text"),
        ({"json": {"url": "https://a.example/x.jpg"}}, "neither base64 nor the address"),
        ({"data": {"file": "@photo.jpg"}}, "holds text only"),
        ({"content": b"\xff\xd8", "headers": {"Content-Type": "image/jpeg"}}, "the body itself"),
        ({"content": b"x", "headers": {"Content-Type": "application/octet-stream"}}, "body itself"),
        ({"files": {"file": photo_part()}, "data": dict.fromkeys("abcdefghijklmnopq")}, "many"),
        ({"files": {"file": photo_part()}, "data": {"note": "x" * 70_000}}, "cannot be read"),
        ({"files": {"image": ("a.jpg", b"x")}}, "Name the field of the photograph 'file'"),
        ({"files": {"file": photo_part()}, "data": {"modell": "a"}}, "Unknown form field 'modell'"),
        (
            {"files": {"file": photo_part()}, "data": {"min_confidence": "0.9"}},
            "'min_confidence' belongs in the address: ?min_confidence=…",
        ),
        ({"files": {"file": photo_part(), "mask": photo_part()}}, "Unknown form field 'mask'"),
        ({"files": {"file": photo_part(), "model": ("m", b"x")}}, "'model' holds a file"),
        ({"files": {"file": photo_part()}, "data": {"model": ["a", "b"]}}, "several names"),
        ({"files": {"file": photo_part()}, "data": {"model": ""}}, "field 'model' is empty"),
        ({"files": {"file": ("", b"")}}, "no file"),
        ({"files": [("file", ("a.jpg", b"x")), ("file", ("b.jpg", b"x"))]}, "/predict/batch"),
        ({"files": [("file", ("a.jpg", b"x"))] * 3}, "Send one 'file' per request"),
        ({"headers": {"Content-Type": "multipart/form-data"}, "content": b"x"}, "HTTP library"),
        (
            {"headers": {"Content-Type": "multipart/form-data; boundary=B"}, "content": b"junk"},
            "boundary is another",
        ),
        (
            {
                "headers": {"Content-Type": "multipart/form-data; boundary=B"},
                "content": b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n',
            },
            "no file",
        ),
        (
            {
                "headers": {"Content-Type": "multipart/form-data; boundary=B"},
                "content": b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n",
            },
            "cannot be read",
        ),
    ],
)
def test_request_without_a_usable_form_is_400_and_says_why(client, request_parts, says):
    answer = client.post("/predict", **request_parts)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert says in answer.json()["error"]


def test_model_can_be_named_in_the_form(client, tiny_models):
    write_tiny_bundle(tiny_models, "older", created="2001-01-01T00:00:00+00:00")
    files = {"file": photo_part()}
    assert client.post("/predict", files=files, data={"model": "older"}).json()["model"] == "older"
    for path, field in (("/predict/batch", "files"), ("/explain", "file")):
        answer = client.post(path, files={field: photo_part()}, data={"model": "older"})
        assert answer.json()["model"] == "older"
    unknown = client.post("/predict", files=files, data={"model": "../models/tiny"})
    assert unknown.status_code == 404
    both = {"params": {"model": "tiny"}, "data": {"model": "older"}}
    assert client.post("/predict", files=files, **both).status_code == 400
    both["params"] = both["data"]
    assert client.post("/predict", files=files, **both).json()["model"] == "older"


@pytest.mark.parametrize("charset", ["punycode", "idna", "no-such", "hex", "undefined", "utf-16"])
def test_charset_of_a_form_cannot_break_the_server(client, charset):
    part = b'--B\r\nContent-Disposition: form-data; name="files"; filename="\xff"\r\n\r\nx\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary=B; charset={charset}"}
    answer = client.post("/predict/batch", content=part + b"--B--\r\n", headers=headers)
    assert answer.status_code in (200, 400)


def test_name_with_a_lone_surrogate_is_answered(client):
    part = b'--B\r\nContent-Disposition: form-data; name="files"; filename="+2AA-.jpg"\r\n\r\nx'
    headers = {"Content-Type": "multipart/form-data; boundary=B; charset=utf-7"}
    answer = client.post("/predict/batch", content=part + b"\r\n--B--\r\n", headers=headers)
    assert answer.json()["results"][0]["filename"] == "?.jpg"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("filename*=UTF-8''stra%C3%9Fe%20%22a%22.jpg", 'straße "a".jpg'),
        ("filename*=iso-8859-1'de'stra%DFe.jpg", "straße.jpg"),
        ("filename*=utf-8''%ff.jpg", "\ufffd.jpg"),
        ("filename*=utf-8''", ""),
        ("filename*=utf-8''other.jpg; filename=\"plain.jpg\"", "plain.jpg"),
    ],
)
def test_file_whose_name_old_clients_write_in_the_extended_form_is_read(client, sent, read):
    head = f'--B\r\nContent-Disposition: form-data; name="files"; {sent}\r\n\r\n'
    answer = client.post(
        "/predict/batch",
        content=head.encode() + photo_bytes("running") + b"\r\n--B--\r\n",
        headers={"content-type": "multipart/form-data; boundary=B"},
    )
    (result,) = answer.json()["results"]
    assert (result["filename"], result["action"]) == (read, "running")


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"<html><body>404</body></html>", photo_bytes()[:700], b"%PDF-1.7", bytes(999)],
    ids=["empty", "text", "html", "truncated", "pdf", "zeros"],
)
def test_file_that_is_no_image_is_415(client, data):
    answer = client.post("/predict", files={"file": ("photo.jpg", data, "image/jpeg")})
    assert answer.status_code == 415
    assert answer.json()["error"]


def test_photograph_that_the_model_has_no_answer_to_is_503_and_not_its_sender_s_fault(
    client, monkeypatch
):
    def predict(*_, **__):
        raise InvalidImageError("The model gives no probabilities for it.", "no_answer")

    monkeypatch.setattr(ActionModel, "predict", predict)
    answer = client.post("/predict", files={"file": photo_part()})
    assert (answer.status_code, "no probabilities" in answer.json()["error"]) == (503, True)


def test_too_many_pixels_is_413(client):
    bomb = encode(draw_photo().convert("1").resize((8000, 7000)), "PNG")
    answer = client.post("/predict", files={"file": ("big.png", bomb, "image/png")})
    assert answer.status_code == 413


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("path", "field"), [("/predict", "file"), ("/predict/batch", "files")])
def test_too_large_body_is_413_even_without_content_length(
    client, monkeypatch, path, field, declared
):
    monkeypatch.setattr(uploads, "MAX_BYTES", 2**20)
    monkeypatch.setattr(uploads, "MAX_BATCH_BYTES", 2**20)
    body = (
        f'--B\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n\r\n'.encode()
        + bytes(2**21)
        + b"\r\n--B--\r\n"
    )
    content = body if declared else iter([body[:1000], body[1000:]])
    answer = client.post(
        path, content=content, headers={"Content-Type": "multipart/form-data; boundary=B"}
    )
    assert ("content-length" in answer.request.headers) is declared
    assert answer.status_code == 413
    assert "1 MB" in answer.json()["error"]


def test_file_just_above_the_limit_is_413_although_its_form_may_be_larger(client, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BYTES", 2**20)
    for size, status in ((2**20, 415), (2**20 + 1, 413)):
        answer = client.post("/predict", files={"file": ("a.jpg", bytes(size))})
        assert answer.status_code == status


def test_uploads_never_touch_the_disk(client, monkeypatch):
    def refuse(*args):
        raise AssertionError("an upload was written to disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    large = encode(draw_photo(size=(1500, 1200)), "BMP")
    assert len(large) > 5 * 2**20
    assert client.post("/predict", files={"file": ("a.bmp", large)}).status_code == 200
    assert client.post("/predict/batch", files=[("files", ("a.bmp", large))] * 3).is_success


def test_uploads_of_the_pages_never_touch_the_disk(client, monkeypatch):
    def refuse(*args):
        raise AssertionError("an upload was written to disk")

    server = "streamlit.web.server.starlette.starlette_routes"
    monkeypatch.setattr(f"{server}.is_xsrf_enabled", lambda: False)
    # Of the class: a page test that ran before has forgotten the one instance.
    monkeypatch.setattr(Runtime, "is_active_session", lambda *_: True)
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    answer = client.put("/_stcore/upload_file/session/file", files={"f": ("a", bytes(5 * 2**20))})
    assert answer.status_code == 204


def test_batch_keeps_order_and_names_and_reports_the_bad_file_in_its_place(client):
    names = ["z.jpg", "a.jpg", "notes.jpg", "ünï=1.jpg"]
    parts = [photo_part("sitting"), photo_part("running"), ("", b"hello"), photo_part("clapping")]
    files = [("files", (n, part[1])) for n, part in zip(names, parts, strict=True)]
    body = client.post("/predict/batch", files=files).json()
    assert body["model"] == "tiny"
    assert [result["filename"] for result in body["results"]] == names
    assert [result.get("action") for result in body["results"]] == [
        "sitting",
        "running",
        None,
        "clapping",
    ]
    assert set(body["results"][2]) == {"filename", "error"}
    old = {"filename", "action", "confidence", "all_predictions"}
    assert set(body["results"][0]) == {*old, *NEW_FIELDS}


def test_batch_of_too_many_files_is_400(client, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BATCH_FILES", 2)
    files = [("files", (f"{i}.jpg", b"x")) for i in range(3)]
    answer = client.post("/predict/batch", files=files)
    assert answer.status_code == 400
    assert answer.json() == {"error": "Send at most 2 files per request."}


@pytest.mark.parametrize("n", [2, 3, 9])  # three are one more than the form's parser takes
def test_several_files_in_a_wrong_field_are_told_its_name_and_how_many_may_be_sent(client, n):
    answer = client.post("/predict", files=[("image", (f"{i}.jpg", b"x")) for i in range(n)])
    assert answer.status_code == 400
    assert "Name the field of the photograph 'file' instead of 'image'" in answer.json()["error"]
    assert "Send one 'file' per request, or several to /predict/batch" in answer.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        *("/predict", "/predict/batch", "/health", "/models", "/metrics"),
        *("/docs", "/openapi.json", "/swagger/swagger-ui.css"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_other_methods_are_405_with_allow_and_never_the_web_page(client, path, method):
    allowed = "POST" if path.startswith("/predict") else "GET, HEAD"
    if method in allowed.split(", "):
        return
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allowed
    if method != "HEAD":
        assert allowed in answer.json()["error"]


def test_without_a_model_predictions_are_503_and_health_is_not_ready(
    running_app, monkeypatch, tmp_path
):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path))
    monkeypatch.delenv("HAR_MODEL", raising=False)
    for answer in (
        running_app.post("/predict", files={"file": photo_part()}),
        running_app.post("/predict/batch", files={"files": photo_part()}),
        running_app.get("/health"),
    ):
        assert answer.status_code == 503
        assert "no model" in answer.json()["error"]
    assert running_app.get("/models").json() == {"models": []}


def test_wrong_precision_is_503_and_no_defect_of_the_server(running_app, monkeypatch):
    monkeypatch.setenv("HAR_PRECISION", "int4")
    monkeypatch.setattr(default_model, "ASK_EVERY_S", 0)
    for answer in (
        running_app.post("/predict", files={"file": photo_part()}),
        running_app.get("/health"),
    ):
        assert answer.status_code == 503
        assert "HAR_PRECISION is 'int4'" in answer.json()["error"]


def test_health_turns_ready_when_a_model_arrives(running_app, monkeypatch, tmp_path):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path))
    monkeypatch.delenv("HAR_MODEL", raising=False)
    assert running_app.get("/health").status_code == 503
    write_tiny_bundle(tmp_path, "fresh")
    answer = running_app.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "model": "fresh"})


def test_model_is_loaded_when_the_server_starts_not_with_the_first_request():
    # In a process of its own, because Streamlit's runtime starts once per process.
    code = (
        "import threading; from fastapi.testclient import TestClient;"
        "from dashboard import app; from dashboard.rest import routes;"
        "loaded = threading.Event();"
        "routes.load_model = loaded.set; client = TestClient(app.app); client.__enter__();"
        "assert loaded.wait(120); client.__exit__()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_first_request_finds_a_model_that_has_answered(tiny_models, monkeypatch):
    classified = []
    monkeypatch.setattr(ActionModel, "predict", lambda _, pixels: classified.append(pixels.shape))
    routes.load_default_model().result()
    assert classified == []
    routes.load_default_model(warm_up=True).result()
    assert classified == [(224, 224, 3)] * 2


def test_health_is_503_while_the_model_is_loading(client, monkeypatch):
    finish = threading.Event()
    monkeypatch.setattr(routes, "load_model", lambda *_: finish.wait(PATIENCE_S))
    monkeypatch.setattr(routes, "_HEALTH_PATIENCE_S", 0.05)
    answer = client.get("/health")
    finish.set()
    assert answer.status_code == 503
    assert "being loaded" in answer.json()["error"]


def test_damaged_model_is_503_and_listed_with_its_error(client, tiny_models):
    (tiny_models / "tiny" / "model.onnx").write_bytes(b"damaged")
    write_tiny_bundle(tiny_models, "good", created="2001-01-01T00:00:00+00:00")
    (tiny_models / "unreadable").mkdir()
    (tiny_models / "unreadable" / "bundle.json").write_text("{")
    answer = client.post("/predict?model=tiny", files={"file": photo_part()})
    assert answer.status_code == 503
    assert "model.onnx is damaged" in answer.json()["error"]
    listed = {model["name"]: model for model in client.get("/models").json()["models"]}
    assert list(listed) == ["tiny", "good", "unreadable"]
    assert listed["good"]["classes"] == list(CLASS_NAMES)
    assert "bundle.json" in listed["unreadable"]["error"]
    assert [model["default"] for model in listed.values()] == [True, False, False]


def test_default_model_is_listed_as_such_behind_a_link(client, tiny_models, monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to(tiny_models)
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "link"))
    assert [model["default"] for model in client.get("/models").json()["models"]] == [True]


@pytest.mark.parametrize("kind", ["bundle", "of the name of another", "damaged", "Keras file"])
def test_default_model_outside_of_the_folder_is_listed_and_can_be_named(
    client, monkeypatch, tmp_path, kind
):
    path = tmp_path / ("tiny" if "name" in kind else "elsewhere")
    write_tiny_bundle(tmp_path, path.name, temperature=3.0)
    if kind == "damaged":
        (path / "bundle.json").write_text("{")
    if kind == "Keras file":
        path = tmp_path / "elsewhere.keras"
        path.write_bytes(b"")
        loaded = har_core.load_model()
        monkeypatch.setattr(models, "loaded_model", lambda _: loaded)
        monkeypatch.setattr(loaded, "manifest", replace(loaded.manifest, name="elsewhere"))
    monkeypatch.setenv("HAR_MODEL", str(path))
    first, *others = client.get("/models").json()["models"]
    assert (first["name"], first["default"]) == (path.stem, True)
    assert (first["error"] is not None) == (kind == "damaged")
    assert [(m["name"], m["default"]) for m in others] == [("tiny", False)] * ("name" not in kind)
    if "Keras" not in kind:
        answers = [
            client.post("/predict", params=params, files={"file": photo_part()})
            for params in ({}, {"model": first["name"]})
        ]
        assert answers[0].json() == answers[1].json()
        assert answers[0].status_code == (503 if kind == "damaged" else 200)


def test_slow_prediction_leaves_the_server_responsive(client, monkeypatch):
    started, finish = threading.Event(), threading.Event()

    class SlowModel:
        name = "slow"

        def predict(self, data, **_):
            started.set()
            assert finish.wait(PATIENCE_S)
            return Prediction("running", 1.0, {"running": 1.0})

    monkeypatch.setattr(routes, "load_model", lambda *_: SlowModel())
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.post, "/predict", files={"file": photo_part()})
        assert started.wait(PATIENCE_S)
        assert client.get("/models").status_code == 200
        assert not pending.done()
        finish.set()
        assert pending.result().json()["model"] == "slow"


def test_no_other_site_may_read_the_answers(client):
    answer = client.post(
        "/predict", files={"file": photo_part()}, headers={"Origin": "https://example.com"}
    )
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_documentation_page_needs_no_other_server(client):
    page = client.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert addresses
    for address in addresses:
        assert not address.startswith(("/", "http"))  # relative: it holds below any prefix
        assert client.get(f"/{address}").is_success


ANSWERS_TO_UPLOADS = {"200", "400", "401", "404", "405", "408", "413", "415", "503"}


def test_every_answer_is_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    documented = {
        (path, method): set(operation["responses"])
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert documented == {
        ("/predict", "post"): ANSWERS_TO_UPLOADS,
        ("/explain", "post"): ANSWERS_TO_UPLOADS,
        ("/predict/batch", "post"): ANSWERS_TO_UPLOADS,
        ("/health", "get"): {"200", "405", "503"},
        ("/models", "get"): {"200", "401", "405"},
        ("/metrics", "get"): {"200", "401", "405"},
    }
    form = paths["/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["file"]["format"] == "binary"


def test_root_is_the_web_page(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
