"""A training is a process of its own: it can be stopped, killed and resumed, and waits."""

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dashboard.training import machine
from dashboard.training.progress import (
    describe_step,
    present_step,
    shares_done,
    what_is_going_on,
    what_is_kept,
)
from dashboard.training.runs import (
    ACTIVE,
    Run,
    find_run,
    list_runs,
    remove_run,
    resume_run,
    start_run,
    stop_run,
    use_model,
)
from har_core.cli.main import application
from har_core.errors import HarError, ModelBundleError
from har_core.model import bundle
from har_core.model.bundle import choose_default
from har_core.model.loading import find_model
from har_core.model.manifest import KERAS_FILE, read_manifest
from har_core.progress import Epoch
from har_core.storage.data import runs_folder
from har_core.training.events import EventLog
from tests.drawing import write_dataset, write_small_backbone, write_tiny_bundle

TIMEOUT_S = 120


@pytest.fixture
def base(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "data"))
    return tiny_models / "tiny"


@pytest.fixture
def start(base: Path, tmp_path: Path) -> Callable[[str], Run]:
    dataset = write_dataset(tmp_path / "photos", per_class=12)
    table = (dataset / "train.csv").read_text()

    def start_named(name: str) -> Run:
        settings = {"seed": 5}
        return start_run(
            name, "quick", base, str(dataset), table, n_photographs=36, settings=settings
        )

    return start_named


