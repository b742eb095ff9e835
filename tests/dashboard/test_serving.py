"""`har serve` hands its options to Streamlit, which runs dashboard/app.py."""

import socket
from pathlib import Path

import click
import pytest
from streamlit.web import cli as streamlit_cli
from typer.testing import CliRunner

from dashboard import serving
from har_core.cli import serve as command
from har_core.cli.main import application
from har_core.errors import HarError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what Streamlit would be called with, whatever listens on this machine."""
    words: list[str] = []
    monkeypatch.setattr(serving, "_check_address", lambda *_: None)
    monkeypatch.setattr(streamlit_cli, "main", lambda arguments, **_: words.extend(arguments))
    return words


def test_serve_runs_the_dashboard_on_this_machine_alone(started: list[str]) -> None:
    assert CliRunner().invoke(application(), ["serve"]).exit_code == 0
    assert started[0] == "run"
    assert Path(started[1]).parts[-2:] == ("dashboard", "app.py")
    options = dict(zip(started[2::2], started[3::2], strict=True))
    assert options["--server.address"] == "localhost"
    assert options["--server.port"] == "8501"


def test_serve_takes_address_port_and_prefix(started: list[str]) -> None:
    words = ["serve", "--host", "0.0.0.0", "--port", "80", "--base-path", "har"]
    assert CliRunner().invoke(application(), words).exit_code == 0
    options = dict(zip(started[2::2], started[3::2], strict=True))
    assert options["--server.address"] == "0.0.0.0"
    assert options["--server.port"] == "80"
    assert options["--server.baseUrlPath"] == "har"


@pytest.mark.parametrize(
    ("host", "shown"), [("::1", "[::1]"), ("::", "localhost"), ("127.0.0.1", "127.0.0.1")]
)
def test_serve_says_an_address_that_a_browser_opens(
    started: list[str], host: str, shown: str
) -> None:
    said = CliRunner().invoke(application(), ["serve", "--host", host, "--port", "80"])
    assert said.output == f"Pages and REST API: http://{shown}:80/\n"


def test_serve_says_where_and_asks_nobody_outside(started: list[str]) -> None:
    said = CliRunner().invoke(
        application(), ["serve", "--host", "0.0.0.0", "--port", "80", "--base-path", "/har/"]
    )
    assert said.output == "Pages and REST API: http://localhost:80/har\n"
    options = dict(zip(started[2::2], started[3::2], strict=True))
    assert options["--logger.hideWelcomeMessage"] == "true"


def test_wrong_precision_is_said_before_anything_is_served(
    started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_PRECISION", "int4")
    with pytest.raises(HarError, match="HAR_PRECISION is 'int4'; it must be float32, int8 or auto"):
        serving.serve("localhost", 80)
    assert not started


def test_ctrl_c_ends_what_was_served_until_then(
    started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **options: object) -> None:
        raise click.Abort

    monkeypatch.setattr(streamlit_cli, "main", interrupted)
    assert CliRunner().invoke(application(), ["serve"]).exit_code == 0


def test_a_setting_that_streamlit_refuses_is_one_line(
    started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **options: object) -> None:
        raise click.BadParameter("'x' is not a valid integer.")

    monkeypatch.setattr(streamlit_cli, "main", refused)
    with pytest.raises(
        HarError, match=r"^A STREAMLIT_ variable is wrong, or an option: .*'x' is not a valid"
    ):
        serving.serve("localhost", 80)


def test_an_address_of_the_sixth_version_is_tried_as_such() -> None:
    with socket.socket(socket.AF_INET6) as free:
        try:
            free.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no ::1")
        port = free.getsockname()[1]
        with pytest.raises(HarError, match=r"Cannot listen on ::1, port \d+: Address already"):
            serving._check_address("::1", port)
    serving._check_address("::1", port)


def test_serve_without_a_dashboard_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "entry_points", lambda group: [])
    result = CliRunner().invoke(application(), ["serve"])
    assert isinstance(result.exception, HarError)
    assert "The dashboard is not installed" in str(result.exception)
