"""Starts the server; `har serve` finds it through the installed project's entry points."""

import socket
from pathlib import Path

from har_core import HarError


def serve(host: str, port: int, base_path: str = "") -> None:
    """Serve the pages and the REST API in this process until it is told to stop.

    Parameters
    ----------
    host : str
        Address to listen on: ``localhost``, or ``0.0.0.0`` for every one of this machine.
    port : int
    base_path : str, default ""
        What addresses begin with, behind a proxy that serves other things, too.

    Raises
    ------
    HarError
        If it cannot listen there, `HAR_PRECISION` is wrong, or Streamlit has been given a setting
        that it refuses.
    """
    import click
    from streamlit.web import cli

    from har_core.model.precision import wanted_precision

    wanted_precision()  # or every answer would say that it is wrong
    _check_address(host, port)
    options = {
        "server.address": host,
        "server.port": port,
        "server.baseUrlPath": base_path,
        # It would ask a server outside for this machine's address.
        "logger.hideWelcomeMessage": "true",
    }
    shown = f"[{host}]" if ":" in host else host
    shown = "localhost" if host in ("0.0.0.0", "::") else shown
    print(f"Pages and REST API: http://{shown}:{port}/{base_path.strip('/')}", flush=True)
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    script = str(Path(__file__).with_name("app.py"))
    try:
        cli.main(["run", script, *flags], prog_name="har serve", standalone_mode=False)
    except click.Abort:
        return  # Ctrl-C: it has been served until then, as asked for
    except click.ClickException as error:
        raise HarError(
            f"A STREAMLIT_ variable is wrong, or an option: {error.format_message()}"
        ) from error


def _check_address(host: str, port: int) -> None:
    """Say what is wrong with an address before the server is made, which takes seconds."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = str(error.strerror or error).partition(" (while ")[0]
        raise HarError(
            f"Cannot listen on {host}, port {port}: {why}. Choose another with --host and --port."
        ) from error
