"""The interactive documentation, served from here and by relative addresses, below any prefix."""

from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

_RESOURCES: Final = files("fastapi_swagger.resources")
_TYPES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
DOCS: Final = "/docs"


def install_docs(app: FastAPI) -> None:
    """Add ``/docs`` and the files of Swagger UI; the stock page loads them from a CDN."""

    @app.get(DOCS, include_in_schema=False)
    def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title} - Swagger UI",
            swagger_js_url="swagger/swagger-ui-bundle.js",
            swagger_css_url="swagger/swagger-ui.css",
            swagger_favicon_url="swagger/favicon-32x32.png",
            swagger_ui_parameters={
                "tryItOutEnabled": True,
                "persistAuthorization": True,
                "displayRequestDuration": True,
            },
        )

    for name, media_type in _TYPES.items():
        _add_file(app, name, media_type)


def _add_file(app: FastAPI, name: str, media_type: str) -> None:
    @app.get(f"/swagger/{name}", include_in_schema=False, name=name)
    def file() -> Response:
        content = (_RESOURCES / name).read_bytes()
        headers = {"Cache-Control": "public, max-age=3600"}
        return Response(content, media_type=media_type, headers=headers)
