"""Files that are written whole or not at all, and their sha256."""

import hashlib
import os
import secrets
import shutil
import stat
from pathlib import Path

from har_core.storage.paths import exists


def sha256_of_file(path: str | Path) -> str:
    """Return the sha256 of a file's content as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part.

    A file that is replaced keeps its permissions; a new one has those that the system gives. A
    device or a pipe (``/dev/null``) is written to as it is: a file would take its place.

    Raises
    ------
    OSError
        If the folder cannot be written; the old file is untouched then.
    """
    path = Path(path)
    if is_stream(path):
        with path.open("wb") as file:
            file.write(content)
        return
    # The name may be as long as names can be.
    temporary = path.with_name(f".{path.name[:50]}.{secrets.token_hex(8)}")
    try:
        # What is to be private is so while it is written.
        temporary.touch(0o600 if exists(path) else 0o666)
        write_synced(temporary, content)
        if exists(path):
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_named(path: str | Path, content: bytes) -> None:
    """Write a file that a person named: `write_atomically`, through links as a shell does.

    Raises
    ------
    OSError
        See `write_atomically`.
    """
    path = Path(path)
    write_atomically(path if is_stream(path) else os.path.realpath(path), content)


def is_stream(path: str | Path) -> bool:
    """Tell whether a path leads to a pipe, a terminal or the like, which holds nothing to lose."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):  # the latter of a path with a NUL
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


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
