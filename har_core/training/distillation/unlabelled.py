"""Photographs without labels: what teachers think of them is all that is learned from them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from har_core.dataset.duplicates import near_duplicate_pairs
from har_core.errors import DatasetError
from har_core.images.listing import photographs_below
from har_core.images.reading import Photograph, read_photographs
from har_core.progress import Progress, silent
from har_core.storage.disk_arrays import make_disk_array
from har_core.training.preparation import STORED_SIZE, PreparedDataset
from har_core.training.run_folder import UNLABELLED_PIXELS_FILE


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Photographs (``filename``, ``sha256``), and their pixels as of `PreparedDataset`, on disk."""

    table: pd.DataFrame
    pixels: np.ndarray

    @property
    def fingerprint(self) -> str:
        """The sha256 over all contents, in their order, by which teachers' opinions are kept."""
        return hashlib.sha256("".join(self.table["sha256"]).encode()).hexdigest()


NOTHING: Final = Unlabelled(
    pd.DataFrame(columns=["filename", "sha256"]),
    np.empty((0, STORED_SIZE, STORED_SIZE, 3), np.uint8),
)


def read_unlabelled(
    folder: str | Path,
    prepared: PreparedDataset,
    store: str | Path,
    progress: Progress = silent,
) -> Unlabelled:
    """Read a folder of photographs that are no copies of labelled, nor near those held out.

    Parameters
    ----------
    folder : str or Path
        Searched with its subfolders; files that cannot be read as photographs are passed over.
    prepared : PreparedDataset
        The labelled photographs.
    store : str or Path
        Existing folder for the decoded pixels.
    progress : callable, optional
        Called with (what is being done, done, total).

    Raises
    ------
    DatasetError
        If the folder holds no photograph that can be learned from.
    """
    folder = Path(folder)
    files = [Path(entry.path) for entry in photographs_below(folder)]
    if not files:
        raise DatasetError(f"There is no photograph in {folder}.")
    shape = (len(files), STORED_SIZE, STORED_SIZE, 3)
    pixels = make_disk_array(Path(store) / UNLABELLED_PIXELS_FILE, shape, np.uint8)
    names: list[str] = []
    hashes: list[str] = []
    fingerprints: list[np.ndarray] = []
    known = set(prepared.table["sha256"])
    for done, (path, photo) in enumerate(
        zip(files, read_photographs(list(map(str, files)), STORED_SIZE), strict=True), start=1
    ):
        if isinstance(photo, Photograph) and photo.sha256 not in known:
            known.add(photo.sha256)
            pixels[len(names)] = photo.square
            names.append(path.relative_to(folder).as_posix())
            fingerprints.append(photo.fingerprint)
            hashes.append(photo.sha256)
        progress("Reading unlabelled photographs", done, len(files))
    held_out = ~prepared.table["split"].eq("train").to_numpy()
    likeness = np.concatenate([prepared.fingerprints[held_out], *(f[None] for f in fingerprints)])
    pairs, _ = near_duplicate_pairs(likeness)
    first = np.count_nonzero(held_out)
    crossing = pairs[(pairs.min(axis=1) < first) & (pairs.max(axis=1) >= first)]
    usable = np.ones(len(names), bool)
    usable[crossing.max(axis=1) - first] = False
    if not usable.any():
        raise DatasetError(
            f"No file in {folder} is a photograph that is not in the dataset already."
        )
    table = pd.DataFrame({"filename": names, "sha256": hashes})[usable].reset_index(drop=True)
    for row, kept in enumerate(np.flatnonzero(usable)):
        pixels[row] = pixels[kept]  # in the file: together they may be larger than memory
    return Unlabelled(table, pixels[: len(table)])
