"""What a worker reads of its shard, and when it writes what it has made."""

import errno
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from har_core.errors import InvalidImageError
from har_core.images.decoding import MAX_BYTES
from har_core.model.fields import ERROR, REASON
from har_core.scale import jobs, reading, working
from har_core.scale.engines.pool import Event
from har_core.scale.parts import PartsFolder
from har_core.scale.reading import BATCH_BYTES, Reader, batches
from har_core.scale.sources import locations
from har_core.scale.sources.contents import ContainerReader
from har_core.scale.sources.items import Item
from har_core.scale.sources.locations import TRIES, SourceLostError
from har_core.scale.status import JobStatus
from har_core.scale.working import Maker, Shard, Work, Worker
from tests.har_core.scale.conftest import InlinePool, rows_of

AWAY = "https://there/a.jpg"


class Made(NamedTuple):
    item: Item
    error: str = ""
    reason: str = ""


class Naming(Maker[Made]):
    """Makes rows of nothing but names."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._meanwhile = meanwhile

    def look(self, item: Item, data: bytes) -> Made:
        return Made(item)

    def without(self, item: Item, sentence: str, reason: str, *, gone: bool) -> Made:
        return Made(item, sentence, reason)

    def rows(self, batch: list[Made]) -> Any:
        self._meanwhile()
        names, errors, reasons = zip(*((m.item.uri, m.error, m.reason) for m in batch), strict=True)
        return pa.table(
            {
                "uri": names,
                ERROR: pa.array([error or None for error in errors], pa.string()),
                REASON: pa.array([reason or None for reason in reasons], pa.string()),
            }
        )


@dataclass(frozen=True, kw_only=True)
class NamingWork(Work):
    meanwhile: Callable[[], None] = lambda: None

    def begin(self) -> Naming:
        return Naming(self.meanwhile)


def parts_of(work: Work, names: range, *, careful: bool) -> list[tuple[int, int]]:
    items = [Item(f"{work.to}/{name}.jpg") for name in names]
    done = [report.done for report in Worker(work).do(Shard("job", items, careful))]
    assert done[-1] == len(items)
    return [(part.start, part.stop) for part in PartsFolder(work.to).parts()]


def test_part_is_written_whenever_a_minute_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(working.time, "monotonic", lambda: clock[0])
    work = NamingWork(to=str(tmp_path), meanwhile=lambda: clock.append(clock.pop() + 25))
    assert parts_of(work, range(10), careful=True) == [(0, 3), (3, 6), (6, 9), (9, 10)]


def test_what_may_end_a_worker_is_written_often(tmp_path: Path) -> None:
    assert parts_of(NamingWork(to=str(tmp_path)), range(40), careful=True) == [(0, 32), (32, 40)]


class Halting(InlinePool):
    """Its worker dies whenever it has written a part that is not the last of its shard."""

    def submit(self, worker: int, shard: Shard) -> None:
        for report in self._worker.do(shard):
            self._events.append(Event(0, "report", report))
            if report.done < len(shard.items):
                self._events += [Event(0, "died"), Event(0, "ready")]
                return
        self._events.append(Event(0, "finished"))


def run(pool: type[InlinePool], folder: Path, monkeypatch: pytest.MonkeyPatch) -> JobStatus:
    """Do 200 photographs, and check that each has a row."""
    monkeypatch.setattr(jobs, "LocalPool", pool)
    items = [Item(f"{folder}/{number:03d}.jpg") for number in range(200)]
    work = NamingWork(to=str(folder), part_rows=32)
    status = JobStatus("job", "local", 1, "", [])
    jobs.run_job(
        lambda whole: iter(items), PartsFolder(work.to), work, jobs.Where(), status, "Naming"
    )
    assert rows_of(folder)["uri"].tolist() == [item.uri for item in items]
    assert (status.done, status.errors) == (200, 200)
    return status


def test_worker_that_dies_after_every_part_loses_and_doubles_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(Halting, tmp_path, monkeypatch).restarts == 4


class Restless(InlinePool):
    """Its worker is told to end while it is idle, and often before it has written anything."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._events = [*[Event(0, "ready"), Event(0, "ended")] * 6, Event(0, "ready")]
        self._left = 6

    def submit(self, worker: int, shard: Shard) -> None:
        assert not shard.careful  # which is slow, and for what may have ended a worker
        self._left -= 1
        if self._left >= 0:
            self._events += [Event(0, "ended"), Event(0, "ready")]
        else:
            super().submit(worker, shard)


def test_workers_are_replaced_however_often_they_are_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(Restless, tmp_path, monkeypatch).restarts == 12


def test_many_that_fail_do_not_end_a_job_in_which_another_does_not(tmp_path: Path) -> None:
    class Failing(Naming):
        def rows(self, batch: list[Made]) -> Any:
            if any(not made.reason and made.item.uri != "/0.jpg" for made in batch):
                raise ValueError("odd")
            return super().rows(batch)

    worker = Worker(NamingWork(to=str(tmp_path)))
    worker._maker = Failing()
    rows = worker._rows([Made(Item(f"/{number}.jpg")) for number in range(20)])
    assert rows[REASON].to_pylist() == [None, *["failed"] * 19]


def test_two_batches_in_memory_are_small() -> None:
    large = [Item(f"/{number}.jpg", BATCH_BYTES // 2) for number in range(5)]
    assert [len(batch) for batch in batches(large)] == [2, 2, 1]
    assert [len(batch) for batch in batches([Item("/1.jpg", 1)] * 70)] == [32, 32, 6]


class Server:
    """Has one photograph, of whatever length; answers as it is told."""

    asked = 0
    error: Exception | None = None

    def open_input_stream(self, path: str) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return nullcontext(SimpleNamespace(read=bytes))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(reading, "open_filesystem", lambda uri: (made, uri))
    monkeypatch.setattr(reading, "_failing", set())
    monkeypatch.setattr(locations.time, "sleep", lambda seconds: None)
    return made


def test_file_of_a_server_that_is_larger_than_any_is_not_read_whole(server: Server) -> None:
    assert len(reading._from_server(Item(AWAY))) == MAX_BYTES + 1
    with pytest.raises(InvalidImageError, match="at most 20 MB are read"):
        reading._from_server(Item(AWAY, MAX_BYTES + 1))
    assert server.asked == 1


def test_web_server_that_does_better_is_waited_for_again(server: Server) -> None:
    asked = []
    for server.error in (OSError("503"), OSError("503"), None, OSError("503")):
        server.asked = 0
        with suppress(InvalidImageError):
            reading._from_server(Item(AWAY))
        asked.append(server.asked)
    assert asked == [TRIES, 1, 1, TRIES]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(errno.EIO, "Input/output error"), "unreadable"), (ValueError("odd"), "damaged")],
)
def test_disk_that_fails_below_a_tar_file_does_not_make_it_damaged(
    error: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: ContainerReader, item: Item) -> bytes:
        raise error

    monkeypatch.setattr(ContainerReader, "read", fail)
    item = Item(f"{tmp_path}/a.tar#1.jpg", container=f"{tmp_path}/a.tar")
    assert Reader(Naming()).read_now(item).reason == reason


def test_tar_file_that_went_with_its_folder_ends_the_job(tmp_path: Path) -> None:
    item = Item(f"{tmp_path}/gone/a.tar#1.jpg", 5, container=f"{tmp_path}/gone/a.tar", start=0)
    with pytest.raises(SourceLostError, match=r"/gone vanished\. What was done is kept"):
        Reader(Naming()).read_now(item)
