"""Where results that can be computed again are kept: never beside the photographs."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the cache folder: ``HAR_CACHE_DIR``, else ``.har_cache/`` of the project."""
    override = os.environ.get("HAR_CACHE_DIR", "").strip()
    return Path(override).expanduser() if override else Path(__file__).parents[1] / ".har_cache"
