"""Training runs on the disk: each its own process, which outlives pages, visits and the server."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

from dashboard.training.machine import behind_others, check_room, training_environment
from har_core.errors import HarError, ModelBundleError
from har_core.extras import require_training_extra
from har_core.model.bundle import (
    choose_default,
    list_bundles,
    models_dir,
    restore_interrupted_replacement,
)
from har_core.model.manifest import MANIFEST_FILE, BundleManifest, check_bundle_name, read_manifest
from har_core.storage.data import runs_folder
from har_core.storage.files import write_atomically
from har_core.storage.locks import folder_to_oneself
from har_core.training.efforts import NO_CHANGES, Effort, check_changes, fine_tunable
from har_core.training.events import is_running, read_events
from har_core.training.run_folder import RunFolder

RunState = Literal[
    "starting", "waiting", "running", "finished", "failed", "stopped", "interrupted", "used", "gone"
]
ACTIVE: Final[tuple[RunState, ...]] = ("starting", "waiting", "running")
CUT_OFF: Final[tuple[RunState, ...]] = ("failed", "interrupted", "stopped")
_RECORD: Final = "run.json"
_EVENTS: Final = "events.jsonl"
_TABLE: Final = "table.csv"
_LOG: Final = "log.txt"
_ENDS: Final = ("finished", "failed", "stopped")
# Python and its packages may take so long on a busy machine before the run says a word.
_STARTING_S: Final = 90


@dataclass(frozen=True)
class Run:
    """One training that somebody started here, as it is when it is first looked at.

    Parameters
    ----------
    id : str
        Name of its folder; sorts by time.
    name : str
        Of the model that it makes.
    effort : {"quick", "standard", "full"}
    base : str
        Path of the model that it goes on from.
    dataset : str
        Folder.
    relabelled, excluded : int
        What the review changed in the table that it learns from.
    created : str
        ISO 8601 in UTC.
    launched : float
        Unix time of the last start.
    used : bool
        Whether the model was taken over.
    settings : dict of str to object
        What is other than usual for the effort, see `har_core.training.efforts.effort_settings`.
    """

    id: str
    name: str
    effort: Effort
    base: str
    dataset: str
    relabelled: int = 0
    excluded: int = 0
    created: str = ""
    launched: float = 0.0
    used: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Of the run's record, events, log, table and checkpoints."""
        return runs_folder() / self.id

    @property
    def model(self) -> Path:
        """Where the finished model lies: among the others once it is used."""
        if self.used:
            found = [e.path for e in list_bundles() if e.name == self.name]
            return found[0] if found else models_dir() / self.name
        return self.folder / "models" / self.name

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """What it has said so far."""
        return read_events(self.folder / _EVENTS)

    @property
    def attempt(self) -> list[dict[str, Any]]:
        """What it has said since it last began or went on."""
        return self.events[_last([event["event"] for event in self.events], "started") + 1 :]

    @cached_property
    def state(self) -> RunState:
        """What has become of it."""
        if is_running(self.folder / _EVENTS):
            words = [event["event"] for event in self.events]
            begun = "started" in words[_last(words, "waiting") + 1 :]
            return "running" if begun else "waiting"
        last = next((e for e in reversed(self.events) if e["event"] in (*_ENDS, "started")), None)
        if last is not None and last["time"] >= self.launched and last["event"] in _ENDS:
            if last["event"] == "finished":
                if not (self.model / MANIFEST_FILE).is_file():
                    return "gone"
                return "used" if self.used else "finished"
            return "failed" if last["event"] == "failed" else "stopped"
        waited = time.time() - self.launched
        if (last is None or last["time"] < self.launched) and waited < _STARTING_S:
            return "starting"
        return "interrupted"

    @property
    def can_go_on(self) -> bool:
        """Whether it was cut off, and not by labels that it would meet again."""
        failed = (e for e in reversed(self.events) if e["event"] == "failed")
        for_good = self.state == "failed" and next(failed).get("for_good", False)
        return self.state in CUT_OFF and not for_good

    @property
    def error(self) -> str:
        """Why it failed, in words; ``""`` if it did not."""
        return next((e["error"] for e in reversed(self.events) if e["event"] == "failed"), "")

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The log's rows so far; of a repeated epoch the last."""
        rows = {(e["stage"], e["epoch"]): e for e in self.events if e["event"] == "epoch"}
        return list(rows.values())

    @property
    def log_lines(self) -> list[str]:
        """The last lines that it printed."""
        try:
            text = (self.folder / _LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-12:]

    @property
    def seconds(self) -> float | None:
        """How long a finished run was at work, in all its attempts; None if it has not ended."""
        if all(event["event"] != "finished" for event in self.events):
            return None
        return sum(
            event["time"] - before["time"]
            for before, event in pairwise(self.events)
            if before["event"] != "waiting" and event["event"] not in ("waiting", "started")
        )

    def manifest(self) -> BundleManifest | None:
        """Return the finished model's manifest, None if there is none to read."""
        try:
            return read_manifest(self.model)
        except ModelBundleError:
            return None


