"""What only a real server process shows; see `tests.dashboard.rest` for the rest."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import tomllib
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.dashboard_process import ROOT, running_dashboard
from tests.drawing import photo_bytes, write_tiny_bundle
from tests.patience import PATIENCE_S

PART = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("process")
    write_tiny_bundle(folder / "models")
    with running_dashboard(folder / "log.txt", folder / "models") as running:
        yield running


@pytest.fixture
def client(server):
    with httpx2.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        yield client


def open_connection(server) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S)


def open_upload(server, headers: str) -> socket.socket:
    connection = open_connection(server)
    connection.sendall(
        f"POST /predict HTTP/1.1\r\nHost: {urlsplit(server.url).netloc}\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\n{headers}\r\n\r\n".encode()
    )
    return connection


def knock_until_refused(server) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        open_upload(server, "Content-Length: 1").close()
        time.sleep(0.05)


def send_chunk(connection: socket.socket, data: bytes) -> None:
    connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def test_health_turns_ready_without_any_request_for_a_prediction(client):
    deadline = time.monotonic() + PATIENCE_S
    while (answer := client.get("/health")).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (answer.status_code, answer.json()["model"]) == (200, "tiny")


def test_photograph_is_classified(client):
    answer = client.post("/predict", files={"file": ("photo.jpg", photo_bytes("sitting"))})
    assert (answer.status_code, answer.json()["action"]) == (200, "sitting")


def test_address_of_the_api_is_not_the_web_page(client):
    answer = client.get("/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/dataset", "/evaluation"])
def test_addresses_of_pages_are_the_web_page(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"][:9]) == (200, "text/html")


@pytest.mark.parametrize("path", ["/no-such-page", "/api/health", "/evaluation/x"])
def test_an_unknown_address_is_never_well(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json().keys()) == (404, {"error"})
    page = client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.headers["content-type"][:9]) == (404, "text/html")


def test_post_to_an_unknown_address_is_refused(client):
    assert client.post("/no-such-route", content=b"x").status_code in (404, 405)


def test_somewhat_too_large_upload_of_unknown_length_gets_its_answer(client):
    parts = iter([PART, *[bytes(2**20)] * 25, b"\r\n--B--\r\n"])
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    answer = client.post("/predict", content=parts, headers=headers)
    assert (answer.status_code, answer.json().keys()) == (413, {"error"})


def test_endless_upload_is_stopped(server):
    with open_upload(server, "Transfer-Encoding: chunked") as connection:
        send_chunk(connection, PART)
        with pytest.raises(OSError):
            for _ in range(256):
                send_chunk(connection, bytes(2**18))


def test_announced_oversize_is_refused_before_it_is_sent(server):
    with open_upload(server, f"Content-Length: {30 * 2**20}") as connection:
        connection.settimeout(PATIENCE_S / 6)  # no longer than what is sent then is waited for
        assert b" 413 " in connection.recv(4096).splitlines()[0]


def test_interrupted_upload_leaves_the_server_well(server, client):
    connection = open_upload(server, "Content-Length: 1000000")
    connection.sendall(PART + bytes(1000))
    connection.close()
    answer = client.post("/predict", files={"file": ("secret-name.jpg", photo_bytes("running"))})
    assert answer.json()["action"] == "running"


def test_half_open_connections_keep_nobody_waiting_and_no_memory(server, client):
    client.post("/predict", files={"file": ("a.jpg", photo_bytes())})
    before = resident_mb(server)
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(open_upload(server, "Content-Length: 1000000")).sendall(PART)
            stack.enter_context(open_connection(server)).sendall(b"POST /predict HTTP/1.1\r\nX-End")
        answer = client.post("/predict", files={"file": ("a.jpg", photo_bytes("sitting"))})
        assert answer.json()["action"] == "sitting"
        assert client.get("/").status_code == 200
    assert resident_mb(server) < before + 100


def test_refused_uploads_leave_the_memory_flat(server, client):
    large = bytes(15 * 2**20)

    def refused():
        for _ in range(10):
            answer = client.post("/predict", files={"file": ("a.jpg", large)})
            assert answer.status_code == 415

    refused()
    before = resident_mb(server)
    refused()
    assert resident_mb(server) < before + 30


def test_other_sites_may_not_read_the_pages(client):
    for path in ("/", "/_stcore/health", "/metrics"):
        answer = client.get(path, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers


def test_the_pages_scripts_travel_compressed_and_answers_of_the_api_do_not(client):
    client.headers["Accept-Encoding"] = "gzip"
    page = client.get("/")
    assert page.headers["content-encoding"] == "gzip"
    script = re.search(r'src="\.?/?(static/js/[^"]+\.js)"', page.text).group(1)
    with client.stream("GET", f"/{script}") as answer:
        assert answer.headers["content-encoding"] == "gzip"
        travelled = len(b"".join(answer.iter_raw()))
    plain = client.get(f"/{script}", headers={"Accept-Encoding": "identity"})
    assert travelled < 0.5 * len(plain.content)
    assert "content-encoding" not in client.get("/models").headers


def test_server_ends_cleanly_and_its_log_names_no_upload(server):
    assert server.stop() in (0, 1)  # Streamlit's command ends with 1 after Ctrl-C
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "secret-name" not in log
    requests = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"/predict", "/health"} <= {request["route"] for request in requests}
    assert all(request["status"] < 500 or request["status"] == 503 for request in requests)


def test_sigterm_lets_a_running_request_finish_and_takes_no_new_one(tmp_path):
    write_tiny_bundle(tmp_path / "models")
    body = PART + photo_bytes("sitting") + b"\r\n--B--\r\n"
    with running_dashboard(tmp_path / "log.txt", tmp_path / "models") as server:
        headers = f"Content-Length: {len(body)}\r\nExpect: 100-continue"
        with open_upload(server, headers) as connection:
            assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")  # the request has begun
            connection.sendall(body[:1000])
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(OSError):
                knock_until_refused(server)
            connection.sendall(body[1000:])
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'"action":"sitting"' in answer
        assert server.process.wait(timeout=PATIENCE_S) in (0, -signal.SIGTERM)
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(("setting", "address"), [("", "localhost"), ("HOST=0.0.0.0", "0.0.0.0")])
def test_server_listens_on_this_machine_unless_told_otherwise(setting, address):
    command = ["make", "--dry-run", "--silent", "run", *setting.split()]
    environment = {k: v for k, v in os.environ.items() if k not in ("PORT", "MAKEFLAGS")}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert f"har_core serve --port 8501 --host {address}" in told.stdout
    config = tomllib.loads((ROOT / "dashboard" / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "localhost"  # without make


def resident_mb(server) -> float:
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("memory is read from /proc")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
