"""Where photographs and results lie: on this machine, in a bucket, behind a web server."""

import errno
import functools
import io
import os
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from har_core.errors import DatasetError, HarError, on_one_line
from har_core.extras import require_scale_extra
from har_core.storage.names import one_line, real_path

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# Before the path: no host, or one, which is this.
_FILE: Final = re.compile(r"file:(?://[^/]*(?=/)|(?=/(?!/)))", re.IGNORECASE)
# A server that answers "slow down" is asked again after 0.5, 1, 2, 4 and 8 s; pyarrow itself asks
# S3 three times each, and Google for as long as that takes.
TRIES: Final = 6
_FIRST_WAIT_S: Final = 0.5
_ASK_GOOGLE: Final = timedelta(seconds=1)
BUCKETS: Final = ("s3", "gs", "gcs")
WEB: Final = ("http", "https")
# More than S3's rules allow today: old buckets and other servers have such names.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{1,254}", re.ASCII)
_NO_NUL: Final = "no path can hold a NUL character"
_READ_AHEAD: Final = 2**16
# Of paths that this machine's file system will never open, however long one waits.
_IMPOSSIBLE: Final = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.EINVAL})
T = TypeVar("T")


class SourceLostError(HarError):
    """Photographs cannot be reached any more: a folder vanished, a server stopped answering."""


class NoAddressError(HarError):
    """There can be nothing at a location: no such kind of it, or no such bucket."""


class NoAnswerError(HarError):
    """A web server does not answer, which others that a list names may do."""


class SourceDamagedError(DatasetError):
    """A list, table or tar file cannot be read, or not to its end; what could be was listed."""


def is_remote(uri: str) -> bool:
    """Tell whether a location is named by a scheme other than that of files: ``s3://…``."""
    match = _SCHEME.match(uri)
    return match is not None and match[1].lower() != "file"


def local_path(uri: str) -> str:
    """Return the path of a location on this machine.

    ``file:///a%20b``, ``file://localhost/a%20b`` and ``file:/a%20b`` are ``/a b`` (RFC 8089). What
    names none, such as ``file://photos``, stays as it is.
    """
    match = _FILE.match(uri)
    if match is None:
        return uri
    path = unquote(uri[match.end() :], errors="surrogateescape")
    return uri if "\0" in path else path


def absolute_path(location: str) -> str:
    """Return the absolute path of a location on this machine; links in it are not followed."""
    return os.path.abspath(os.path.expanduser(local_path(location)))  # noqa: PTH100, PTH111


def open_filesystem(uri: str) -> tuple[Any, str]:
    """Return the ``pyarrow.fs.FileSystem`` of a location, and the location's path in it.

    Parameters
    ----------
    uri : str
        A path, ``s3://``, ``gs://``, ``https://``, or whatever fsspec knows. S3 takes its keys,
        region and endpoint from the environment as every tool of AWS does (``AWS_PROFILE``,
        ``AWS_ENDPOINT_URL``, …).

    Raises
    ------
    NoAddressError
        If there is no such kind of location or bucket, or no path can be called so.
    HarError
        If it needs a package that is not installed, or cannot be reached.
    """
    if "\0" in uri:
        raise NoAddressError(f"Cannot open {one_line(uri)}: {_NO_NUL}.")
    if not is_remote(uri):
        from pyarrow import fs

        return fs.LocalFileSystem(), os.path.abspath(local_path(uri))  # noqa: PTH100
    scheme, rest = uri.split("://", 1)
    scheme = scheme.lower()
    if scheme in BUCKETS:
        bucket = rest.split("/", 1)[0]
        if not _BUCKET.fullmatch(bucket):
            raise NoAddressError(f"Cannot open {uri}: no bucket can be called {bucket!r}.")
        kind = "s3" if scheme == "s3" else "gs"
        return _bucket_filesystem(kind, bucket), rest.rstrip("/")
    filesystem, strip = _fsspec_filesystem(scheme)
    return filesystem, strip(uri)


@functools.cache
def _bucket_filesystem(kind: str, bucket: str) -> Any:
    from pyarrow import fs

    try:
        if kind == "gs":
            return fs.GcsFileSystem(retry_time_limit=_ASK_GOOGLE)
        # A part is small enough to be written by one request instead of three.
        options: dict[str, Any] = {
            "allow_delayed_open": True,
            "background_writes": False,
            "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=3),
        }
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            parts = urlsplit(endpoint)
            options |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
        elif not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
            options["region"] = fs.resolve_s3_region(bucket)
        return fs.S3FileSystem(**options)
    except (OSError, ValueError) as error:
        if f"Bucket '{bucket}' not found" in str(error):  # pyarrow has no other word for it
            raise NoAddressError(f"There is no bucket {bucket}.") from error
        raise HarError(f"Cannot reach the bucket {bucket}: {error}.") from error