def list_runs() -> list[Run]:
    """Return all runs, the newest first; a folder without a readable record is passed over."""
    runs = []
    for record in sorted(runs_folder().glob(f"*/{_RECORD}"), reverse=True):
        try:
            runs.append(Run(**json.loads(record.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            continue
    return runs


def find_run(run_id: str) -> Run | None:
    """Return the run of an id, None if there is none."""
    return next((run for run in list_runs() if run.id == run_id), None)


def start_run(
    name: str,
    effort: Effort,
    base: Path,
    dataset: str,
    table: str,
    *,
    n_photographs: int,
    relabelled: int = 0,
    excluded: int = 0,
    settings: Mapping[str, Any] = NO_CHANGES,
) -> Run:
    """Start a training as a process of its own; it waits for those that were started before.

    Parameters
    ----------
    name : str
        Of the model.
    effort : {"quick", "standard", "full"}
    base : Path
        The model to go on from.
    dataset : str
        Folder.
    table : str
        CSV of ``filename,label`` to learn from: it is kept, so that later decisions change
        nothing.
    n_photographs : int
        In that table.
    relabelled, excluded : int
        For the record.
    settings : mapping of str to object
        See `Run`.

    Raises
    ------
    HarError
        If the name cannot be used or is taken, the model cannot be fine-tuned or a setting not be
        used, or there is too little room on the disk or in memory.
    """
    check_bundle_name(name)
    if effort != "quick":
        require_training_extra(f"A {effort} training")
    if effort == "standard":
        fine_tunable(base)
    check_changes(effort, settings)
    taken = {entry.name for entry in list_bundles()}
    # One that failed or was stopped can go on, with what it has learned under its name.
    taken |= {run.name for run in list_runs() if run.state not in ("used", "gone")}
    if name in taken:
        raise HarError(f"There is a model or a run {name} already; choose another name.")
    now = datetime.now(UTC).replace(microsecond=0)
    run = Run(
        id=f"{now:%Y%m%d-%H%M%S}-{name}",
        name=name,
        effort=effort,
        base=str(base),
        dataset=dataset,
        relabelled=relabelled,
        excluded=excluded,
        created=now.isoformat(),
        settings=dict(settings),
    )
    try:
        run.folder.mkdir(parents=True)
        write_atomically(run.folder / _TABLE, table.encode())
    except OSError as error:
        raise HarError(f"Cannot write {run.folder}: {error.strerror or error}.") from error
    try:
        check_room(effort, n_photographs)
        return _launch(run)
    except HarError:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise


def resume_run(run: Run) -> Run:
    """Go on with a run that was stopped, interrupted or failed; at most an epoch is repeated."""
    # Here and below: a page may have been drawn before another one did something about the run.
    with folder_to_oneself(run.folder):
        present = find_run(run.id)
        return run if present is None or present.state not in CUT_OFF else _launch(present)


def stop_run(run: Run) -> None:
    """Ask a run's process to end; what it has learned until its last epoch is kept."""
    present = find_run(run.id)
    if present is None or present.state not in ACTIVE:
        return
    said = [e for e in present.events if e["event"] in ("waiting", "started")]
    if said and said[-1]["time"] >= present.launched:  # not the process of an earlier attempt
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(said[-1]["pid"], signal.SIGTERM)


def remove_run(run: Run) -> None:
    """Forget a run that is not at work, with its model unless that is used."""
    with folder_to_oneself(run.folder):
        present = find_run(run.id)
        if present is not None and present.state not in ACTIVE:
            shutil.rmtree(_checkpoints() / run.name, ignore_errors=True)
            shutil.rmtree(run.folder, ignore_errors=True)


def use_model(run: Run) -> None:
    """Put a finished run's model among the others, as the default one.

    Raises
    ------
    HarError
        If there is none, or the models' folder cannot be written.
    """
    with folder_to_oneself(run.folder):
        present = find_run(run.id)
        if present is None:
            raise HarError(f"The run {run.name} is gone: somebody discarded its model.")
        if not present.used:
            _take_over(present)
    choose_default(run.name)


def _take_over(run: Run) -> None:
    target = models_dir() / run.name
    staging = models_dir() / f".{run.name}.taken"
    restore_interrupted_replacement(target)
    if not target.exists():
        try:
            models_dir().mkdir(parents=True, exist_ok=True)
            shutil.rmtree(staging, ignore_errors=True)
            shutil.copytree(run.model, staging)
            staging.rename(target)
        except OSError as error:
            raise ModelBundleError(f"Cannot write {target}: {error.strerror or error}.") from error
    # A kill may come between this and the record.
    elif read_manifest(run.model) not in [
        entry.manifest for entry in list_bundles(models_dir()) if entry.name == run.name
    ]:
        raise ModelBundleError(f"{target} exists already; rename or remove it first.")
    _record(replace(run, used=True))
    shutil.rmtree(run.folder / "models", ignore_errors=True)


def _checkpoints() -> Path:
    """Return where runs keep what they have learned so far, each under its model's name."""
    return runs_folder() / ".at-work"


def _launch(before: Run) -> Run:
    run = replace(before, launched=time.time())
    _record(run)
    arguments = [
        *(sys.executable, "-m", "har_core", "train", "--dataset", run.dataset),
        *("--table", str(run.folder / _TABLE), "--columns", "filename=filename,label=label"),
        "--no-follow-links",  # the folder is a visitor's choice
        *("--name", run.name, "--effort", run.effort, "--base", run.base),
        *("--events", str(run.folder / _EVENTS), "--runs-dir", str(_checkpoints())),
    ]
    for setting, value in run.settings.items():
        arguments += [f"--{setting.replace('_', '-')}", str(value)]
    if RunFolder(_checkpoints() / run.name).read_settings() is not None:
        arguments.append("--resume")
    try:
        with (run.folder / _LOG).open("ab") as log:
            subprocess.Popen(
                behind_others(arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=training_environment(run.folder / "models"),
                start_new_session=True,  # a Ctrl-C that ends the server is not meant for it
            )
    except OSError as error:  # no memory for another process, say
        _record(before)
        raise HarError(f"The training cannot be started: {error.strerror or error}.") from error
    return run


def _record(run: Run) -> None:
    try:
        write_atomically(run.folder / _RECORD, json.dumps(asdict(run), indent=1).encode())
    except OSError as error:
        raise HarError(f"Cannot write {run.folder}: {error.strerror or error}.") from error


def _last(words: Sequence[str], word: str) -> int:
    return max((i for i, w in enumerate(words) if w == word), default=-1)
