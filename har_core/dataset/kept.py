"""Datasets that were uploaded: kept in the data folder under a name, until they are removed."""

import contextlib
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO, Final

from har_core.dataset.zipped import MAX_UNPACKED_BYTES, unpack_dataset
from har_core.errors import DatasetError
from har_core.progress import Progress, silent
from har_core.storage.data import data_dir

_LEFT_OVER_S: Final = 86_400.0
_LEAST_FREE: Final = 500_000_000  # bytes that stay for everything else
# Words, one space apart: a folder's name on other systems too.
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]| (?=[A-Za-z0-9_-])){0,63}")


def kept_datasets() -> dict[str, Path]:
    """Return the kept datasets, name to folder, by name."""
    folders = sorted(path for path in _home().glob("[!.]*") if path.is_dir())
    return {path.name: path for path in folders}


def kept_name(folder: str | Path) -> str | None:
    """Return the name of the kept dataset that a folder is, None if it is none."""
    path = Path(folder).resolve()
    return path.name if path.parent == _home().resolve() and path.is_dir() else None


def check_kept_name(name: str) -> str:
    """Return `name` if a dataset can be kept under it.

    Raises
    ------
    DatasetError
        If it holds anything but letters, digits, ``.``, ``_``, ``-`` and single spaces between
        them, or is taken.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise DatasetError(
            f"{name!r} cannot be a dataset's name: use up to 64 letters, digits, '.', '_', '-' or "
            "single spaces, starting with a letter or digit."
        )
    if (_home() / name).exists():
        raise DatasetError(f"There is a dataset {name!r} already; choose another name.")
    return name


def keep_dataset(archive: IO[bytes], name: str, *, progress: Progress = silent) -> Path:
    """Unpack an uploaded ZIP and keep it; whatever goes wrong, nothing is left of it.

    Parameters
    ----------
    archive : binary file
    name : str
        See `check_kept_name`.
    progress : callable, optional
        Called with (what is being done, done, total); what it raises cancels the work.

    Returns
    -------
    Path
        Its folder, ``datasets/NAME`` in `har_core.storage.data.data_dir`.

    Raises
    ------
    DatasetError
        If the name cannot be used, the ZIP is unusable (see
        `har_core.dataset.zipped.unpack_dataset`), or the folder cannot be written.
    """
    check_kept_name(name)
    target = _home() / name
    try:
        _home().mkdir(parents=True, exist_ok=True)
        _clear_leftovers()
        # Its folder appears whole: what a kill leaves has a name that is passed over.
        staging = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=_home()))
        room = shutil.disk_usage(staging).free - _LEAST_FREE
    except OSError as error:
        raise DatasetError(
            f"Cannot write {_home()}: {error.strerror or error}. Set HAR_DATA_DIR to a folder that "
            "can be written."
        ) from error
    try:
        if room <= 0:
            raise DatasetError(f"The disk of {_home()} is nearly full; make room on it.")
        limit = min(room, MAX_UNPACKED_BYTES)
        unpack_dataset(archive, staging, max_bytes=limit, may_be_unclear=True, progress=progress)
        staging.chmod(0o755)
        check_kept_name(name)
        staging.rename(target)
    except OSError as error:
        raise DatasetError(f"Cannot write {target}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def remove_dataset(name: str) -> None:
    """Remove a kept dataset, and what was decided about its photographs.

    Raises
    ------
    DatasetError
        If it cannot be removed.
    """
    folder = kept_datasets().get(name)
    if folder is None:
        return
    going = folder.with_name(f".removed-{name}")
    try:
        shutil.rmtree(going, ignore_errors=True)
        folder.rename(going)
    except OSError as error:
        raise DatasetError(f"Cannot remove {folder}: {error.strerror or error}.") from error
    shutil.rmtree(going, ignore_errors=True)


def _clear_leftovers() -> None:
    """Remove what was being unpacked or removed when a process was killed, a day ago or more."""
    for path in (*_home().glob(".unpacking-*"), *_home().glob(".removed-*")):
        with contextlib.suppress(FileNotFoundError):  # somebody else removes them, too
            if time.time() - path.stat().st_mtime > _LEFT_OVER_S:
                shutil.rmtree(path, ignore_errors=True)


def _home() -> Path:
    return data_dir() / "datasets"
