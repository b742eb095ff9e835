"""A training run's folder: settings, per-epoch log and a checkpoint that survives a kill."""

import dataclasses
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.bundle import write_atomically
from har_core.errors import HarError

_STATE: Final = "checkpoint.npz"
_BEST: Final = "best.npz"
_SETTINGS: Final = "settings.json"
_LOG: Final = "training_log.csv"


@dataclass(frozen=True)
class Checkpoint:
    """All that continuing needs.

    Parameters
    ----------
    stage : str
        Stage that was running.
    epochs_done : int
        Completed epochs of that stage.
    best_top1 : float
        Highest validation top-1 accuracy so far, over all stages; -1 before the first.
    log : list of dict
        One row per completed epoch, over all stages.
    variables, optimizer_variables : list of ndarray
        Values in the order of the model's and the optimizer's ``variables``.
    """

    stage: str
    epochs_done: int
    best_top1: float
    log: list[dict[str, Any]] = field(default_factory=list)
    variables: list[np.ndarray] = field(default_factory=list)
    optimizer_variables: list[np.ndarray] = field(default_factory=list)


class RunFolder:
    """The files of one training run; every write is atomic.

    Parameters
    ----------
    path : str or Path
        Made if missing.

    Raises
    ------
    HarError
        If it cannot be made.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HarError(f"Cannot make the run folder {path}: {error.strerror}.") from error

    def read_settings(self) -> dict[str, Any] | None:
        """Return what `write_settings` wrote, or None."""
        path = self.path / _SETTINGS
        if not path.exists():
            return None
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise HarError(f"Cannot read {path}: {error}. Remove the run folder.") from error
        return dict(settings)

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Record the settings that a resumed run must keep."""
        self._write(_SETTINGS, json.dumps(settings, indent=2).encode())

    def read_checkpoint(self) -> Checkpoint | None:
        """Return the last checkpoint, or None before the first completed epoch."""
        path = self.path / _STATE
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                meta = json.loads(str(arrays["meta"]))
                return Checkpoint(
                    **meta,
                    variables=_numbered(arrays, "variable"),
                    optimizer_variables=_numbered(arrays, "optimizer"),
                )
        except (OSError, ValueError, KeyError, TypeError) as error:
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
        self._write(_LOG, log_csv(checkpoint.log))

    def read_best(self) -> list[np.ndarray]:
        """Return the weights with the highest validation accuracy."""
        with np.load(self.path / _BEST, allow_pickle=False) as arrays:
            return _numbered(arrays, "weight")

    def write_best(self, weights: list[np.ndarray]) -> None:
        """Replace the weights with the highest validation accuracy."""
        self._write_arrays(_BEST, {f"weight_{i}": w for i, w in enumerate(weights)})

    def _write_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self._write(name, buffer.getvalue())

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_atomically(self.path / name, content)
        except OSError as error:
            raise HarError(f"Cannot write {self.path / name}: {error.strerror}.") from error


def log_csv(log: list[dict[str, Any]]) -> bytes:
    """Return the per-epoch log as CSV."""
    return pd.DataFrame(log).to_csv(index=False, float_format="%.6g").encode()


def _numbered(arrays: Any, prefix: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{prefix}_") for key in arrays.files)
    return [arrays[f"{prefix}_{i}"] for i in range(count)]
