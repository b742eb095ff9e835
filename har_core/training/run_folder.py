"""A training run's folder: settings, per-epoch log and a checkpoint that survives a kill."""

import dataclasses
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.errors import ZIP_DAMAGE, HarError
from har_core.model.manifest import INHERITED_FILE, SPLITS_FILE
from har_core.storage.files import write_atomically
from har_core.storage.locks import folder_to_oneself
from har_core.storage.paths import exists, is_file, is_folder

_STATE: Final = "checkpoint.npz"
_SETTINGS: Final = "settings.json"
_LOG: Final = "training_log.csv"
PIXELS_FILE: Final = "pixels.npy"
UNLABELLED_PIXELS_FILE: Final = "unlabelled.npy"
FEATURES_FILE: Final = "features.npy"
JUDGED_FILE: Final = "cross_validated.parquet"
OPINIONS_FILE: Final = "opinions.npy"
NETWORK_FILE: Final = "network.keras"
# Gigabytes that only a run at work needs.
_ARRAYS: Final = (PIXELS_FILE, UNLABELLED_PIXELS_FILE, FEATURES_FILE, OPINIONS_FILE)
# What may be in a run's folder; anything else is somebody else's.
_OWN: Final = (
    *(_STATE, _SETTINGS, _LOG, "best_*.npz", JUDGED_FILE, *_ARRAYS),
    *(NETWORK_FILE, SPLITS_FILE, INHERITED_FILE),
)
_DAMAGE: Final = (OSError, KeyError, TypeError, *ZIP_DAMAGE)


@dataclass(frozen=True)
class Checkpoint:
    """All that continuing needs.

    Parameters
    ----------
    stage : str
        Stage that was running.
    epochs_done : int
        Completed epochs of that stage.
    best_loss : float
        Lowest calibrated validation log loss so far, over all stages; infinite before the first.
    log : list of dict
        One row per completed epoch, over all stages.
    variables, optimizer_variables : list of ndarray
        Values in the order of the model's and the optimizer's ``variables``.
    """

    stage: str
    epochs_done: int
    best_loss: float
    log: list[dict[str, Any]] = field(default_factory=list)
    variables: list[np.ndarray] = field(default_factory=list)
    optimizer_variables: list[np.ndarray] = field(default_factory=list)


