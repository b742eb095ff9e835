"""A folder of rows, one per input, in Parquet parts that are each written at once.

What lies in it, here or in a bucket:

- a file that says what its rows are, see `PartsFolder.info_file`;
- ``_job.json``: how far the latest job is, see `har_core.scale.status`;
- ``part-SHARD-START-STOP.parquet``: rows.

Whoever reads it reads all parts; names that begin with ``_`` or ``.`` are none.
"""

import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from har_core.errors import DatasetError, HarError
from har_core.scale.sources.locations import is_remote, local_path, open_filesystem, with_retries
from har_core.storage.files import write_atomically

_PART: Final = "part-"
_SUFFIX: Final = ".parquet"
_WRITTEN: Final = b"har_written_ns"


@dataclass(frozen=True)
class Part:
    """One file of rows: those from `start` to before `stop` of a shard of a job.

    Listed, it has the file's size and time of change: it is another one once it was replaced.
    """

    name: str
    shard: str
    start: int
    stop: int
    size: int = 0
    mtime_ns: int = 0


class PartsFolder:
    """A folder of rows, here or in a bucket.

    Parameters
    ----------
    location : str or path
        Path or URI.

    Attributes
    ----------
    info_file : str
        What says what the rows are; JSON.
    format_version : int
        Of that file and of the rows.
    holds : str
        What it holds, for messages.
    verb : str
        The command that makes it.

    Raises
    ------
    HarError
        If there is no such kind of location.
    """

    info_file: ClassVar[str]
    format_version: ClassVar[int]
    holds: ClassVar[str]
    verb: ClassVar[str]

    def __init__(self, location: str | os.PathLike[str]) -> None:
        location = os.fspath(location)
        self.location = location.rstrip("/") or "/"
        self.is_local = not is_remote(location)
        self._fs, self._folder = open_filesystem(self.location)

    def folder(self) -> Path:
        """Return the folder on this machine."""
        return Path(local_path(self._folder))

    def read_body(self) -> dict[str, Any]:
        """Return what the folder says of itself.

        Raises
        ------
        DatasetError
            If it is no folder of this kind, or one of another version.
        """
        text = self.read_text(self.info_file)
        if text is None:
            raise DatasetError(
                f"{self.location} holds no {self.holds}; make some with 'har {self.verb} SOURCE "
                f"--to {self.location}'."
            )
        try:
            body = json.loads(text)
            version = body.pop("format")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(f"Cannot read {self.location}/{self.info_file}: {error}.") from error
        if version != self.format_version:
            raise DatasetError(
                f"{self.location} has format {version!r}; this version reads "
                f"{self.format_version}. Name another folder."
            )
        return body

    def claim(self, body: dict[str, Any], *, in_use: bool = False) -> bool:
        """Make the folder and say what it holds; return False if that is settled already.

        It is from the first row on: a job that never wrote one has chosen nothing for the next.

        Parameters
        ----------
        body : dict
        in_use : bool, default False
            Whether another job is at work, whose rows are to come.

        Raises
        ------
        DatasetError
            If it holds other files of this kind, or cannot be written.
        """
        try:
            if self.is_local:
                self.folder().mkdir(parents=True, exist_ok=True)
            said, has_rows = self.read_text(self.info_file) is not None, bool(self.parts())
            if said and (has_rows or in_use):
                return False
            if has_rows:
                raise DatasetError(
                    f"{self.location} has parts but no {self.info_file}; name another."
                )
            text = json.dumps({"format": self.format_version, **body}, indent=2, ensure_ascii=False)
            self.write(self.info_file, f"{text}\n".encode())
        except OSError as error:
            raise DatasetError(
                f"Cannot write {self.location}: {error.strerror or error}."
            ) from error
        return True

    def remove_leftovers(self) -> None:
        """Remove what a killed worker had begun to write; only while no other job is running."""
        if self.is_local:
            for path in self.folder().glob(f".{_PART}*"):
                path.unlink(missing_ok=True)

    def parts(self, shard: str = "") -> list[Part]:
        """Return the parts, of one shard or of all, by name.

        Raises
        ------
        HarError
            If they cannot be listed.
        """
        from pyarrow import fs

        selector = fs.FileSelector(self._folder, allow_not_found=True)
        try:
            listed = with_retries(lambda: self._fs.get_file_info(selector), self.location)
        except OSError as error:
            raise DatasetError(f"Cannot list {self.location}: {error}.") from error
        found = (
            _parse(info)
            for info in sorted(listed, key=lambda info: info.base_name)
            if info.base_name.startswith(f"{_PART}{shard}") and info.base_name.endswith(_SUFFIX)
        )
        return [part for part in found if not shard or part.shard == shard]

    def write_part(
        self, shard: str, start: int, stop: int, rows: Any, *, after_ns: int = 0
    ) -> Part:
        """Write rows (an Arrow table) of a shard in one atomic step.

        They count as written now, but after some others, also where clocks differ.

        Raises
        ------
        OSError
            If they cannot be written; nothing is left behind then.
        """
        part = Part(f"{_PART}{shard}-{start:06d}-{stop:06d}{_SUFFIX}", shard, start, stop)
        self._write_rows(part, rows, max(time.time_ns(), after_ns + 1))
        return part

    def replace_part(self, part: Part, rows: Any) -> None:
        """Write a part that lost some of its rows, or remove it if it has none left."""
        if len(rows):
            self._write_rows(part, rows, int(rows.schema.metadata[_WRITTEN]))
        else:
            self._fs.delete_file(f"{self._folder}/{part.name}")

    def _write_rows(self, part: Part, rows: Any, written_ns: int) -> None:
        metadata = {_WRITTEN: str(written_ns).encode()}
        self.write_table(part.name, rows.replace_schema_metadata(metadata))

    def write_table(self, name: str, table: Any) -> None:
        """Write an Arrow table as a Parquet file, whole or not at all; raises as `write`."""
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        self.write(name, buffer.getvalue())

    def read_table(self, name: str, columns: Sequence[str]) -> Any:
        """Return columns of a file from `write_table`; None if it is not there.

        Raises
        ------
        DatasetError
            If it is damaged, or lacks a column.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self._fs.open_input_file(f"{self._folder}/{name}") as file:
                return pq.read_table(file, columns=list(columns))
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(
                f"Cannot read {self.location}/{name}: {error}. {self.verb.capitalize()} again."
            ) from error

    def stamp(self, name: str) -> tuple[int, int]:
        """Return a file's size and time of change in nanoseconds since 1970; -1 if not there."""
        path = f"{self._folder}/{name}"
        info = with_retries(lambda: self._fs.get_file_info(path), f"{self.location}/{name}")
        if not info.is_file:
            return -1, -1
        return info.size or 0, info.mtime_ns or 0

    def read_part(self, part: Part, columns: Sequence[str] | None = None) -> Any:
        """Return the rows of a part as an Arrow table.

        Raises
        ------
        DatasetError
            If it is damaged, or a job has replaced it since it was listed.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self._fs.open_input_file(f"{self._folder}/{part.name}") as file:
                if part.size not in (0, file.size()):
                    raise FileNotFoundError
                with pq.ParquetFile(file) as table:
                    return table.read(None if columns is None else list(columns))
        except FileNotFoundError as error:
            raise DatasetError(
                f"{self.location}/{part.name} is gone: a job has replaced its rows; try again."
            ) from error
        except (OSError, pa.ArrowException) as error:
            # A server that stays away, or what it holds: its errors do not tell.
            todo = "Delete it" if self.is_local else "Try again; if it is damaged, delete it"
            raise DatasetError(
                f"Cannot read {self.location}/{part.name}: {error}. {todo} and {self.verb} again."
            ) from error

    def written_ns(self, rows: Any) -> int:
        """Return when rows from `read_part` were written, in nanoseconds since 1970."""
        return int((rows.schema.metadata or {}).get(_WRITTEN, 0))

    def read_rows(self, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the rows of one part after another as Arrow tables."""
        for part in self.parts():
            yield self.read_part(part, columns)

    def read_text(self, name: str) -> str | None:
        """Return a small file's text; None if it is not there."""

        def read() -> bytes:
            with self._fs.open_input_stream(f"{self._folder}/{name}") as stream:
                return stream.read()

        try:
            return with_retries(read, f"{self.location}/{name}").decode()
        except (FileNotFoundError, NotADirectoryError):
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


def _parse(info: Any) -> Part:
    """Return the part of a ``pyarrow.fs.FileInfo``."""
    name = info.base_name
    try:
        shard, start, stop = name[len(_PART) : -len(_SUFFIX)].rsplit("-", 2)
        return Part(name, shard, int(start), int(stop), info.size or 0, info.mtime_ns or 0)
    except ValueError as error:
        raise DatasetError(f"{name} is no part of these results; move it elsewhere.") from error
