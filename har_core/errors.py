"""The errors that bad input raises; each message says what was wrong, with what, and what to do."""

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from typing import Final, Literal

InvalidImageReason = Literal[
    "unreadable",
    "empty",
    "too_large",
    "too_many_pixels",
    "html",
    "not_an_image",
    "unsupported_format",
    "truncated",
    "damaged",
    "no_answer",
]


# What `zipfile` raises on the way through a damaged or encrypted archive.
ZIP_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    IndexError,
    RuntimeError,
)


_LONGEST_REASON: Final = 300
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")  # of terminals; Keras and TensorFlow use them


def on_one_line(error: Exception) -> str:
    """Return what a library says went wrong, as part of a sentence."""
    return " ".join(_COLOURS.sub("", str(error)).split())[:_LONGEST_REASON].rstrip(".")


def some_of(names: Iterable[str], most: int = 10) -> str:
    """Return names for a message, so that a thousand of them do not flood the terminal."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


class HarError(Exception):
    """Base of all errors that are the input's fault, not the program's."""


class InvalidImageError(HarError):
    """A file or array that cannot be used as a photograph.

    Parameters
    ----------
    message : str
        One sentence for the user.
    reason : str
        Machine-readable cause: ``"unreadable"`` (no such file, no permission), ``"empty"``,
        ``"too_large"`` (bytes), ``"too_many_pixels"``, ``"html"`` (a web page),
        ``"not_an_image"`` (any other content), ``"unsupported_format"`` (an image format that is
        not read), ``"truncated"`` (its end is missing), ``"damaged"``, or ``"no_answer"`` (the
        model's fault: it gives no probabilities).
    """

    def __init__(self, message: str, reason: InvalidImageReason = "not_an_image") -> None:
        super().__init__(message)
        self.reason: InvalidImageReason = reason


class DatasetError(HarError):
    """A dataset folder or CSV that cannot be used as given."""


class LabelsError(DatasetError):
    """Labels that nothing can be learned from: with the same ones, another try fails again."""


class NoTableError(DatasetError):
    """A folder without a table and without folders of classes: nothing says what its labels are."""


class UnclearTableError(DatasetError):
    """A dataset whose table, or whose table's columns, somebody has to choose.

    Parameters
    ----------
    message : str
    tables : sequence of str
        Names of the tables to choose from; empty if the table is clear.
    headings : sequence of str
        Of the columns to choose from.
    """

    def __init__(
        self, message: str, *, tables: Sequence[str] = (), headings: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.tables = tuple(tables)
        self.headings = tuple(headings)


class ModelBundleError(HarError):
    """A model bundle or model file that is missing, damaged or refused."""
