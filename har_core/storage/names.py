"""File names as text that every file format, database and page can hold."""

import os


def printable(name: str | os.PathLike[str]) -> str:
    r"""Return a path as valid Unicode.

    Parameters
    ----------
    name : str or path-like
        As Python gives it: bytes that are no UTF-8 stand in it as lone surrogates (PEP 383), which
        JSON, CSV, Parquet, SQLite and browsers refuse.

    Returns
    -------
    str
        With each such byte escaped: ``caf\xe9.jpg``. Good to show and to compare; opening the file
        takes the original.
    """
    path = os.fspath(name)
    try:
        path.encode()
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return path
