"""Where people's work is kept that no dataset or bundle can hold: never in the cache."""

import contextlib
from pathlib import Path

from platformdirs import user_data_path

from har_core.errors import DatasetError
from har_core.settings import DATA_DIR, DISTRIBUTION
from har_core.storage.cache import cache_dir
from har_core.storage.files import write_atomically


def data_dir() -> Path:
    """Return the data folder: ``HAR_DATA_DIR``, else the user's own, as the system has it."""
    return DATA_DIR.folder() or user_data_path(DISTRIBUTION, appauthor=False)


def runs_folder() -> Path:
    """Return where the training runs of the page are kept; it may not exist yet."""
    return data_dir() / "training"


def work_dir(kind: str) -> Path:
    """Return the folder of one kind of work, which may not exist yet.

    Version 1.0 kept it in the cache folder. What lies there is moved, file by file; one that is
    already in the new folder with another content comes beside it, as ``NAME-from-cache``.

    Parameters
    ----------
    kind : str
        ``"decisions"`` or ``"evaluations"``.

    Raises
    ------
    DatasetError
        If there is old work, and it cannot be moved; it stays where it is.
    """
    folder, old = data_dir() / kind, cache_dir() / kind
    if old.is_dir() and old.resolve() != folder.resolve():
        try:
            _move_files(old, folder)
        except OSError as error:
            raise DatasetError(
                f"Cannot move {old} to {folder}: {error.strerror or error}. Set HAR_DATA_DIR to "
                "a folder that can be written, and do not delete the old one."
            ) from error
    return folder


def _move_files(old: Path, new: Path) -> None:
    for path in sorted(old.rglob("*")):
        try:
            if not path.is_file() or path.name.startswith("."):  # what a killed writer left
                continue
            content = path.read_bytes()
            target = new / path.relative_to(old)
            while target.is_file() and target.read_bytes() != content:
                target = target.with_stem(f"{target.stem}-from-cache")
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content)
            path.unlink()
        except FileNotFoundError:  # another process moves them, too
            continue
    for emptied in sorted((old, *old.rglob("*/")), reverse=True):
        with contextlib.suppress(OSError):
            emptied.rmdir()
