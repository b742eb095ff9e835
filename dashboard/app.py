"""The ASGI entry point: one process, one loaded model, REST routes and web pages.

``streamlit run dashboard/app.py`` finds `app` and serves it.
"""

import gc

gc.disable()  # nothing that is imported is garbage; to look for some takes a twentieth of the start

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import streamlit as st
from fastapi import FastAPI
from starlette_compress import CompressMiddleware

from dashboard.delivery import KeptScripts, PagesDocument
from dashboard.rest import routes, telemetry
from dashboard.rest.addresses import clean_prefix
from dashboard.rest.docs import install_docs
from dashboard.rest.sockets import send_without_delay
from dashboard.session_lock import share_session_locks
from dashboard.unsent import keep_what_is_unsent
from dashboard.wording.names import PRODUCT
from har_core.settings import DISTRIBUTION, shipped

_HERE = Path(__file__).parent
ui = st.App(_HERE / "navigation.py")
_run_ui = ui.lifespan()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the pages' runtime, and load the default model while the server already answers."""
    telemetry.start_request_log()
    send_without_delay()
    keep_what_is_unsent()
    share_session_locks()
    async with _run_ui(app):
        routes.load_default_model(warm_up=True)
        yield


app = FastAPI(
    title=PRODUCT,
    summary="What is the person in this photograph doing?",
    version=version(DISTRIBUTION),
    lifespan=lifespan,
    # Relative to the document, so that calls from /docs go below the same prefix.
    servers=[{"url": "./"}],
    root_path_in_servers=False,
    docs_url=None,
    redoc_url=None,
    swagger_ui_oauth2_redirect_url=None,
)
install_docs(app)
routes.install(
    app,
    prefix=clean_prefix(st.get_option("server.baseUrlPath")),
    pages=frozenset({"", *(page.stem for page in shipped("pages").glob("[!_]*.py"))}),
)
# The pages' scripts shrink to a third; answers of the REST API are small and stay as they are.
pages = PagesDocument(ui, PRODUCT)
app.mount("/", KeptScripts(CompressMiddleware(pages, zstd_level=9), files=pages))

gc.freeze()
gc.enable()
