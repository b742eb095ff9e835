"""What a training's process needs of this machine, and what it is started with."""

import os
import shutil
from pathlib import Path
from typing import Final

from har_core.errors import HarError
from har_core.settings import MODELS_DIR, checkout
from har_core.storage.data import runs_folder
from har_core.threads import cores
from har_core.training.efforts import Effort
from har_core.wording import counted

_LEAST_FREE: Final = 500e6
# Decoded pixels and the features that the head learns from: see `har_core.training.preparation`.
_DISK_PER_PHOTOGRAPH: Final = {"quick": 5_000, "standard": 330_000, "full": 330_000}
_MEMORY: Final = {"quick": 0.8e9, "standard": 2.5e9, "full": 2.5e9}


def check_room(effort: Effort, n_photographs: int) -> None:
    """Refuse a training for which the disk or the memory is too small.

    Raises
    ------
    HarError
        With what is needed and what there is.
    """
    runs_folder().mkdir(parents=True, exist_ok=True)
    free, needed = (
        shutil.disk_usage(runs_folder()).free,
        n_photographs * _DISK_PER_PHOTOGRAPH[effort],
    )
    if free < needed + _LEAST_FREE:
        raise HarError(
            f"A {effort} training of {counted(n_photographs, 'photograph')} needs "
            f"{(needed + _LEAST_FREE) / 1e9:.1f} GB on the disk of {runs_folder()}, where "
            f"{free / 1e9:.1f} GB are free. Make room, or set HAR_DATA_DIR to another disk."
        )
    memory = _available_memory()
    if memory is not None and memory < _MEMORY[effort]:
        raise HarError(
            f"A {effort} training needs {_MEMORY[effort] / 1e9:.1f} GB of memory; "
            f"{memory / 1e9:.1f} GB are available. Close other programs, or choose less effort."
        )


def _available_memory() -> float | None:
    """Return the bytes of memory that a new process can have; None where it is not told."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable")]
    return 1024 * float(found[0]) if found else None


def behind_others(arguments: list[str]) -> list[str]:
    """Return a command that lets the pages and REST come first."""
    nice = shutil.which("nice")
    return [nice, "-n", "10", *arguments] if nice else arguments


def training_environment(models: Path) -> dict[str, str]:
    """Return the environment of a training that leaves a processor to the pages.

    Parameters
    ----------
    models : Path
        Folder for the model that it makes, which is on trial until somebody uses it.
    """
    threads = str(max(1, cores() - 1))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    found = (str(checkout() or ""), os.environ.get("PYTHONPATH"))
    path = os.pathsep.join(filter(None, found))
    return {
        **os.environ,
        **dict.fromkeys(names, threads),
        MODELS_DIR.name: str(models),
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "100",
    }
