"""`serve`: the dashboard and the REST API."""

from importlib.metadata import entry_points
from typing import Annotated, Final

import typer

from har_core.errors import HarError

SERVERS: Final = "har_core.servers"

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in (SECURITY.md)."),
    ] = "localhost",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    base_path: Annotated[
        str, typer.Option(metavar="NAME", help="Serve below /NAME/ as well, behind a proxy.")
    ] = "",
) -> None:
    """Serve the dashboard's pages and the REST API until Ctrl-C.

    \b
    har serve
    har serve --host 0.0.0.0 --port 80
    """
    for entry_point in entry_points(group=SERVERS):
        entry_point.load()(host, port, base_path)
        return
    raise HarError(
        "The dashboard is not installed with this program; run 'make install' or install "
        "'har-dashboard'."
    )
