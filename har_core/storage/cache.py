"""Where results that can be computed again are kept: never beside the photographs."""

import io
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from har_core.errors import ZIP_DAMAGE, DatasetError
from har_core.settings import CACHE_DIR, DISTRIBUTION, checkout
from har_core.storage.files import write_atomically


def cache_dir() -> Path:
    """Return the cache folder: ``HAR_CACHE_DIR``, else ``.har_cache/`` of a checkout.

    Installed without one, it is the user's cache folder, as the system has it.
    """
    if (chosen := CACHE_DIR.folder()) is not None:
        return chosen
    project = checkout()
    return project / ".har_cache" if project else user_cache_path(DISTRIBUTION, appauthor=False)


def load_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Read arrays that `store_arrays` wrote; None if there are none or they are damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, *ZIP_DAMAGE):
        return None


def store_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays to one ``.npz`` file, atomically.

    Raises
    ------
    DatasetError
        If the file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise DatasetError(
            f"Cannot write the cache {path}: {error.strerror or error}. Make room on its disk, or "
            "set HAR_CACHE_DIR to a folder that can be written."
        ) from error
