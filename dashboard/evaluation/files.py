"""Where the photographs of an evaluation are: never another picture that has the same name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from har_core.images.thumbnail_archive import read_thumbnails
from har_core.images.thumbnails import thumbnails
from har_core.storage.checksums import sha256_of_photograph

NO_PHOTOGRAPHS_HINT: Final = (
    "Set the dataset folder in the sidebar to see the photographs behind these names."
)
ELSEWHERE_HINT: Final = "The dataset folder does not hold these photographs."
NOT_KEPT_HINT: Final = "The photographs of this evaluation were not kept."
SMALL_HINT: Final = "Only this small picture was kept of the uploaded photograph."
OTHER_PHOTOGRAPH_HINT: Final = (
    "The dataset folder has other photographs of these names than the evaluated ones."
)

UNKNOWN_PHOTOGRAPH_HINT: Final = (
    "The model does not record which photographs these were, so none of these names is shown. "
    "Evaluate the dataset to see its photographs."
)


@dataclass(frozen=True, eq=False)
class EvaluatedFiles:
    """Finds the files of evaluated photographs.

    Parameters
    ----------
    paths : mapping of str to str
        Filename to path, of photographs that may be the evaluated ones.
    sha256 : mapping of str to str
        Filename to the evaluated file's checksum, ``""`` where nothing tells which it was.
    kept : bool
        Whether there can be photographs at all.
    archive : Path, optional
        Of thumbnails, see `har_core.images.thumbnail_archive`, where the photographs are gone.
    folder : str
        Dataset folder that the paths lie in.
    """

    paths: Mapping[str, str]
    sha256: Mapping[str, str]
    kept: bool = True
    archive: Path | None = None
    folder: str = ""

    def get(self, filename: str) -> str | None:
        """Return the path of a photograph, or None if it is not there or another one is.

        Reads the file, so ask only for photographs to be shown.
        """
        path, expected = self.paths.get(filename), self.sha256.get(filename)
        return path if expected and sha256_of_photograph(path) == expected else None

    def thumbnails(self, filenames: Sequence[str]) -> list[bytes | None]:
        """Return small JPEGs of photographs to be shown, None for one that is not there."""
        found = thumbnails([self.get(name) for name in filenames])
        if self.archive is None:
            return found
        kept = read_thumbnails(self.archive, [self.sha256.get(name, "") for name in filenames])
        return [large or small for large, small in zip(found, kept, strict=True)]

    def why_missing(self, filename: str) -> str:
        """Say why `get` finds no photograph."""
        if not self.kept:
            return NOT_KEPT_HINT
        if not self.sha256.get(filename):
            return UNKNOWN_PHOTOGRAPH_HINT
        if filename in self.paths:
            return OTHER_PHOTOGRAPH_HINT
        return ELSEWHERE_HINT if self.folder else NO_PHOTOGRAPHS_HINT
