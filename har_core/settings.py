"""Every setting that the environment gives the program, declared once; the README lists them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from har_core.errors import HarError

# As `platformdirs` and the package index know the program.
DISTRIBUTION: Final = "har-dashboard"
_PACKAGE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Setting:
    """An environment variable; surrounding blanks do not count, and empty is as good as unset.

    Parameters
    ----------
    name : str
        Of the variable.
    meaning : str
        What it says, in Markdown, as the README does.
    default : str
        What holds without it, in the same words as the README.
    """

    name: str
    meaning: str
    default: str

    @property
    def value(self) -> str:
        """What is set now, ``""`` if nothing is: read at every use, so that it may change."""
        return os.environ.get(self.name, "").strip()

    def folder(self) -> Path | None:
        """Return the folder that is set, None if none is.

        Raises
        ------
        HarError
            If it begins with the home directory of a user who does not exist.
        """
        try:
            return Path(self.value).expanduser() if self.value else None
        except RuntimeError as error:
            raise HarError(f"{self.name} is {self.value!r}: there is no such user.") from error


DATASET: Final = Setting(
    "HAR_DATASET",
    "dataset folder of pages and commands",
    "none; also set by the sidebar and `--dataset`",
)
LINKED_DATASETS: Final = Setting(
    "HAR_LINKED_DATASETS",
    "folders, separated as in `PATH`: links that lead out of the datasets below them are followed",
    "none; those of `HAR_DATASET` and of a dataset on the command line are followed anyway",
)
RESULTS: Final = Setting(
    "HAR_RESULTS",
    "what the Jobs page lists: a results folder of `har score`, or a folder of these; here or in a "
    "bucket",
    "none; the page has a field for it",
)
MODEL: Final = Setting("HAR_MODEL", "default model: a bundle's name or a path", "the newest bundle")
MODELS_DIR: Final = Setting(
    "HAR_MODELS_DIR",
    "folder of the bundles",
    "`models/` of a checkout; installed: the shipped ones and `models/` in the data folder",
)
DATA_DIR: Final = Setting(
    "HAR_DATA_DIR",
    "people's work: decisions on datasets that cannot be written, kept evaluations, uploaded "
    "datasets, training runs; back it up",
    "the user's data folder, on Linux `~/.local/share/har-dashboard`",
)
CACHE_DIR: Final = Setting(
    "HAR_CACHE_DIR",
    "thumbnails, scans, analyses; may be deleted at any time",
    "`.har_cache/` of a checkout; installed: the user's cache folder",
)
PRECISION: Final = Setting(
    "HAR_PRECISION",
    "what networks compute with: `float32`, `int8` if the model has such a graph, or `auto`: "
    "`int8` where this processor is faster with it; `har score` uses its `--precision` instead",
    "`float32`",
)
API_KEY: Final = Setting("HAR_API_KEY", "key that REST requests must send", "none needed")
SETTINGS: Final = (
    DATASET,
    LINKED_DATASETS,
    RESULTS,
    MODEL,
    MODELS_DIR,
    DATA_DIR,
    CACHE_DIR,
    PRECISION,
    API_KEY,
)


def checkout() -> Path | None:
    """Return the project's folder; None where the program was installed without it."""
    project = _PACKAGE.parent
    return project if (project / "pyproject.toml").is_file() else None


def shipped(name: str) -> Path:
    """Return where ``models``, ``pages`` or the example photograph lie that came with the program.

    In a checkout they lie beside the packages; a wheel holds them in ``har_core/shipped``.
    """
    return (checkout() or _PACKAGE / "shipped") / name