@functools.cache
def _fsspec_filesystem(scheme: str) -> tuple[Any, Callable[[str], str]]:
    from pyarrow import fs

    require_scale_extra(f"Reading {scheme}://", ("fsspec", "aiohttp"))
    import fsspec

    try:
        found = fsspec.filesystem(scheme)
    except ValueError as error:
        raise NoAddressError(f"Cannot read {scheme}:// locations: {error}.") from error
    except ImportError as error:
        raise HarError(f"Cannot read {scheme}:// locations: {error}.") from error
    if scheme in WEB:
        _let_say_why(found)
    return fs.PyFileSystem(fs.FSSpecHandler(found)), found._strip_protocol


def _let_say_why(web: Any) -> None:
    """Let fsspec's filesystem of the web raise what went wrong: it says that nothing is there."""
    asked = web.info

    def info(path: str, **options: Any) -> Any:
        try:
            return asked(path, **options)
        except FileNotFoundError as error:
            cause = error.__cause__
            status = getattr(cause, "status", None)
            if not isinstance(cause, Exception) or status in (404, 410):
                raise
            if status or isinstance(cause, ValueError):  # an answer; or an address that can be none
                raise cause from None
            why = on_one_line(cause) or type(cause).__name__
            raise NoAnswerError(f"{path} cannot be reached ({why}).") from cause

    web.info = info
    web.isfile = lambda path: info(path) is not None


def with_retries(
    action: Callable[[], T], what: str, *, wait: float = _FIRST_WAIT_S, tries: int = TRIES
) -> T:
    """Do something with a server; again, with longer and longer waits, while that fails.

    Parameters
    ----------
    action : callable
        Without arguments.
    what : str
        Location, for the message.
    wait : float
        Seconds before the second try.
    tries : int
        At least 1.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, PermissionError, HarError
        At once: asking again does not help.
    SourceLostError
        If it still fails in the end.
    """
    for attempt in range(tries):
        try:
            return action()
        except (FileNotFoundError, NotADirectoryError, HarError):
            raise
        # Of pyarrow, fsspec and the HTTP clients below, which share no narrower base.
        except Exception as error:
            if is_refused(error):
                raise PermissionError(str(error)) from error
            if "NO_SUCH_BUCKET" in str(error):  # of pyarrow, where it writes
                raise NoAddressError(f"There is no bucket {urlsplit(what).netloc}.") from error
            if isinstance(error, ValueError):  # of pyarrow: a name that none can have
                raise HarError(f"Cannot open {what}: {error}.") from error
            if isinstance(error, OSError) and error.errno in _IMPOSSIBLE:
                raise HarError(f"Cannot open {what}: {os.strerror(error.errno)}.") from error
            if attempt == tries - 1:
                raise SourceLostError(
                    f"{what} cannot be reached ({error}). What was done is kept; start again when "
                    "it can."
                ) from error
            time.sleep(wait * 2**attempt)
    raise AssertionError


def is_refused(error: Exception) -> bool:
    """Tell whether an error is about one object and would come again: no access, gone."""
    status = getattr(error, "status", None)
    gone = isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)
    return gone or isinstance(error, PermissionError) or "ACCESS_DENIED" in str(error)


def location_stamp(uri: str) -> tuple[int, int]:
    """Return what changes when a file elsewhere does; zeros where its server does not say it.

    Raises
    ------
    HarError
        If it cannot be reached.
    """
    filesystem, path = open_filesystem(uri)
    try:
        info = with_retries(lambda: filesystem.get_file_info(path), uri)
    except OSError:  # whoever reads it is told why
        return (0, 0)
    return (info.mtime_ns or 0, info.size or 0)


def open_file(uri: str) -> tuple[Any, int]:
    """Open a file for reading at any place; also return the time of its last change.

    Parameters
    ----------
    uri : str

    Returns
    -------
    file : binary file
        Errors of what reads it are its content's: a server is asked again, see `with_retries`.
    mtime_ns : int
        In nanoseconds since 1970; -1 if it is not known.
    """
    if not is_remote(uri):
        import pyarrow as pa

        if "\0" in uri:
            raise ValueError(_NO_NUL)
        here = os.fsencode(local_path(real_path(uri)))  # a name may be no Unicode
        return pa.OSFile(here), os.stat(here).st_mtime_ns  # noqa: PTH116
    filesystem, path = open_filesystem(uri)

    def opened() -> tuple[Any, int]:
        mtime_ns = filesystem.get_file_info(path).mtime_ns
        return filesystem.open_input_file(path), -1 if mtime_ns is None else mtime_ns

    file, mtime_ns = with_retries(opened, uri)
    return io.BufferedReader(_Served(file, uri), _READ_AHEAD), mtime_ns


class _Served(io.RawIOBase):
    """A file on a server."""

    def __init__(self, file: Any, uri: str) -> None:
        self._file = file
        self._uri = uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        start = self._file.tell()

        def read() -> int:
            self._file.seek(start)
            return self._file.readinto(buffer)

        return with_retries(read, self._uri)

    def close(self) -> None:
        self._file.close()
        super().close()
