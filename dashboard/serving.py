"""Starts the server; `har serve` finds it through the installed project's entry points."""

from pathlib import Path


def serve(host: str, port: int, base_path: str = "") -> None:
    """Serve the pages and the REST API in this process until it is told to stop.

    Parameters
    ----------
    host : str
        Address to listen on: ``localhost``, or ``0.0.0.0`` for every one of this machine.
    port : int
    base_path : str, default ""
        What addresses begin with, behind a proxy that serves other things, too.
    """
    from streamlit.web import cli

    options = {
        "server.address": host,
        "server.port": port,
        "server.baseUrlPath": base_path,
        # It would ask a server outside for this machine's address.
        "logger.hideWelcomeMessage": "true",
    }
    shown = "localhost" if host in ("0.0.0.0", "::") else host
    print(f"Pages and REST API: http://{shown}:{port}/{base_path.strip('/')}", flush=True)
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    cli.main(["run", str(Path(__file__).with_name("app.py")), *flags], prog_name="har serve")
