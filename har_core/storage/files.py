"""Files that are written whole or not at all, and their sha256."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path


def sha256_of_file(path: str | Path) -> str:
    """Return the sha256 of a file's content as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part.

    Raises
    ------
    OSError
        If the folder cannot be written; the old file is untouched then.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        write_synced(Path(temporary), content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_synced(path: Path, content: bytes | Path) -> None:
    """Write bytes, or a copy of another file, and wait until they are on the disk."""
    with path.open("wb") as file:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, file)
        else:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
