"""A RESULTS folder: one row per photograph, in Parquet parts that are each written at once.

What lies in it, here or in a bucket:

- ``_results.json``: which model answered, see `ResultsInfo`;
- ``_job.json``: how far the latest job is, see `har_core.scale.status`;
- ``part-SHARD-START-STOP.parquet``: rows with the columns of `results_schema`.

Whoever reads it reads all parts; names that begin with ``_`` or ``.`` are none.
"""

import dataclasses
import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from har_core.errors import DatasetError, HarError
from har_core.model.fields import (
    ACTION,
    CONFIDENCE,
    ERROR,
    FEATURES,
    IN_SCOPE,
    NOVELTY,
    REASON,
    VERDICT,
    WARNING,
)
from har_core.scale.sources.locations import is_remote, local_path, open_filesystem, with_retries
from har_core.storage.files import write_atomically

INFO_FILE: Final = "_results.json"
FORMAT_VERSION: Final = 1
_PART: Final = "part-"
_SUFFIX: Final = ".parquet"
_WRITTEN: Final = b"har_written_ns"


@dataclass(frozen=True)
class ResultsInfo:
    """What ``_results.json`` says: a folder holds the answers of one network, set in one way.

    Parameters
    ----------
    model : str
        Name of the bundle.
    fingerprint : str
        Of whatever an answer depends on, see `har_core.scale.models.fingerprint`.
    class_names : tuple of str
        In the order of the columns.
    n_features : int
        Length of ``features``; 0: there is no such column.
    created : str
        ISO 8601 time in UTC.
    """

    model: str
    fingerprint: str
    class_names: tuple[str, ...]
    n_features: int
    created: str

    def to_json(self) -> str:
        """Return the text of the file."""
        body = {"format": FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def results_schema(class_names: Sequence[str], n_features: int = 0) -> Any:
    """Return the Arrow schema of the parts.

    ``uri`` (unique), ``size``, ``mtime_ns`` and ``etag`` say which state of which input a row is
    of, as in `har_core.scale.sources.items.Item` (null where unknown); ``sha256`` which photograph,
    of its bytes (null if they could not be read). ``action``, ``confidence``, ``verdict``,
    ``in_scope``, ``novelty`` and ``warning`` are as in `har_core.model.prediction.Prediction`,
    followed by one column of the probability of each class, as shown, which sum to 1.
    ``features``, if any, are float16: the last feature map, averaged over the picture. Where there
    is no answer, ``error`` says why in a sentence and ``reason`` in a word (see
    `har_core.errors.InvalidImageError`; ``"crashed"``: it ended a worker twice), and the others are
    null.

    Parameters
    ----------
    class_names : sequence of str
    n_features : int, default 0
        Length of the feature vectors; 0: none.
    """
    import pyarrow as pa

    text, single = pa.string(), pa.float32()
    fields = [
        pa.field("uri", text, nullable=False),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("etag", text),
        ("sha256", text),
        (ACTION, text),
        (CONFIDENCE, single),
        (VERDICT, text),
        (IN_SCOPE, pa.bool_()),
        (NOVELTY, single),
        (WARNING, text),
        *((name, single) for name in class_names),
        *([(FEATURES, pa.list_(pa.float16(), n_features))] if n_features else []),
        (ERROR, text),
        (REASON, text),
    ]
    return pa.schema(fields)


@dataclass(frozen=True)
class Part:
    """One file of rows: those from `start` to before `stop` of a shard of a job."""

    name: str
    shard: str
    start: int
    stop: int


class Results:
    """A RESULTS folder, here or in a bucket.

    Parameters
    ----------
    location : str
        Path or URI.

    Raises
    ------
    HarError
        If there is no such kind of location.
    """

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/") or "/"
        self.is_local = not is_remote(location)
        self._fs, self._folder = open_filesystem(self.location)

    def folder(self) -> Path:
        """Return the folder of results on this machine."""
        return Path(local_path(self._folder))

    def read_info(self) -> ResultsInfo:
        """Return what the folder holds.

        Raises
        ------
        DatasetError
            If it is no folder of results, or one of another version.
        """
        text = self.read_text(INFO_FILE)
        if text is None:
            raise DatasetError(
                f"{self.location} holds no results; make some with 'har score SOURCE --to "
                f"{self.location}'."
            )
        try:
            body = json.loads(text)
            version = body.pop("format")
            info = ResultsInfo(**{**body, "class_names": tuple(body["class_names"])})
        except (ValueError, TypeError, KeyError) as error:
            raise DatasetError(f"Cannot read {self.location}/{INFO_FILE}: {error}.") from error
        if version != FORMAT_VERSION:
            raise DatasetError(
                f"{self.location} has format {version!r}; this version reads {FORMAT_VERSION}."
            )
        return info

    def create(self, info: ResultsInfo) -> ResultsInfo:
        """Make the folder, or check that what is there is of the same model.

        Raises
        ------
        DatasetError
            If it holds the answers of another model, or other files.
        """
        try:
            if self.is_local:
                self.folder().mkdir(parents=True, exist_ok=True)
            there = self.read_text(INFO_FILE) is not None
            if not there and self.parts():
                raise DatasetError(f"{self.location} has parts but no {INFO_FILE}; name another.")
            if not there:
                self.write(INFO_FILE, info.to_json().encode())
                return info
        except OSError as error:
            raise DatasetError(
                f"Cannot write {self.location}: {error.strerror or error}."
            ) from error
        found = self.read_info()
        if dataclasses.replace(found, created=info.created, model=info.model) != info:
            has = "with" if found.n_features else "without"
            wants = "with" if info.n_features else "without"
            raise DatasetError(
                f"{self.location} holds answers of {found.model!r} ({found.fingerprint[:8]}, {has} "
                f"features), not of {info.model!r} ({info.fingerprint[:8]}, {wants} features); "
                "name another folder."
            )
        return found

    def remove_leftovers(self) -> None:
        """Remove what a killed worker had begun to write; only while no other job is running."""
        if self.is_local:
            for path in self.folder().glob(f".{_PART}*"):
                path.unlink(missing_ok=True)

    def parts(self, shard: str = "") -> list[Part]:
        """Return the parts, of one shard or of all, by name."""
        from pyarrow import fs

        selector = fs.FileSelector(self._folder, allow_not_found=True)
        listed = with_retries(lambda: self._fs.get_file_info(selector), self.location)
        names = (info.path.rpartition("/")[2] for info in listed)
        found = (
            _parse(name)
            for name in sorted(names)
            if name.startswith(f"{_PART}{shard}") and name.endswith(_SUFFIX)
        )
        return [part for part in found if not shard or part.shard == shard]

    def write_part(self, shard: str, start: int, stop: int, rows: Any) -> Part:
        """Write rows (an Arrow table) of a shard in one atomic step.

        Raises
        ------
        OSError
            If they cannot be written; nothing is left behind then.
        """
        part = Part(f"{_PART}{shard}-{start:06d}-{stop:06d}{_SUFFIX}", shard, start, stop)
        self._write_rows(part, rows, time.time_ns())
        return part

    def replace_part(self, part: Part, rows: Any) -> None:
        """Write a part that lost some of its rows, or remove it if it has none left."""
        if len(rows):
            self._write_rows(part, rows, int(rows.schema.metadata[_WRITTEN]))
        else:
            self._fs.delete_file(f"{self._folder}/{part.name}")

    def _write_rows(self, part: Part, rows: Any, written_ns: int) -> None:
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        metadata = {_WRITTEN: str(written_ns).encode()}
        pq.write_table(rows.replace_schema_metadata(metadata), buffer, compression="zstd")
        self.write(part.name, buffer.getvalue())

    def read_part(self, part: Part, columns: Sequence[str] | None = None) -> Any:
        """Return the rows of a part as an Arrow table.

        Raises
        ------
        DatasetError
            If it is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = f"{self._folder}/{part.name}"
        try:
            with pq.ParquetFile(path, filesystem=self._fs) as file:
                return file.read(None if columns is None else list(columns))
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(
                f"Cannot read {self.location}/{part.name}: {error}. Delete it and score again."
            ) from error

    def written_ns(self, rows: Any) -> int:
        """Return when rows from `read_part` were written, in nanoseconds since 1970."""
        return int((rows.schema.metadata or {}).get(_WRITTEN, 0))

    def read_rows(self, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the rows of one part after another as Arrow tables."""
        for part in self.parts():
            yield self.read_part(part, columns)

    def n_rows(self) -> int:
        """Return the number of rows, from the ends of the files alone."""
        import pyarrow.parquet as pq

        paths = [f"{self._folder}/{part.name}" for part in self.parts()]
        return sum(pq.read_metadata(path, filesystem=self._fs).num_rows for path in paths)

    def read_text(self, name: str) -> str | None:
        """Return a small file's text; None if it is not there."""

        def read() -> bytes:
            with self._fs.open_input_stream(f"{self._folder}/{name}") as stream:
                return stream.read()

        try:
            return with_retries(read, f"{self.location}/{name}").decode()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise HarError(f"Cannot read {self.location}/{name}: {error}.") from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        path = f"{self._folder}/{name}"
        if self.is_local:
            write_atomically(path, content)
            return

        def put() -> None:
            with self._fs.open_output_stream(path) as stream:  # visible once it is closed
                stream.write(content)

        with_retries(put, f"{self.location}/{name}")


def _parse(name: str) -> Part:
    try:
        shard, start, stop = name[len(_PART) : -len(_SUFFIX)].rsplit("-", 2)
        return Part(name, shard, int(start), int(stop))
    except ValueError as error:
        raise DatasetError(f"{name} is no part of these results; move it elsewhere.") from error
