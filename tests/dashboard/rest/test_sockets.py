import socket
from contextlib import closing

import pytest

from dashboard.rest.sockets import send_without_delay


def has_no_delay(opened: socket.socket) -> bool:
    return opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_connections_to_a_listening_socket_send_at_once(family, address):
    with socket.socket(family) as server, socket.socket(family) as other:
        try:
            server.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        server.listen()
        send_without_delay()
        with socket.create_connection(server.getsockname()[:2]):
            accepted, _ = server.accept()
            with closing(accepted):
                assert has_no_delay(accepted)
        assert not has_no_delay(other)
