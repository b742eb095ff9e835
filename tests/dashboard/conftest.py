import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from dashboard.rest import routes


@pytest.fixture
def client(tiny_models):
    """Return a client of the REST API alone, with the tiny model."""
    app = FastAPI()
    routes.install(app)
    with TestClient(app) as client:
        yield client
