"""Which photograph a file is: the sha256 of its bytes, computed once per state of the file."""

import binascii
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final

import numpy as np

from har_core.errors import DatasetError
from har_core.progress import Progress, silent
from har_core.storage.files import sha256_of_file
from har_core.storage.names import real_path

_DIGITS: Final = 64
_THREADS: Final = 4
_CHUNK: Final = 256
_REMEMBERED: Final = 500_000  # files; about 400 bytes each


def sha256_of_files(paths: Sequence[str | None], progress: Progress = silent) -> list[str]:
    """Return the sha256 of files; one that has not changed is not read again by this process.

    Parameters
    ----------
    paths : sequence of str or None
        Files; anything but a str is no file.
    progress : callable, optional
        Called with (what is being done, done, total); an exception from it ends the work.

    Returns
    -------
    list of str
        64 hexadecimal digits each; ``""`` where there is no file or it cannot be read.
    """
    digests: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:  # reading and hashing leave the interpreter free
        for start in range(0, len(paths), _CHUNK):
            digests += pool.map(sha256_of_photograph, paths[start : start + _CHUNK])
            progress("Telling photographs apart", len(digests), len(paths))
    return digests


def sha256_of_photograph(path: str | None) -> str:
    """Return the sha256 of a file, see `sha256_of_files`; ``""`` if it cannot be read."""
    if not isinstance(path, str):  # a missing path may be NaN in a table
        return ""
    try:
        path = real_path(path)
        status = os.stat(path)  # noqa: PTH116 (making 100,000 Paths takes a second)
        return _sha256(path, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError):  # ValueError: a zero byte
        return ""


@lru_cache(maxsize=_REMEMBERED)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    return sha256_of_file(path)


def digests_of(sha256: Any) -> np.ndarray:
    """Return the first 64 bits of each sha256, uint64, shape (N,); 0 for a null.

    Among a million photographs two have the same by chance once in 40 million tables.

    Parameters
    ----------
    sha256 : pyarrow.Array or ChunkedArray of str, length N

    Raises
    ------
    DatasetError
        If one is no sha256.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pc.fill_null(sha256.cast(pa.string()), "0" * _DIGITS)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not len(array):
        return np.empty(0, np.uint64)
    _, offsets, content = array.buffers()
    starts = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    try:
        if (np.diff(starts) != _DIGITS).any():
            raise ValueError
        letters = np.frombuffer(content, np.uint8)[starts[0] : starts[-1]].reshape(-1, _DIGITS)
        beginnings = letters[:, :16].tobytes()
        return np.frombuffer(binascii.unhexlify(beginnings), np.uint64)  # `fromhex` skips blanks
    except ValueError as error:
        raise DatasetError(
            f"The column 'sha256' holds {array[0].as_py()!r} or the like: a sha256 "
            f"is {_DIGITS} hexadecimal digits."
        ) from error
