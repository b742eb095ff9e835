"""Files of photographs, each read once for all that training and evaluation want to know of it."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np

from har_core.errors import InvalidImageError
from har_core.images.decoding import decode_photograph, read_bytes
from har_core.images.fingerprints import fingerprint_image

_CHUNK: Final = 64


class Photograph(NamedTuple):
    """What a file of a photograph holds.

    Parameters
    ----------
    square : ndarray of uint8, shape (side, side, 3)
        See `har_core.images.decoding.decode_square`.
    fingerprint : ndarray of float32
        See `har_core.images.fingerprints.fingerprint_image`.
    sha256 : str
        Of the file, in hexadecimal digits.
    """

    square: np.ndarray
    fingerprint: np.ndarray
    sha256: str


def read_photograph(path: str, side: int) -> Photograph:
    """Read and decode a photograph.

    Raises
    ------
    InvalidImageError
        If it is no usable photograph.
    """
    data = read_bytes(path)
    decoded = decode_photograph(data, side=side, min_side=side)
    assert decoded.square is not None and decoded.image is not None
    digest = hashlib.sha256(data).hexdigest()
    return Photograph(decoded.square, fingerprint_image(decoded.image), digest)


def read_photographs(
    paths: Sequence[str | None], side: int
) -> Iterator[Photograph | InvalidImageError | None]:
    """Read photographs in threads, some ahead of what is done with them.

    Yields
    ------
    Photograph, InvalidImageError or None
        In the order of `paths`; why one cannot be used, and None where there is no path.
    """

    def read(path: str | None) -> Photograph | InvalidImageError | None:
        try:
            return None if path is None else read_photograph(path, side)
        except InvalidImageError as error:
            return error

    with ThreadPoolExecutor() as pool:
        coming: Iterator[Photograph | InvalidImageError | None] = iter(())
        for start in range(0, len(paths) + _CHUNK, _CHUNK):
            current, coming = coming, pool.map(read, paths[start : start + _CHUNK])
            yield from current
