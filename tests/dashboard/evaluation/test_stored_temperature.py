"""A temperature that is stored reaches what serves predictions, without a restart."""

from fastapi import FastAPI
from fastapi.testclient import TestClient
from streamlit.testing.v1 import AppTest

from dashboard.rest import routes
from har_core.model.bundle import update_manifest
from tests.drawing import photo_bytes
from tests.pages.test_predict_page import SCRIPT, headlines, upload
from tests.patience import PATIENCE_S

PHOTO = photo_bytes("running", seed=1)


def test_running_rest_service_uses_the_stored_temperature(tiny_models):
    def confidence(client: TestClient) -> float:
        answer = client.post("/predict", files={"file": ("a.jpg", PHOTO, "image/jpeg")}).json()
        assert answer["action"] == "running"
        return answer["confidence"]

    app = FastAPI()  # without the pages, whose runtime starts only once per process
    routes.install(app)
    with TestClient(app) as client:
        before = confidence(client)
        update_manifest(tiny_models / "tiny", temperature=5.0)
        assert confidence(client) < before - 0.2


def test_open_predict_page_uses_the_stored_temperature(tiny_models, monkeypatch):
    monkeypatch.delenv("HAR_DATASET", raising=False)
    page = AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE_S).run()
    upload(page, photo=PHOTO)
    assert headlines(page) == ["Almost certainly running — > 99 %"]
    update_manifest(tiny_models / "tiny", temperature=5.0)
    page.run()
    assert not page.exception
    assert headlines(page)[0].startswith(("Probably running", "Perhaps running"))
