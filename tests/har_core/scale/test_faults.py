"""Whatever is killed, full or gone: afterwards one row for each input, as if nothing had been."""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from har_core.errors import HarError
from har_core.scale import jobs, locks
from har_core.scale.engines import local
from har_core.scale.engines.local import LocalPool
from har_core.scale.engines.pool import Event
from har_core.scale.locks import hold_job, hold_shared
from har_core.scale.parts import PartsFolder
from har_core.scale.results import Results
from har_core.scale.scoring import Scoring, score
from har_core.scale.sources import locations
from har_core.scale.sources.locations import NoAddressError, open_filesystem, with_retries
from har_core.scale.status import StatusWriter, read_status
from har_core.scale.working import Report, Shard
from tests.command_line import har
from tests.har_core.scale.conftest import InlinePool, rows_of, write_photographs
from tests.patience import PATIENCE_S

N = 300
ERRORS = 20


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Write enough to be killed in between."""
    return write_photographs(tmp_path / "photographs", N)


@pytest.fixture
def undisturbed(
    photographs: Path, inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pd.DataFrame:
    """Return the rows of a job that nothing happens to; real processes do the next one."""
    score([str(photographs)], str(tmp_path / "undisturbed"))
    monkeypatch.setattr(jobs, "LocalPool", LocalPool)
    return rows_of(tmp_path / "undisturbed")


def work(tmp_path: Path) -> Scoring:
    bundle = str(tmp_path / "models" / "tiny")
    return Scoring(to=str(tmp_path / "results"), bundle=bundle, part_rows=32)


def check(undisturbed: pd.DataFrame, results: Path) -> None:
    pd.testing.assert_frame_equal(rows_of(results), undisturbed)
    assert not list(results.glob(".part*"))


def test_killed_workers_are_replaced(
    photographs: Path,
    undisturbed: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pools: list[LocalPool] = []

    def start(*args: object) -> LocalPool:
        pools.append(LocalPool(*args))  # type: ignore[arg-type]
        return pools[-1]

    monkeypatch.setattr(jobs, "LocalPool", start)
    due = iter([1, 100, 200])
    next_kill = next(due)

    def kill(what: str, done: int, total: int) -> None:
        nonlocal next_kill
        if what.startswith("Scoring") and next_kill <= done < total:
            with (tmp_path / "results" / locks._WORKERS).open() as lock:  # for the next job
                assert not locks._locked(lock, locks.fcntl.LOCK_EX | locks.fcntl.LOCK_NB)
            os.kill(random.Random(done).choice(pools[0].pids()), signal.SIGKILL)
            (tmp_path / "results" / f".part-begun-{done}").touch()  # as one killed while it writes
            next_kill = next(due, total)

    status = score(
        [str(photographs)],
        str(tmp_path / "results"),
        workers=2,
        progress=kill,
        work=work(tmp_path),
    )
    assert status.restarts >= 1
    assert (status.done, status.errors) == (N, ERRORS)
    check(undisturbed, tmp_path / "results")


def test_driver_killed_three_times_is_started_again(
    photographs: Path, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    code = (
        "import sys; from har_core.scale.scoring import score, Scoring;"
        "source, to, bundle = sys.argv[1:];"
        "score([source], to, workers=2, work=Scoring(to=to, bundle=bundle, part_rows=32))"
    )
    command = [sys.executable, "-c", code, photographs, results, tmp_path / "models" / "tiny"]
    chance = random.Random(5)
    for kill in range(3):
        driver = subprocess.Popen(command, start_new_session=True)
        end = time.monotonic() + PATIENCE_S
        wanted = len(list(results.glob("part-*"))) + 1 + chance.randrange(2)
        while len(list(results.glob("part-*"))) < wanted and driver.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        time.sleep(chance.random() / 50)
        driver.kill()
        driver.wait()
        assert len(rows_of(results)) < N or kill == 2
    subprocess.run(command, check=True)
    check(undisturbed, results)


def test_interrupted_job_keeps_what_its_workers_have_made(
    photographs: Path, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    done_before = 0

    def interrupt(what: str, done: int, total: int) -> None:
        nonlocal done_before
        if what.startswith("Scoring") and 0 < done < total:
            done_before = done
            raise KeyboardInterrupt

    patient = Scoring(to=str(results), bundle=work(tmp_path).bundle)  # writes at a shard's end
    with pytest.raises(KeyboardInterrupt):
        score([str(photographs)], str(results), workers=1, progress=interrupt, work=patient)
    assert 0 < done_before <= len(rows_of(results)) < N
    score([str(photographs)], str(results), workers=1)
    check(undisturbed, results)


def test_worker_that_is_told_to_end_writes_what_it_has_made(
    photographs: Path,
    undisturbed: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = tmp_path / "results"
    pools: list[LocalPool] = []

    def start(*args: object) -> LocalPool:
        pools.append(LocalPool(*args))  # type: ignore[arg-type]
        return pools[-1]

    kept: list[int] = []

    def end(what: str, done: int, total: int) -> None:
        if what.startswith("Scoring") and 0 < done < total and not kept:
            os.kill(pools[0].pids()[0], signal.SIGTERM)
            until = time.monotonic() + PATIENCE_S
            while not list(results.glob("part-*")):
                assert time.monotonic() < until
                time.sleep(0.005)
            kept.append(len(rows_of(results)))
            assert kept[0] >= done

    monkeypatch.setattr(jobs, "LocalPool", start)
    patient = Scoring(to=str(results), bundle=work(tmp_path).bundle)  # writes at a shard's end
    status = score([str(photographs)], str(results), workers=1, progress=end, work=patient)
    assert kept and status.restarts == 1 and (status.done, status.errors) == (N, ERRORS)
    check(undisturbed, results)


def test_terminated_command_keeps_what_it_has_done(
    photographs: Path,
    undisturbed: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    advance, done_before = StatusWriter.advance, []

    def terminate(self: StatusWriter, done: int, errors: int) -> None:
        advance(self, done, errors)
        if 0 < done < N and not done_before:
            done_before.append(done)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(StatusWriter, "advance", terminate)
    results = tmp_path / "results"
    ended = har("score", photographs, "--to", results, "--workers", 1)
    assert ended.returncode == 2 and ended.stderr.endswith("goes on from there.\n")
    assert done_before and done_before[0] <= len(rows_of(results)) < N
    status = read_status(Results(str(results)))
    assert status is not None and (status.state, status.workers) == ("stopped", 1)
    assert har("score", photographs, "--to", results, "--workers", 1).returncode == 1
    check(undisturbed, results)


def test_full_disk_is_a_message_and_what_was_written_counts(
    photographs: Path,
    undisturbed: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(results)]
    mounted = shutil.which("mount") and not subprocess.run(mount, capture_output=True).returncode
    if not mounted:  # where that is not allowed, the third part finds no room
        write = PartsFolder.write_part

        def refuse(self: PartsFolder, *args: object, **options: int) -> None:
            if len(self.parts()) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(self, *args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(PartsFolder, "write_part", refuse)
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)
    try:
        with pytest.raises(HarError, match=r"Cannot write .*No space left.*start again"):
            score([str(photographs)], str(results), work=work(tmp_path))
        assert 0 < len(rows_of(results)) < N
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=4m", str(results)], check=True)
        else:
            monkeypatch.setattr(PartsFolder, "write_part", write)
        score([str(photographs)], str(results), work=work(tmp_path))
        check(undisturbed, results)
    finally:
        if mounted:
            subprocess.run(["umount", str(results)], check=True)


def test_folder_that_vanishes_stops_the_job_and_makes_no_rows(
    photographs: Path,
    undisturbed: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = tmp_path / "away"

    class Vanishing(InlinePool):
        def submit(self, worker: int, shard: Shard) -> None:
            if Results(str(tmp_path / "results")).parts() and photographs.exists():
                photographs.rename(away)
            super().submit(worker, shard)

    monkeypatch.setattr(jobs, "LocalPool", Vanishing)
    with pytest.raises(HarError, match=r"vanished\. What was done is kept"):
        score([str(photographs)], str(tmp_path / "results"), work=work(tmp_path))
    found = read_status(Results(str(tmp_path / "results")))
    assert found is not None and found.state == "failed" and "vanished" in found.message
    away.rename(photographs)
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)
    score([str(photographs)], str(tmp_path / "results"), work=work(tmp_path))
    check(undisturbed, tmp_path / "results")


class Crashing(InlinePool):
    """Its worker ends whenever it reads one photograph."""

    poison = "photo_009.jpg"

    def submit(self, worker: int, shard: Shard) -> None:
        names = [item.uri.rpartition("/")[2] for item in shard.items]
        if self.poison not in names or shard.items[names.index(self.poison)].uri in shard.condemned:
            super().submit(worker, shard)
            return
        if shard.careful:
            self._events.append(Event(0, "report", Report(names.index(self.poison), 0)))
        self._events += [Event(0, "died"), Event(0, "ready")]


def test_photograph_that_ends_its_workers_is_an_error_row(
    photographs: Path, undisturbed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LocalPool", Crashing)
    status = score([str(photographs)], str(tmp_path / "results"))
    assert status.restarts == 4
    table = rows_of(tmp_path / "results")
    crashed = table["uri"].str.endswith(Crashing.poison)
    assert table.loc[crashed, "reason"].tolist() == ["crashed"]
    assert "look at this file" in table.loc[crashed, "error"].iloc[0]
    pd.testing.assert_frame_equal(table[~crashed], undisturbed[~crashed])


def test_second_job_in_the_same_folder_is_refused(
    photographs: Path, inline: None, tmp_path: Path
) -> None:
    refused: list[str] = []

    def start_another(what: str, done: int, total: int) -> None:
        if what.startswith("Scoring") and not refused:
            with pytest.raises(HarError, match="Another job is writing") as caught:
                score([str(photographs)], str(tmp_path / "results"))
            refused.append(str(caught.value))

    score([str(photographs)], str(tmp_path / "results"), progress=start_another)
    assert refused
    assert len(rows_of(tmp_path / "results")) == N


def test_parts_of_a_shard_are_not_those_of_its_next_try(tmp_path: Path) -> None:
    folder, rows = PartsFolder(str(tmp_path)), pa.table({"uri": ["a.jpg"]})
    for shard in ("job000001", "job000001r1"):
        folder.write_part(shard, 0, 1, rows)
    assert [part.shard for part in folder.parts("job000001")] == ["job000001"]
    assert len(folder.parts()) == 2


def test_next_job_waits_for_the_workers_of_one_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = str(tmp_path / "results")
    assert locks._LINGER_S > local._LAST_WORDS_S
    monkeypatch.setattr(locks, "_LINGER_S", 0.06)
    with hold_job(results), hold_shared(results), hold_shared(results):
        pass  # a job's own workers disturb neither it nor each other
    with (
        hold_shared(results),
        pytest.raises(HarError, match="Workers of a job that was killed still write"),
        hold_job(results),
    ):
        raise AssertionError("it began")
    monkeypatch.setattr(locks, "_LINGER_S", PATIENCE_S)
    ends = threading.Event()
    with contextlib.ExitStack() as worker:
        worker.enter_context(hold_shared(results))
        worker.callback(ends.set)  # the last to enter is the first to end
        threading.Timer(0.05, worker.close).start()
        with hold_job(results):
            assert ends.is_set()


def test_bucket_that_answers_503_gives_the_same_rows(
    photographs: Path,
    undisturbed: pd.DataFrame,
    bucket: tuple[str, Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)
    address, refuse = bucket
    filesystem, folder = open_filesystem(f"{address}/in")
    names = [str(path.relative_to(photographs)) for path in photographs.rglob("*0[0-1]?.jpg")]
    for name in names:
        with filesystem.open_output_stream(f"{folder}/{name}") as file:
            file.write((photographs / name).read_bytes())
    refuse()
    to = f"{address}/results"
    status = score([f"{address}/in"], to)
    assert (status.listed, status.errors) == (20, 1)
    assert score([f"{address}/in"], to).total == 0
    table = rows_of(to)
    table["uri"] = table["uri"].str.replace(f"{address}/in", str(photographs))
    columns = table.columns.drop("mtime_ns")
    there = undisturbed[undisturbed["uri"].isin(table["uri"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(table[columns], there[columns])


@pytest.fixture
def no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("path", ["n" * 300, "loop", ".", "\0"])
def test_nobody_waits_for_a_path_that_never_opens(path: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(HarError, match=r"^Cannot open the source: \S"):
        with_retries((tmp_path / path).read_bytes, "the source", wait=1e6)


def test_bucket_without_a_name_is_said() -> None:
    with pytest.raises(HarError, match="no bucket can be called ''"):
        open_filesystem("s3://")


def test_results_in_a_bucket_that_does_not_exist_are_refused_at_once(
    photographs: Path, bucket: tuple[str, object], inline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations.time, "sleep", lambda seconds: pytest.fail("asked again"))
    with pytest.raises(HarError, match=r"^There is no bucket no-such-bucket\.$"):
        score([str(photographs)], "s3://no-such-bucket/results")


@pytest.mark.parametrize("uri", ["/a\0.jpg", "s3://there/a\0.jpg", "https://there/\0.jpg"])
def test_path_with_a_nul_character_is_no_address(uri: str) -> None:
    with pytest.raises(NoAddressError, match=r"%00.*: no path can hold a NUL character\.$"):
        open_filesystem(uri)


def test_bucket_that_does_not_exist_is_said_where_its_region_is_asked_for(
    no_region: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(bucket: str) -> str:
        raise OSError(f"Bucket '{bucket}' not found")  # as pyarrow's ResolveS3BucketRegion says it

    monkeypatch.setattr("pyarrow.fs.resolve_s3_region", missing)
    with pytest.raises(NoAddressError, match=r"^There is no bucket nobodys\.$"):
        open_filesystem("s3://nobodys/a.jpg")


def test_nobody_waits_long_for_a_bucket_of_google_that_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyarrow.fs.GcsFileSystem", lambda **options: options)
    locations._bucket_filesystem.cache_clear()
    options, _ = open_filesystem("gs://nobodys/a.jpg")
    locations._bucket_filesystem.cache_clear()
    assert locations.TRIES * options["retry_time_limit"] < timedelta(seconds=15)


def test_bucket_that_cannot_be_reached_is_said(
    no_region: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(bucket: str) -> str:
        raise OSError("no such host")

    monkeypatch.setattr("pyarrow.fs.resolve_s3_region", nowhere)
    with pytest.raises(HarError, match="Cannot reach the bucket nobodys: no such host"):
        open_filesystem("s3://nobodys/a.jpg")


def test_disk_without_locks_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    results = str(tmp_path / "results")
    with hold_job(results), hold_shared(results):
        pass


def test_folder_that_cannot_be_listed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = PartsFolder(str(tmp_path))

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("har_core.scale.parts.with_retries", refuse)
    with pytest.raises(HarError, match=r"^Cannot list .*Permission denied"):
        folder.parts()
