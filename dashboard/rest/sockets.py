"""Answers that leave at once: TCP_NODELAY for the server's connections."""

import os
import socket
import stat
from pathlib import Path
from typing import Final

_OPEN_FILES: Final = Path("/dev/fd")  # missing on Windows


def send_without_delay() -> None:
    """Switch Nagle's algorithm off on this process's listening sockets; connections inherit that.

    asyncio does so for sockets that say they are TCP, but the one that Streamlit binds does not
    (as in https://github.com/Kludex/uvicorn/issues/3149). An answer of two packets on a kept
    connection then waits some 40 ms for the client's delayed acknowledgement of the first.
    """
    descriptors = (
        [int(entry.name) for entry in _OPEN_FILES.iterdir()] if _OPEN_FILES.is_dir() else []
    )
    for descriptor in descriptors:
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            opened = socket.socket(fileno=os.dup(descriptor))
        except OSError:  # closed meanwhile
            continue
        with opened:
            if _listens_on_tcp(opened):
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _listens_on_tcp(opened: socket.socket) -> bool:
    return (
        opened.family in (socket.AF_INET, socket.AF_INET6)
        and opened.type == socket.SOCK_STREAM
        and opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    )
