"""Arrays that live in a file, because they are larger than memory should be."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from har_core.errors import HarError


def make_disk_array(path: str | Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Make an array that is mapped from a new ``.npy`` file.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    shape : tuple of int
        Of the array.
    dtype : dtype-like
        Of its elements.

    Returns
    -------
    numpy.memmap
        Zeros.

    Raises
    ------
    HarError
        If the file cannot be made, or the disk has no room for all of it.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="w+", shape=shape, dtype=dtype)
        # The new file is sparse: without this, a disk that fills up later ends the process.
        if hasattr(os, "posix_fallocate"):
            with Path(path).open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, Path(path).stat().st_size)
    except OSError as error:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raise HarError(
            f"Cannot write {path}: {error.strerror or error}. It needs {size / 2**20:,.0f} MB."
        ) from error
    return array
