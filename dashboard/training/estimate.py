"""How long a training will take on this machine: from earlier runs, or from a measurement."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import streamlit as st

from dashboard.training.measuring import TrainingSpeed, known_speed
from dashboard.training.runs import Run
from dashboard.wording.names import duration
from har_core.analysis.features import FeatureCache, FeatureNetwork
from har_core.errors import HarError
from har_core.model.manifest import ONNX_FILE, read_manifest
from har_core.model.novelty.detector import MOST_REFERENCES
from har_core.training.efforts import NO_CHANGES, Effort, effort_settings
from har_core.training.settings import TrainingSettings

_PROBE: Final = 4
_PROBES: Final = 4
_MEASURED_ANEW_S: Final = 600.0  # what else the machine did then may have ended
# A photograph's share of an epoch at the settings' two sizes, as forward passes of the same
# network: on two idle cores 396 photographs took 8 and 16 s where a forward pass took 9 ms.
_PASSES_SMALL: Final = 2.5
_PASSES_LARGE: Final = 4.5
_COMPILING_S: Final = 50.0
# Reading files, fitting the head (8 s for 9,645 photographs), writing the model.
_QUICK_MS_PER_PHOTOGRAPH: Final = 2.0
_START_S: Final = 15.0
_TRAIN_SHARE: Final = 0.8


class Estimate(NamedTuple):
    """How long a training will take, what that is known from, and the latter for people."""

    seconds: float
    basis: Literal["run", "measured", "estimated"]
    source: str


def estimate_seconds(
    effort: Effort,
    base: Path,
    n: int,
    runs: list[Run],
    changes: Mapping[str, Any] = NO_CHANGES,
) -> Estimate:
    """Return how long a training of `n` photographs will take, and what that is known from.

    Parameters
    ----------
    effort : {"quick", "standard", "full"}
    base : Path
        The model to go on from.
    n : int
        Photographs.
    runs : list of Run
        Earlier ones; those of the same effort and settings tell most.
    changes : mapping of str to object
        Settings that are other than usual for the effort.

    Returns
    -------
    Estimate
        From a run, e.g. ``"as the last quick training here"``.
    """
    for run in runs:
        is_alike = run.effort == effort and _epochs(run.settings) == _epochs(changes)
        manifest = run.manifest() if is_alike and run.seconds else None
        if manifest is not None and run.seconds:
            of_last = sum(manifest.training.get("photographs", {}).values()) or n
            work, of_last = (_work(effort, base, some, changes) for some in (n, of_last))
            seconds = run.seconds * work / of_last
            return Estimate(seconds, "run", f"as the last {effort} training here")
    seconds = seconds_per_pass(str(base), read_manifest(base).files.get(ONNX_FILE, ""))
    if effort == "quick":
        # The new model looks at all again, to learn what is foreign to it: its features are others.
        judged = n - max(round(_TRAIN_SHARE * n) - MOST_REFERENCES, 0)
        again = _START_S + n * _QUICK_MS_PER_PHOTOGRAPH / 1000 + judged * seconds
        looking = max(n - known_features(base), 0) * seconds
        later = f", later ones {about(again)}" if looking > again / 2 else ""
        return Estimate(again + looking, "measured", f"measured{later}")
    recipe = settings_for(effort, base, n, changes)
    measured = known_speed(base)
    speed = measured or TrainingSpeed(
        small=_PASSES_SMALL * seconds, large=_PASSES_LARGE * seconds, start=_COMPILING_S
    )
    # The head learns from one pass of the frozen network; its epochs cost next to nothing.
    small = sum(map(recipe.is_small, range(recipe.epochs)))
    tuning = speed.seconds(recipe.learned_of(n), small, recipe.epochs)
    basis: Literal["measured", "estimated"] = "measured" if measured else "estimated"
    return Estimate(tuning + n * seconds, basis, basis)


def settings_for(
    effort: Effort, base: Path, n: int, changes: Mapping[str, Any] = NO_CHANGES
) -> TrainingSettings:
    """Return the settings of a training of `n` photographs; the defaults for a quick one."""
    recipe = TrainingSettings()
    if effort != "quick":
        # One that cannot be fine-tuned is said to be so when it is started.
        with suppress(HarError):
            recipe = effort_settings(effort, base, changes)
    return recipe.for_photographs(recipe.learned_of(n))


def _work(effort: Effort, base: Path, n: int, changes: Mapping[str, Any]) -> int:
    """Return how often a photograph is looked at: few of them in more epochs."""
    return n if effort == "quick" else n * max(1, settings_for(effort, base, n, changes).epochs)


def _epochs(changes: Mapping[str, Any]) -> Any:
    """Return what of changed settings decides how long a training takes."""
    return changes.get("epochs")


@st.cache_data(max_entries=8, ttl=_MEASURED_ANEW_S, show_spinner="Measuring this machine …")
def seconds_per_pass(base: str, network: str) -> float:
    """Measure a forward pass of one photograph through a model's network, in seconds.

    The fastest of a few, because other work of the machine delays some of them.
    """
    try:
        model = FeatureNetwork(Path(base))
    except HarError:
        return 0.01
    size = model.manifest.input_size
    pixels = np.zeros((_PROBE, size, size, 3), np.uint8)
    model.run(pixels[:2])
    took = []
    for _ in range(_PROBES):
        start = time.perf_counter()
        model.run(pixels)
        took.append(time.perf_counter() - start)
    return min(took) / _PROBE


def known_features(base: Path) -> int:
    """Return of how many photographs the model's features are remembered."""
    try:
        with FeatureCache(read_manifest(base)) as cache:
            return len(cache.known())
    except HarError:
        return 0


def about(seconds: float) -> str:
    """Return an estimate in words, no more exact than it is: ``about 40 s``, ``about 12 min``."""
    return f"about {duration(max(round(seconds, -1), 10))}"
