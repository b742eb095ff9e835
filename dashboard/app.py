"""The ASGI entry point: one process, one loaded model, REST routes and web pages.

``streamlit run dashboard/app.py`` finds `app` and serves it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import streamlit as st
from fastapi import FastAPI
from fastapi_swagger import patch_fastapi

from dashboard.rest import routes, telemetry
from dashboard.rest.sockets import send_without_delay

ui = st.App(Path(__file__).parent / "navigation.py")
_run_ui = ui.lifespan()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the pages' runtime, and load the default model while the server already answers."""
    telemetry.start_request_log()
    send_without_delay()
    async with _run_ui(app):
        routes.load_default_model(warm_up=True)
        yield


app = FastAPI(
    title="Human action recognition",
    summary="What is the person in this photograph doing?",
    version=version("har-dashboard"),
    lifespan=lifespan,
    # The stock pages load their scripts from a CDN; patch_fastapi serves Swagger UI from here.
    docs_url=None,
    redoc_url=None,
    swagger_ui_oauth2_redirect_url=None,
)
routes.install(app)
patch_fastapi(app, redirect_from_root_to_docs=False)
app.mount("/", ui)
