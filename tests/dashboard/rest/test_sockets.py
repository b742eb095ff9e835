import socket
from contextlib import closing

from dashboard.rest.sockets import send_without_delay


def has_no_delay(opened: socket.socket) -> bool:
    return opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_connections_to_a_listening_socket_send_at_once():
    with socket.socket() as server, socket.socket() as other:
        server.bind(("127.0.0.1", 0))
        server.listen()
        send_without_delay()
        with socket.create_connection(server.getsockname()):
            accepted, _ = server.accept()
            with closing(accepted):
                assert has_no_delay(accepted)
        assert not has_no_delay(other)
