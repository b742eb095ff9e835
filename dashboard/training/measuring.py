"""How fast this machine trains: a small training of drawn pictures, measured once per network."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from dashboard.jobs.registry import Job
from dashboard.training.machine import behind_others, training_environment
from har_core.errors import HarError
from har_core.extras import require_training_extra
from har_core.model.manifest import KERAS_FILE, read_manifest
from har_core.storage.cache import cache_dir
from har_core.storage.files import write_atomically
from har_core.threads import cores
from har_core.training.efforts import effort_settings, fine_tunable
from har_core.training.events import read_events

JOB: Final = "training-speed"
_CLASSES: Final = 3
_PER_CLASS: Final = 108  # with half of it an epoch's fixed cost looks like the photographs'
_SIDE: Final = 240
_WAIT_S: Final = 0.5


@dataclass(frozen=True)
class TrainingSpeed:
    """What a training costs here.

    Parameters
    ----------
    small, large : float
        Seconds for each photograph of an epoch of fine-tuning, at the settings' two sizes.
    start : float
        Seconds for everything that does not grow with the photographs: starting, compiling, saving.
    """

    small: float
    large: float
    start: float

    def seconds(self, n: int, small_epochs: int, epochs: int) -> float:
        """Return how long a training of `n` photographs takes, of `epochs` epochs."""
        return self.start + n * (
            small_epochs * self.small + max(epochs - small_epochs, 0) * self.large
        )


def known_speed(base: Path) -> TrainingSpeed | None:
    """Return what was measured of a model's network on this machine, None if nothing was."""
    try:
        return TrainingSpeed(**json.loads(_path(base).read_text()))
    except (OSError, ValueError, TypeError, HarError):
        return None


def measure_speed(base: Path, job: Job) -> TrainingSpeed:
    """Train for a minute, as a standard training does it, and remember how long that took.

    Raises
    ------
    HarError
        If TensorFlow is not installed, the network cannot be fine-tuned, or the training fails.
    """
    require_training_extra("Measuring a training")
    effort_settings("standard", base)  # a model that cannot be fine-tuned says so at once
    with tempfile.TemporaryDirectory(prefix="har-speed-") as place:
        folder = Path(place)
        n = _write_pictures(folder / "pictures")
        events = folder / "events.jsonl"
        started = time.time()
        _train(folder, base, events, job)
        speed = speed_of(read_events(events), round(0.8 * n), time.time() - started)
    path = _path(base)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(speed)).encode())
    return speed


def speed_of(events: Sequence[dict[str, Any]], n: int, seconds: float) -> TrainingSpeed:
    """Return the speed that the events of a standard training of `n` photographs tell.

    The first epoch of each size also compiles; the second is the measure.
    """
    took = [e["seconds"] for e in events if e["event"] == "epoch" and e["stage"] == "fine-tuning"]
    if len(took) < 4:
        raise HarError("The training that was to be measured ended early.")
    small, large = took[1] / n, took[3] / n
    return TrainingSpeed(small, large, max(seconds - 2 * n * (small + large), 0.0))


def _train(folder: Path, base: Path, events: Path, job: Job) -> None:
    arguments = [
        *(sys.executable, "-m", "har_core", "train", "--dataset", str(folder / "pictures")),
        *("--name", "speed", "--effort", "standard", "--base", str(base)),
        *("--head-epochs", "1", "--epochs", "4", "--small-epochs", "2"),  # what `speed_of` reads
        *("--events", str(events), "--runs-dir", str(folder / "runs")),
    ]
    process = subprocess.Popen(
        behind_others(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=training_environment(folder / "models"),
    )
    try:
        while process.poll() is None:
            done = sum(event["event"] == "epoch" for event in read_events(events))
            job.report(done, 5)
            time.sleep(_WAIT_S)
    finally:
        process.kill()
        process.wait()
    failed = [e["error"] for e in read_events(events) if e["event"] == "failed"]
    if process.returncode:
        raise HarError(failed[-1] if failed else "The training that was to be measured failed.")


def _write_pictures(folder: Path) -> int:
    """Write a dataset of coloured noise, of photographs' size; return how many pictures."""
    rng = np.random.default_rng(0)
    for label in range(_CLASSES):
        home = folder / f"class_{label}"
        home.mkdir(parents=True)
        for number in range(_PER_CLASS):
            coarse = rng.integers(0, 256, (12, 12, 3), np.uint8)
            picture = Image.fromarray(coarse).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
            picture.save(home / f"{number}.jpg", quality=80)
    return _CLASSES * _PER_CLASS


def _path(base: Path) -> Path:
    network = read_manifest(fine_tunable(base)).files.get(KERAS_FILE, "")[:16]
    return cache_dir() / "training-speed" / f"{network}-{cores()}.json"
