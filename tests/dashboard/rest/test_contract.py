"""Whatever the OpenAPI document allows, and what it does not, gets a documented answer."""

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings, strategies

from dashboard.rest import routes
from tests.drawing import CLASS_NAMES, draw_photo, encode, write_tiny_bundle

KEY = "a key"  # the document asks for one, and without it the answer must be 401
for name in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
    pictures = [encode(draw_photo(label), name) for label in CLASS_NAMES]
    schemathesis.openapi.media_type(f"image/{name.lower()}", strategies.sampled_from(pictures))
app = FastAPI()  # without the pages, whose runtime starts only once per process
routes.install(app)
schema = schemathesis.openapi.from_asgi("/openapi.json", app)
# What resembles no known parameter is ignored, and need not be refused.
schema.config.generation.update(allow_extra_parameters=False)


@pytest.fixture(scope="module", autouse=True)
def one_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contract")
    write_tiny_bundle(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAR_MODELS_DIR", str(folder))
        patch.delenv("HAR_MODEL", raising=False)
        patch.setenv("HAR_API_KEY", KEY)
        yield


@schema.parametrize()
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_request_gets_a_documented_answer(case):
    case.call_and_validate(headers={"X-API-Key": KEY})
