"""How much is taken on at once: a bounded queue for the requests that bring photographs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fastapi import HTTPException

from har_core.wording import counted

# At 60 and more answers a second on two cores nobody waits much longer than a second.
MAX_WAITING_REQUESTS: Final = 64
# The uploads of all of them together are held in memory.
MAX_WAITING_BYTES: Final = 400 * 2**20
RETRY_AFTER_S: Final = 1


class RequestQueue:
    """Counts the requests that were taken on and not answered yet; used in one event loop.

    Parameters
    ----------
    max_requests : int
        More are turned away.
    max_bytes : int
        Of their uploads together; a single larger one is taken on when nothing else waits.
    """

    def __init__(
        self, max_requests: int = MAX_WAITING_REQUESTS, max_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self.max_requests = max_requests
        self.max_bytes = max_bytes
        self.requests = 0
        self.bytes = 0

    @contextmanager
    def place(self, n_bytes: int) -> Iterator[None]:
        """Hold a place from before the upload is read until the answer is ready.

        Parameters
        ----------
        n_bytes : int
            Size of the upload, or the largest that is possible.

        Raises
        ------
        HTTPException
            503 with ``Retry-After`` if the queue is full.
        """
        full = self.requests >= self.max_requests
        if full or (self.requests and self.bytes + n_bytes > self.max_bytes):
            raise HTTPException(
                503,
                f"The server is busy with {counted(self.requests, 'request')}; "
                "try again in a moment.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self.requests += 1
        self.bytes += n_bytes
        try:
            yield
        finally:
            self.requests -= 1
            self.bytes -= n_bytes
