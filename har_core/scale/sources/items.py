"""One input of a job: which photograph, where its bytes are, and what tells that it changed."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from har_core.scale.sources.locations import is_remote, local_path
from har_core.storage.names import real_path, storable

UNKNOWN: Final = -1


class Item(NamedTuple):
    """An input.

    Parameters
    ----------
    uri : str
        Absolute path or URI, unique: ``/photos/a.jpg``, ``s3://bucket/a.jpg``, of a member
        ``/photos/b.tar#a.jpg``, of a row ``/photos/c.parquet#17``. Storable, see
        `har_core.storage.names.storable`.
    size : int
        Bytes; -1 if it is not known.
    mtime_ns : int
        Time of the last change of the file, or of that which it lies in, in nanoseconds since 1970;
        -1 if it is not known.
    etag : str
        What a server says of the content; ``""`` if it is not known.
    container : str
        The tar or Parquet file that holds the bytes; ``""`` for a file of its own.
    column : str
        Of a Parquet file.
    start : int
        Where in the container: byte of a tar, row of a Parquet file.
    trouble : str
        Of a folder, list, table or tar file that could not be read, or not to its end: why, in a
        sentence. It stands for what could not be listed, and has a row of its own.
    """

    uri: str
    size: int = UNKNOWN
    mtime_ns: int = UNKNOWN
    etag: str = ""
    container: str = ""
    column: str = ""
    start: int = UNKNOWN
    trouble: str = ""


def local_item(uri: str) -> Item:
    """Return the item of a file on this machine, by its storable path."""
    try:
        status = os.stat(real_path(uri))  # noqa: PTH116 (making 100,000 Paths takes a second)
    except (OSError, ValueError):
        return Item(uri)
    return Item(uri, status.st_size, status.st_mtime_ns)


def remote_item(uri: str, info: Any) -> Item:
    """Return the item of an object by its ``pyarrow.fs.FileInfo``."""
    size, mtime = info.size, info.mtime_ns
    return Item(uri, -1 if size is None else size, -1 if mtime is None else mtime)


def item_named(name: str, folder: str) -> Item:
    """Return the item that a line of a list or a cell of a table names.

    Parameters
    ----------
    name : str
        Path, relative to the folder or absolute, or URI.
    folder : str
        In which the list lies; a path or URI.
    """
    address = address_of(name, folder)
    return Item(address) if is_remote(address) else local_item(address)


def address_of(name: str, folder: str) -> str:
    """Return the URI of what a list names, see `item_named`, without looking for it."""
    if is_remote(name):
        return storable(name)
    if is_remote(folder):
        return storable(f"{folder}/{name.lstrip('/')}")
    path = os.path.join(folder, os.path.expanduser(local_path(name)))  # noqa: PTH111, PTH118
    return storable(os.path.normpath(path))


@cache
def items_schema() -> Any:
    """Return the Arrow schema of a table of items."""
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64()}
    return pa.schema([(name, types[kind]) for name, kind in Item.__annotations__.items()])


def items_table(items: Sequence[Item]) -> Any:
    """Return items as an Arrow table."""
    import pyarrow as pa

    columns = zip(*items, strict=True) if items else [[] for _ in Item._fields]
    schema = items_schema()
    arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def table_items(table: Any) -> list[Item]:
    """Return the items of a table from `items_table`."""
    return [Item(*row) for row in zip(*(c.to_pylist() for c in table.columns), strict=True)]


def uri_keys(uris: Iterable[str]) -> np.ndarray:
    """Return a 128-bit key for each URI, of numpy's type ``S16``: small enough for 10⁸ of them."""
    keys = [hashlib.blake2b(uri.encode(), digest_size=16).digest() for uri in uris]
    return np.array(keys, "S16")
