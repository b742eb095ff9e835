import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from dashboard.rest import routes
from tests.pages.conftest import installed_components_are_searched_once  # noqa: F401


@pytest.fixture(scope="session")
def api():
    """Return the REST API alone."""
    app = FastAPI()
    routes.install(app)
    return app


@pytest.fixture
def client(api, tiny_models):
    """Return a client of the REST API alone, with the tiny model."""
    with TestClient(api) as client:
        yield client