class RunFolder:
    """The files of one training run; every write is atomic.

    Parameters
    ----------
    path : str or Path
        Need not exist; `make` makes it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @contextmanager
    def begun(self, resume: bool) -> Iterator[None]:
        """Begin or go on with a run, as the only process that does.

        Raises
        ------
        HarError
            See `check_resume`, `make` and `alone`.
        """
        if resume:
            check_resume([self], resume)
        self.make()
        with self.alone():
            check_resume([self], resume)
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be at work on the run, as the only process that is.

        Raises
        ------
        HarError
            If another one is.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(folder_to_oneself(self.path, wait=False))
            except BlockingIOError:
                raise HarError(
                    f"Another process is at work on {self.path}; wait for its end."
                ) from None
            yield

    def make(self) -> None:
        """Make the folder; one that holds anything but a run's files is left alone.

        Raises
        ------
        HarError
            If it cannot be made, or is somebody else's.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            foreign = sorted(p.name for p in self.path.iterdir() if not _is_own(p))
        except OSError as error:
            raise HarError(f"Cannot make the run folder {self.path}: {error.strerror}.") from error
        if foreign:
            raise HarError(
                f"{self.path} holds other files, such as {foreign[0]}; choose another --runs-dir "
                "or --name."
            )

    def remove(self) -> None:
        """Remove the run's files, and the folder if nothing else is in it."""
        if is_folder(self.path) and all(map(_is_own, self.path.iterdir())):
            shutil.rmtree(self.path, ignore_errors=True)

    def read_settings(self) -> dict[str, Any] | None:
        """Return what `write_settings` wrote, or None."""
        path = self.path / _SETTINGS
        if not exists(path):
            return None
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            return dict(settings)
        except _DAMAGE as error:
            raise HarError(f"Cannot read {path}: {error}. Remove the run folder.") from error

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Record the settings that a resumed run must keep."""
        self.write(_SETTINGS, json.dumps(settings, indent=2).encode())

    def read_checkpoint(self) -> Checkpoint | None:
        """Return the last checkpoint, or None before the first completed epoch."""
        path = self.path / _STATE
        if not exists(path):
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                meta = json.loads(str(arrays["meta"]))
                return Checkpoint(
                    **meta,
                    variables=_numbered(arrays, "variable"),
                    optimizer_variables=_numbered(arrays, "optimizer"),
                )
        except _DAMAGE as error:
            raise HarError(f"Cannot read {path}: {error}. Remove the run folder.") from error

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint and the readable log."""
        meta = {
            f.name: getattr(checkpoint, f.name)
            for f in dataclasses.fields(checkpoint)
            if f.name not in ("variables", "optimizer_variables")
        }
        arrays = {f"variable_{i}": v for i, v in enumerate(checkpoint.variables)}
        arrays |= {f"optimizer_{i}": v for i, v in enumerate(checkpoint.optimizer_variables)}
        self._write_arrays(_STATE, {"meta": np.array(json.dumps(meta)), **arrays})
        self.write(_LOG, log_csv(checkpoint.log))

    def read_best(self, *stages: str) -> list[np.ndarray]:
        """Return the best weights of the first of these stages that improved on those before it.

        Each stage has a file of its own, so that a run that is killed between writing its best
        weights and its checkpoint starts the stage anew from the same weights.
        """
        path = next(p for p in map(self._best_of, stages) if exists(p))
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return _numbered(arrays, "weight")
        except _DAMAGE as error:
            raise HarError(f"Cannot read {path}: {error}. Remove the run folder.") from error

    def write_best(self, stage: str, weights: list[np.ndarray]) -> None:
        """Replace a stage's weights with the lowest calibrated validation log loss."""
        name = self._best_of(stage).name
        self._write_arrays(name, {f"weight_{i}": w for i, w in enumerate(weights)})

    def _best_of(self, stage: str) -> Path:
        return self.path / f"best_{stage}.npz"

    def _write_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    @property
    def has_network(self) -> bool:
        """Whether the run is done and its network is kept, for its students."""
        return is_file(self.path / NETWORK_FILE)

    def write_network(self, network: Any) -> None:
        """Keep the trained network, a `keras.Model`; the run is done then, and needs little room.

        Raises
        ------
        HarError
            If it cannot be written.
        """
        with tempfile.TemporaryDirectory() as folder:
            network.save(Path(folder) / NETWORK_FILE)
            self.write(NETWORK_FILE, (Path(folder) / NETWORK_FILE).read_bytes())
        for name in _ARRAYS:
            (self.path / name).unlink(missing_ok=True)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file of the folder.

        Raises
        ------
        HarError
            If it cannot be written.
        """
        try:
            write_atomically(self.path / name, content)
        except OSError as error:
            raise HarError(f"Cannot write {self.path / name}: {error.strerror}.") from error


def _is_own(path: Path) -> bool:
    # An interrupted write leaves a hidden file of a longer name.
    return is_file(path) and any(path.match(p) or path.match(f".{p}.*") for p in _OWN)


def check_resume(runs: Sequence[RunFolder], resume: bool) -> None:
    """Refuse to begin where one of these runs was interrupted, and to go on where none was.

    Raises
    ------
    HarError
        With what to do.
    """
    begun = [run.path for run in runs if run.read_settings() is not None]
    if begun and not resume:
        raise HarError(
            f"{begun[0]} holds an interrupted run: continue it with --resume, or remove the folder."
        )
    if resume and not begun:
        raise HarError(f"There is no interrupted run in {runs[-1].path}; start without --resume.")


def log_csv(log: list[dict[str, Any]]) -> bytes:
    """Return the per-epoch log as CSV."""
    return pd.DataFrame(log).to_csv(index=False, float_format="%.6g").encode()


def _numbered(arrays: Any, prefix: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{prefix}_") for key in arrays.files)
    return [arrays[f"{prefix}_{i}"] for i in range(count)]
