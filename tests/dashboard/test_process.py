"""What only a real server process shows; see `tests.dashboard.test_api` for the rest."""

import socket
import time
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.dashboard_process import running_dashboard
from tests.drawing import photo_bytes, write_tiny_bundle

PART = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("process")
    write_tiny_bundle(folder / "models")
    with running_dashboard(folder / "log.txt", folder / "models") as running:
        yield running


@pytest.fixture
def client(server):
    with httpx2.Client(base_url=server.url, timeout=20) as client:
        yield client


def open_upload(server, headers: str) -> socket.socket:
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    connection.sendall(
        f"POST /predict HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\n{headers}\r\n\r\n".encode()
    )
    return connection


def send_chunk(connection: socket.socket, data: bytes) -> None:
    connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def test_health_turns_ready_without_any_request_for_a_prediction(client):
    deadline = time.monotonic() + 20
    while (answer := client.get("/health")).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (answer.status_code, answer.json()["model"]) == (200, "tiny")


def test_photograph_is_classified(client):
    answer = client.post("/predict", files={"file": ("photo.jpg", photo_bytes("sitting"))})
    assert (answer.status_code, answer.json()["action"]) == (200, "sitting")


def test_address_of_the_api_is_not_the_web_page(client):
    answer = client.get("/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/no-such-page"])
def test_other_addresses_are_the_web_page(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"][:9]) == (200, "text/html")


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
        assert b" 413 " in connection.recv(4096).splitlines()[0]


def test_interrupted_upload_leaves_the_server_well(server, client):
    connection = open_upload(server, "Content-Length: 1000000")
    connection.sendall(PART + bytes(1000))
    connection.close()
    answer = client.post("/predict", files={"file": ("secret-name.jpg", photo_bytes("running"))})
    assert answer.json()["action"] == "running"


def test_server_ends_cleanly_and_its_log_names_no_upload(server):
    assert server.stop() in (0, 1)  # Streamlit's command ends with 1 after Ctrl-C
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "secret-name" not in log
