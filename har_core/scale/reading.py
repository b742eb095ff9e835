"""From items to bytes, one batch ahead of the worker, and to what is made of them."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Generic, Protocol, TypeVar

from har_core.errors import HarError, InvalidImageError, on_one_line
from har_core.images.decoding import MAX_BYTES, read_bytes, too_large
from har_core.scale.sources.contents import ContainerReader
from har_core.scale.sources.items import UNKNOWN, Item
from har_core.scale.sources.locations import (
    BUCKETS,
    TRIES,
    WEB,
    NoAddressError,
    NoAnswerError,
    SourceLostError,
    is_remote,
    open_filesystem,
    with_retries,
)
from har_core.storage.names import real_path
from har_core.storage.paths import is_folder

FAILED: Final = "failed"
NOT_LISTED: Final = "unreadable_source"
BATCH_BYTES: Final = 16 * 2**20
BATCH_ITEMS: Final = 32
_TYPICAL_BYTES: Final = 2**18
# A server is asked for several photographs at a time, each of which takes long to come.
_REQUESTS: Final = 8
# Web servers that answered with a failure to the last, and are not waited for until they do better.
_failing: Final[set[str]] = set()


class WithItem(Protocol):
    """What becomes of a photograph knows which one it is of."""

    @property
    def item(self) -> Item:
        """Return the input."""


T = TypeVar("T", bound=WithItem)


def unforeseen(error: Exception) -> str:
    """Say in a few words what a library's exception was."""
    return f"{type(error).__name__}: {on_one_line(error)}"


class Look(ABC, Generic[T]):
    """What becomes of a photograph's bytes."""

    @abstractmethod
    def look(self, item: Item, data: bytes) -> T:
        """Return what there is to know of a photograph; bytes that are none are no error."""

    @abstractmethod
    def without(self, item: Item, sentence: str, reason: str, *, gone: bool) -> T:
        """Return what stands for a photograph that was not read, and why.

        Parameters
        ----------
        item : Item
        sentence, reason : str
            See `har_core.errors.InvalidImageError`.
        gone : bool
            There is no such file.
        """


def batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Cut items into batches of at most 32, and of about 16 MB of files."""
    batch: list[Item] = []
    n_bytes = 0
    for item in items:
        size = item.size if item.size != UNKNOWN else _TYPICAL_BYTES
        if batch and (len(batch) == BATCH_ITEMS or n_bytes + size > BATCH_BYTES):
            yield batch
            batch, n_bytes = [], 0
        batch.append(item)
        n_bytes += size
    if batch:
        yield batch


class Reader(Generic[T]):
    """Reads the photographs of one worker.

    Parameters
    ----------
    look : Look
        What becomes of their bytes.
    """

    def __init__(self, look: Look[T]) -> None:
        self._look = look
        self._containers = ContainerReader()
        self._requests = ThreadPoolExecutor(_REQUESTS)
        self._ahead = ThreadPoolExecutor(1)

    def read_ahead(self, items: Sequence[Item]) -> Iterator[list[T]]:
        """Yield batches; while one is used, the next is read: two are in memory.

        Looking at them is left to the caller's thread: beside it, it would take the core from what
        is computed there, and what that needs out of the core's caches.

        Raises
        ------
        SourceLostError
            If photographs that were listed cannot be reached any more.
        """
        coming: tuple[list[Item], Future[list[bytes | Exception]]] | None = None
        for batch in batches(items):
            following = batch, self._ahead.submit(self._read_batch, batch)
            if coming is not None:
                yield self._looked_at(coming[0], coming[1].result())
            coming = following
        if coming is not None:
            yield self._looked_at(coming[0], coming[1].result())

    def read_now(self, item: Item) -> T:
        """Return what becomes of one photograph, nothing read ahead; raises as `read_ahead`."""
        return self._made_of(item, self._read(item))

    def _read_batch(self, batch: list[Item]) -> list[bytes | Exception]:
        # Of a container one thread alone reads, from front to back.
        asked = {
            item.uri: self._requests.submit(self._read, item)
            for item in batch
            if is_remote(item.uri) and not item.container
        }
        return [
            asked[item.uri].result() if item.uri in asked else self._read(item) for item in batch
        ]

    def _read(self, item: Item) -> bytes | Exception:
        """Return a photograph's bytes, or why it has none; raises what concerns others, too."""
        try:
            return b"" if item.trouble else self._bytes(item)
        except InvalidImageError as error:
            return error
        except HarError:
            raise
        except Exception as error:  # of a library, at this one photograph
            return error

    def _looked_at(self, batch: list[Item], contents: list[bytes | Exception]) -> list[T]:
        return [self._made_of(item, data) for item, data in zip(batch, contents, strict=True)]

    def _made_of(self, item: Item, data: bytes | Exception) -> T:
        if item.trouble:
            return self._look.without(item, item.trouble, NOT_LISTED, gone=False)
        try:
            if isinstance(data, Exception):
                raise data
            return self._look.look(item, data)
        except InvalidImageError as error:
            gone = isinstance(error.__cause__, FileNotFoundError)
            return self._look.without(item, str(error), error.reason, gone=gone)
        except HarError:
            raise
        except Exception as error:  # as above
            sentence = f"It cannot be read ({unforeseen(error)})."
            return self._look.without(item, sentence, FAILED, gone=False)

    def _bytes(self, item: Item) -> bytes:
        if item.container:
            return self._from_container(item)
        if is_remote(item.uri):
            return _from_server(item)
        try:
            return read_bytes(item.uri)
        except InvalidImageError:
            if item.size != UNKNOWN:  # else it was not there when it was listed
                _check_folder(item.uri)
            raise

    def _from_container(self, item: Item) -> bytes:
        try:
            return self._containers.read(item)
        except HarError:
            raise
        except Exception as error:  # of whatever reads such files; the others in it may be sound
            if not is_remote(item.container):
                _check_folder(item.container)
            why = getattr(error, "strerror", None) or unforeseen(error)
            raise InvalidImageError(
                f"Cannot read {item.uri}: {why}.",
                "unreadable" if _of_the_disk(error) else "damaged",
            ) from error


