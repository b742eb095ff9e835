"""Where the photographs of an evaluation are: never another picture that has the same name."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from har_core.storage.files import sha256_of_file

NO_PHOTOGRAPHS_HINT: Final = (
    "Set the dataset folder in the sidebar to see the photographs behind these names."
)
NOT_KEPT_HINT: Final = "The photographs of this evaluation were not kept."
OTHER_PHOTOGRAPH_HINT: Final = (
    "The dataset folder has other photographs of these names than the evaluated ones."
)


@dataclass(frozen=True, eq=False)
class EvaluatedFiles:
    """Finds the files of evaluated photographs.

    Parameters
    ----------
    paths : mapping of str to str
        Filename to path, of photographs that may be the evaluated ones.
    sha256 : mapping of str to str
        Filename to the evaluated file's checksum; a photograph that it lacks is taken on trust.
    kept : bool
        Whether there can be photographs at all.
    """

    paths: Mapping[str, str]
    sha256: Mapping[str, str]
    kept: bool = True

    def get(self, filename: str) -> str | None:
        """Return the path of a photograph, or None if it is not there or another one is.

        Reads the file where its checksum is known, so ask only for photographs to be shown.
        """
        path, expected = self.paths.get(filename), self.sha256.get(filename)
        if path is None or expected is None:
            return path
        try:
            status = Path(path).stat()
            found = _sha256(path, status.st_mtime_ns, status.st_size)
        except OSError:
            return None
        return path if found == expected else None

    def why_missing(self, filename: str) -> str:
        """Say why `get` finds no photograph."""
        if not self.kept:
            return NOT_KEPT_HINT
        return OTHER_PHOTOGRAPH_HINT if filename in self.paths else NO_PHOTOGRAPHS_HINT


@lru_cache(maxsize=20_000)
def _sha256(path: str, modified_ns: int, size: int) -> str:
    return sha256_of_file(Path(path))