def wait_for(run: Run, wanted: Callable[[Run], bool]) -> Run:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        found = find_run(run.id)
        assert found is not None
        if wanted(found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{find_run(run.id)} after {TIMEOUT_S} s")


def is_at_work(run: Run) -> bool:
    return run.state == "running"


def has_ended(run: Run) -> bool:
    return run.state not in ACTIVE


def test_finished_model_is_on_trial_until_it_is_used(start, base: Path) -> None:
    run = wait_for(start("better"), has_ended)
    assert run.state == "finished", run.log_lines
    assert find_model() == base.resolve()
    assert run.epochs and run.seconds
    use_model(run)
    assert find_model().name == "better"
    used = find_run(run.id)
    assert used is not None and used.state == "used"
    assert read_manifest(used.model).training["seed"] == used.settings["seed"] == 5
    choose_default("tiny")
    assert find_model() == base.resolve()
    write_tiny_bundle(bundle.models_dir(), "newer", created="2999-01-01T00:00:00+00:00")
    assert find_model().name == "newer"
    with pytest.raises(ModelBundleError, match="no model 'none'"):
        choose_default("none")
    with pytest.raises(HarError, match="already"):
        start("better")


def test_training_that_cannot_be_started_is_told_and_leaves_what_was_there(
    start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("dashboard.training.runs.subprocess.Popen", lambda *_, **__: None)
    run = start("lost")
    long_ago = asdict(run) | {"launched": run.launched - 1000}
    (run.folder / "run.json").write_text(json.dumps(long_ago))
    monkeypatch.setattr("dashboard.training.runs.subprocess.Popen", refuse)
    for begin in (lambda: start("new"), lambda: resume_run(run)):
        with pytest.raises(HarError, match="cannot be started: Cannot allocate memory"):
            begin()
    assert [(r.name, r.state) for r in list_runs()] == [("lost", "interrupted")]


def test_killed_run_is_offered_for_resuming_and_finishes(start) -> None:
    run = wait_for(start("killed"), is_at_work)
    pid = next(e["pid"] for e in run.events if e["event"] == "started")
    os.kill(pid, signal.SIGKILL)
    run = wait_for(run, has_ended)
    assert run.state == "interrupted"
    assert [r.id for r in list_runs()] == [run.id]
    resumed = wait_for(resume_run(run), has_ended)
    assert resumed.state == "finished", resumed.log_lines


@pytest.mark.slow
def test_of_a_fine_tuning_a_kill_costs_at_most_an_epoch(
    base: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "slow" not in (request.config.getoption("markexpr") or ""):
        pytest.skip("compiles a network twice; -m slow runs it")
    dataset = write_dataset(tmp_path / "photos", per_class=8)
    manifest = read_manifest(base)
    files: dict[str, bytes | Path] = {name: base / name for name in manifest.files}
    files[KERAS_FILE] = write_small_backbone(tmp_path / "network.keras")
    bundle.write_bundle(base, manifest, files, overwrite=True)
    table = (dataset / "train.csv").read_text()
    run = start_run("tuned", "standard", base, str(dataset), table, n_photographs=24)
    run = wait_for(run, lambda run: len(run.epochs) > 2 or has_ended(run))
    assert run.state == "running", run.log_lines
    os.kill(next(e["pid"] for e in run.events if e["event"] == "started"), signal.SIGKILL)
    run = wait_for(run, has_ended)
    # A server that starts now knows nothing but what is on the disk.
    (offered,) = list_runs()
    assert offered.state == "interrupted"
    stage, last = offered.epochs[-1]["stage"], offered.epochs[-1]["epoch"]
    n_before = len(offered.events)
    resumed = wait_for(resume_run(offered), has_ended)
    assert resumed.state == "finished", resumed.log_lines
    again = [e for e in resumed.events[n_before:] if e["event"] == "epoch"]
    assert (again[0]["stage"], stage) == ("fine-tuning", "fine-tuning")
    assert again[0]["epoch"] in (last, last + 1)
    assert [e["epoch"] for e in resumed.epochs if e["stage"] == stage] == [1, 2, 3, 4]


def test_runs_wait_for_each_other_and_stop_when_asked(start) -> None:
    first, second = start("first"), start("second")
    last = wait_for(second, has_ended)
    assert last.state == "finished", last.log_lines
    first = wait_for(first, has_ended)

    def time_of(run: Run, event: str) -> float:
        return next(e["time"] for e in run.events if e["event"] == event)

    earlier, later = sorted((first, last), key=lambda run: time_of(run, "started"))
    assert time_of(later, "started") >= time_of(earlier, "finished")
    third = wait_for(start("third"), is_at_work)
    stop_run(third)
    stopped = wait_for(third, has_ended)
    assert stopped.state in ("stopped", "finished")  # it may have been faster
    if stopped.state == "stopped":
        with pytest.raises(HarError, match="already"):
            start("third")
    # What a fine-tuning had learned until then must not be gone on with under the same name.
    checkpoints = runs_folder() / ".at-work" / "third"
    checkpoints.mkdir(parents=True, exist_ok=True)
    remove_run(stopped)
    assert find_run(third.id) is None
    assert not checkpoints.exists()


def test_failure_is_told_in_words(start, tmp_path: Path) -> None:
    for path in (tmp_path / "photos" / "train").iterdir():
        path.write_bytes(b"")
    run = wait_for(start("broken"), has_ended)
    assert run.state == "failed"
    assert run.error
    assert "Traceback" not in run.error


@pytest.mark.parametrize(("lost", "told"), [("photos", "no dataset folder"), ("tiny", "no model")])
def test_what_fails_before_a_photograph_is_read_is_told_at_once(
    start, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str, told: str
) -> None:
    words: list[str] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: words.extend(command))
    run = start("broken")
    shutil.rmtree(tmp_path / "photos" if lost == "photos" else base)
    CliRunner().invoke(application(), words[words.index("har_core") + 1 :])
    found = find_run(run.id)
    assert found is not None and found.state == "failed"
    assert re.search(told, found.error) and found.can_go_on


def test_a_class_of_a_single_photograph_is_no_case_for_resuming(base: Path, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "photos", per_class=12)
    rows = (dataset / "train.csv").read_text().replace("running_0.jpg,running", "running_0.jpg,new")
    run = start_run("lone", "quick", base, str(dataset), rows, n_photographs=36)
    run = wait_for(run, has_ended)
    assert run.state == "failed" and "'new' (1)" in run.error
    assert not run.can_go_on


def test_too_little_room_is_said_before_anything_starts(
    start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_available_memory", lambda: 1e6)
    with pytest.raises(HarError, match="of memory"):
        start("large")
    monkeypatch.setattr(machine, "_LEAST_FREE", 1e18)
    with pytest.raises(HarError, match="on the disk"):
        start("larger")
    assert list_runs() == []


def test_whether_a_run_still_improves_is_said_plainly() -> None:
    def epochs(*losses: float) -> list[dict]:
        return [{"validation_log_loss": loss, "training_loss": 1.0} for loss in losses]

    assert what_is_going_on(epochs(1.0)) == "The first epoch is done."
    assert what_is_going_on(epochs(1.0, 0.9)).startswith("Still improving")
    assert what_is_going_on(epochs(1.0, 0.9, 0.95)).startswith("Not better")
    stalled = what_is_going_on(epochs(1.0, 0.9, 0.95, 0.96, 0.97))
    assert stalled == "Stopped improving on the validation photographs 3 epochs ago."
    head = [{"stage": "head", **row} for row in epochs(0.5, 0.6, 0.7, 0.8)]
    tuning = [{"stage": "fine_tuning", **row} for row in epochs(0.9, 0.8)]
    assert what_is_going_on([*head, *tuning]).startswith("Still improving")


def test_only_a_run_that_goes_on_is_said_to_keep_what_it_has_learned() -> None:
    assert "learned until its last epoch" in what_is_kept(Run("1", "n", "standard", "/b", "/d"))
    assert "begins anew" in what_is_kept(Run("1", "n", "quick", "/b", "/d"))


@contextmanager
def at_work(run: Run) -> Iterator[None]:
    """Hold the lock that a run's process holds."""
    with (run.folder / "events.jsonl").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def write_run(events: list[dict]) -> Run:
    """Write a run of these events, and return it as a page that is drawn now knows it."""
    run = Run("20260101-000000-mine", "mine", "standard", "/base", "/photos")
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text(json.dumps(asdict(run)))
    (run.folder / "events.jsonl").write_text("".join(f"{json.dumps(e)}\n" for e in events))
    found = find_run(run.id)
    assert found is not None
    return found


def test_a_page_of_before_neither_removes_nor_starts_nor_kills_what_is_at_work_again(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = write_run([{"event": "started", "time": 1.0, "pid": 123}])
    assert seen.state == "interrupted"
    done: list = []
    monkeypatch.setattr("dashboard.training.runs._launch", done.append)
    monkeypatch.setattr(os, "kill", lambda *what: done.append(what))
    EventLog(seen.folder / "events.jsonl").write("started", pid=456)
    with at_work(seen):
        remove_run(seen)
        resume_run(seen)
        assert find_run(seen.id) is not None
        assert done == []
        drawn = find_run(seen.id)
        assert drawn is not None and drawn.state == "running"
        EventLog(seen.folder / "events.jsonl").write("started", pid=789)
        stop_run(drawn)
    assert done == [(789, signal.SIGTERM)]


def test_what_another_page_has_discarded_or_used_is_said_or_left_alone(
    start, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = wait_for(start("better"), has_ended)
    again = find_run(seen.id)
    assert again is not None and again.state == "finished"
    copy = shutil.copytree

    def slowly(*where: Path) -> Path:
        time.sleep(0.2)
        return copy(*where)

    monkeypatch.setattr(shutil, "copytree", slowly)
    with ThreadPoolExecutor() as visitors:  # who click at once
        list(visitors.map(use_model, [again] * 3))
    choose_default("tiny")
    use_model(seen)
    assert find_model().name == "better"
    remove_run(seen)
    with pytest.raises(HarError, match="better is gone"):
        use_model(seen)


def test_what_a_kill_left_among_the_models_is_taken_over_all_the_same(
    start, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = wait_for(start("better"), has_ended)
    with monkeypatch.context() as patch:
        patch.setattr("dashboard.training.runs._record", lambda _: None)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        use_model(run)  # all but its end
    seen = find_run(run.id)
    assert seen is not None and seen.state == "finished"
    use_model(seen)
    used = find_run(run.id)
    assert used is not None and used.state == "used"


def test_what_is_no_model_is_not_replaced_and_said_to_be_in_the_way(
    start, tiny_models: Path
) -> None:
    run = wait_for(start("better"), has_ended)
    (tiny_models / "better").mkdir()
    with pytest.raises(HarError, match="better exists already; rename or remove it first"):
        use_model(run)
    assert list((tiny_models / "better").iterdir()) == []


def test_how_an_attempt_ended_says_nothing_of_the_next(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been launched again, and its process has not said a word yet."""
    killed: list[object] = []
    monkeypatch.setattr(os, "kill", lambda *what: killed.append(what))
    for since, state in ((-1.0, "failed"), (1.0, "starting")):
        run = Run(f"run {state}", "n", "quick", str(base), "/d", launched=time.time())
        run.folder.mkdir(parents=True)
        (run.folder / "run.json").write_text(json.dumps(asdict(run)))
        said = [{"event": "started", "pid": 1}, {"event": "failed", "error": "It was dark."}]
        lines = [json.dumps(event | {"time": run.launched - since}) for event in said]
        (run.folder / "events.jsonl").write_text("\n".join(lines))
        assert run.state == state
        assert run.can_go_on == (state == "failed")  # not for good: it may be light again
        stop_run(run)
    assert not killed  # a process that has the number of an earlier attempt


def test_time_left_is_that_of_what_it_does_now(base: Path) -> None:
    def progress(what: str, done: int, time: float) -> dict:
        return {"event": "progress", "what": what, "done": done, "total": 1000, "time": time}

    def described(*events: dict) -> str:
        run = Run("1", "n", "standard", "/b", "/d")
        run.__dict__["events"] = [{"event": "started", "time": 0.0}, *events]
        steps = present_step(run)
        return describe_step(steps[-1], shares_done(run)) if steps else ""

    validating = "Running on the validation split"
    epochs = [progress("epoch 1/4", 1000, 5), progress(validating, 100, 10)]
    assert described(*epochs, progress(validating, 500, 50)).endswith(
        ": 500 of 1,000, about 50 s left"
    )
    # The next epoch runs on them once more, an hour later.
    epochs += [progress("epoch 2/4", 1000, 3600), progress(validating, 100, 3610)]
    again = described(*epochs, progress(validating, 500, 3650))
    assert again.endswith(": 500 of 1,000, about 50 s left")
    # And so does a run that goes on.
    cut_off = [progress("Reading photographs", 10, 1), {"event": "started", "time": 9000.0}]
    assert described(*cut_off) == ""
    cut_off += [progress("Reading photographs", done, 9000.0 + done / 10) for done in (100, 500)]
    assert described(*cut_off).endswith(": 500 of 1,000, about 50 s left")
    # Of what is done at once there is nothing to count.
    assert described(progress("Fitting the head", 0, 1) | {"total": 1}) == "Fitting the head"


def test_the_bar_is_that_of_all_epochs_until_the_last_one_ends(base: Path) -> None:
    run = write_run([{"event": "started", "time": 0.0}])
    log = EventLog(run.folder / "events.jsonl")

    def shares(*said: tuple[str, int]) -> list[float]:
        for what, done in said:
            log.progress(what, done, 4)
        present = find_run(run.id)
        assert present is not None
        return [share for _, share in shares_done(present)]

    validating = "Running on the validation split"
    assert shares(("Reading photographs", 1)) == [0.25]
    assert shares((Epoch("head", 1, of=2), 4), (Epoch("head", 2, of=2), 2)) == [0.5, 0.75]
    assert shares((Epoch("head", 2, of=2), 4), (validating, 1)) == [0.25]
    assert shares((Epoch("fine-tuning", 1, of=4), 4), (validating, 3)) == [0.25]


def test_a_run_that_went_on_took_as_long_as_it_was_at_work(base: Path) -> None:
    words = [("waiting", 0), ("started", 10), ("epoch", 70), ("waiting", 500), ("started", 1000)]
    run = write_run([{"event": event, "time": float(time)} for event, time in words])
    assert run.seconds is None
    log = EventLog(run.folder / "events.jsonl")
    for event, at in (("epoch", 1020), ("waiting", 2000), ("stopped", 3000), ("started", 4000)):
        log.write(event, time=float(at))
    log.write("finished", time=4010.0)
    ended = find_run(run.id)
    assert ended is not None and ended.seconds == 60 + 20 + 10