def _check_folder(path: str) -> None:
    """Stop where a photograph is gone together with its folder: an unplugged disk, say."""
    folder = os.path.dirname(real_path(path))  # noqa: PTH120 (a million Paths take long)
    if not is_folder(folder):
        raise SourceLostError(
            f"{folder} vanished. What was done is kept; bring the folder back and start again."
        )


def _of_the_disk(error: Exception) -> bool:
    """Tell what may be over at the next try from what a file's content is to blame for."""
    passing = FileNotFoundError | PermissionError
    return isinstance(error, passing) or bool(getattr(error, "errno", None))


def _from_server(item: Item) -> bytes:
    if item.size > MAX_BYTES:
        raise too_large(item.size)
    try:
        filesystem, path = open_filesystem(item.uri)
    except NoAddressError as error:
        raise InvalidImageError(str(error), "unreadable") from error
    if "/" not in path and item.uri.lower().startswith(BUCKETS):
        raise InvalidImageError(f"{item.uri} names no photograph in its bucket.", "unreadable")

    def read() -> Any:
        try:
            with filesystem.open_input_stream(path) as stream:
                return stream.read(MAX_BYTES + 1)
        except ValueError as error:  # of an address that can be none
            raise InvalidImageError(f"Cannot open {item.uri}: {error}.", "unreadable") from error

    server = item.uri.split("/")[2]
    try:
        content = with_retries(read, item.uri, tries=1 if server in _failing else TRIES)
        _failing.discard(server)
        return content
    except NoAnswerError as error:
        raise InvalidImageError(str(error), "unreadable") from error
    except SourceLostError as error:
        if not item.uri.lower().startswith(WEB):
            raise
        # Of many servers, one that is broken must neither end the job nor hold it up.
        _failing.add(server)
        message = f"{item.uri} cannot be reached ({error.__cause__})."
        raise InvalidImageError(message, "unreadable") from error
    except FileNotFoundError as error:
        raise InvalidImageError(f"There is no {item.uri}.", "unreadable") from error
    except PermissionError as error:
        raise InvalidImageError(f"{item.uri} may not be read: {error}.", "unreadable") from error
