"""What nobody foresaw costs a photograph or a try, is told, and blames no good photograph."""

import multiprocessing
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.errors import HarError
from har_core.images.decoding import decode_photograph
from har_core.model.classifier import ActionModel
from har_core.scale import jobs, parts, scoring
from har_core.scale.engines import local, ray_pool
from har_core.scale.engines.local import LocalPool
from har_core.scale.engines.pool import Event
from har_core.scale.parts import PartsFolder
from har_core.scale.scoring import Scoring, score
from har_core.scale.sources.listing import list_sources
from har_core.scale.working import Problem, Report, Shard, problem_of
from tests.har_core.scale.conftest import InlinePool, rows_of, write_photographs

POISON = "photo_009.jpg"


@pytest.fixture
def undisturbed(photographs: Path, inline: None, tmp_path: Path) -> pd.DataFrame:
    score([str(photographs)], str(tmp_path / "undisturbed"))
    return rows_of(tmp_path / "undisturbed")


def check_only_the_poison_failed(undisturbed: pd.DataFrame, results: Path, why: str) -> None:
    table = rows_of(results)
    bad = table["uri"].str.endswith(POISON)
    assert table.loc[bad, "reason"].tolist() == ["failed"]
    assert why in table.loc[bad, "error"].iloc[0]
    pd.testing.assert_frame_equal(table[~bad], undisturbed[~bad])


def test_library_that_fails_at_one_photograph_costs_that_until_the_next_job(
    photographs: Path, undisturbed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, results = (photographs / POISON).read_bytes(), tmp_path / "results"

    def decode(data: bytes, **options: object) -> object:
        if data == poison:
            raise struct.error("unpack requires a buffer of 4 bytes")
        return decode_photograph(data, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "decode_photograph", decode)
        score([str(photographs)], str(results))
    check_only_the_poison_failed(undisturbed, results, "(error: unpack requires a buffer")
    assert score([str(photographs)], str(results)).total == 1
    pd.testing.assert_frame_equal(rows_of(results), undisturbed)


def failing_at(pixels: np.ndarray | None) -> Callable[..., object]:
    """Return what answers, but not for these pixels; None: for none."""
    answer = ActionModel.answer_pixels

    def refuse(self: ActionModel, squares: list[np.ndarray], **options: object) -> object:
        if pixels is None or any(np.array_equal(pixels, square) for square in squares):
            raise RuntimeError("Non-zero status code returned")
        return answer(self, squares, **options)  # type: ignore[arg-type]

    return refuse


def test_network_that_fails_at_one_photograph_answers_the_others_of_its_batch(
    photographs: Path, inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in photographs.rglob("*.jpg"):  # of which twelve look the same
        if path.name != POISON and int(path.stem[-3:]) % 12 == 9:
            path.unlink()
    score([str(photographs)], str(tmp_path / "undisturbed"))
    side = scoring.find_bundle(None)[1].input_size
    pixels = decode_photograph((photographs / POISON).read_bytes(), side=side).square
    monkeypatch.setattr(ActionModel, "answer_pixels", failing_at(pixels))
    score([str(photographs)], str(tmp_path / "results"))
    why = "(RuntimeError: Non-zero status code returned)"
    check_only_the_poison_failed(rows_of(tmp_path / "undisturbed"), tmp_path / "results", why)


def test_network_that_fails_at_all_photographs_stops_the_job(
    photographs: Path, inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ActionModel, "answer_pixels", failing_at(None))
    with pytest.raises(HarError, match=r"^All of \d+ photographs failed \(RuntimeError: Non-zero"):
        score([str(photographs)], str(tmp_path / "results"))
    assert rows_of_nothing(tmp_path / "results")


def rows_of_nothing(results: Path) -> bool:
    return not list(results.glob("part-*"))


class Ending(InlinePool):
    """Its worker ends as told, one shard after another, and then works."""

    kinds: Iterator[str] = iter(())
    message = ""

    def submit(self, worker: int, shard: Shard) -> None:
        kind = next(self.kinds, None)
        if kind is None:
            super().submit(worker, shard)
        else:
            self._events += [
                Event(0, "report", Report(0, 0)),
                Event(0, kind, message=self.message),  # type: ignore[arg-type]
                Event(0, "ready"),
            ]


def test_workers_that_were_told_to_end_blame_no_photograph(
    photographs: Path, undisturbed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Died twice, it is read carefully; from then on the one at hand is to blame.
    monkeypatch.setattr(Ending, "kinds", iter(["died"] * 2 + ["ended"] * 4))
    monkeypatch.setattr(jobs, "LocalPool", Ending)
    status = score([str(photographs)], str(tmp_path / "results"))
    assert status.restarts == 6
    pd.testing.assert_frame_equal(rows_of(tmp_path / "results"), undisturbed)


def test_unforeseen_exception_of_a_worker_is_tried_again_and_then_told(
    photographs: Path, undisturbed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LocalPool", Ending)
    monkeypatch.setattr(Ending, "message", problem_of(ValueError("odd")).message)
    monkeypatch.setattr(Ending, "kinds", iter(["ended"] * 3))
    with pytest.raises(HarError, match=r"unforeseen \(ValueError: odd\)\. What was done is kept"):
        score([str(photographs)], str(tmp_path / "results"))
    monkeypatch.setattr(Ending, "kinds", iter(["ended"] * 2))
    score([str(photographs)], str(tmp_path / "results"))
    pd.testing.assert_frame_equal(rows_of(tmp_path / "results"), undisturbed)


@pytest.mark.parametrize("message", ["", "A worker met something unforeseen."])
def test_workers_that_end_before_they_begin_are_not_replaced_for_ever(
    photographs: Path, inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    monkeypatch.setattr(InlinePool, "wait", lambda *_: [Event(0, "ended", message=message)])
    with pytest.raises(HarError, match=f"^{message}$" if message else "is there too little memory"):
        score([str(photographs)], str(tmp_path / "results"))


class Dying(InlinePool):
    """Four workers for three shards: the idle one dies and is back before two others have died."""

    size = 4

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        script = "ready 0 ready 1 ready 2 ready 3", "died 0 ready 0", "died 1 died 2", "ready 1"
        self._script = iter(script)
        self._busy: dict[int, Shard] = {}

    def submit(self, worker: int, shard: Shard) -> None:
        self._busy[worker] = shard

    def wait(self, seconds: float) -> list[Event]:
        if (told := next(self._script, None)) is not None:
            words = told.split()
            return [
                Event(int(worker), kind)  # type: ignore[arg-type]
                for kind, worker in zip(words[::2], words[1::2], strict=True)
            ]
        worker, shard = self._busy.popitem()
        reports = [Event(worker, "report", report) for report in self._worker.do(shard)]
        return [*reports, Event(worker, "finished")]


def test_a_worker_that_died_while_it_was_idle_is_given_one_shard_at_a_time(
    photographs: Path, inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LocalPool", Dying)
    status = score([str(photographs)], str(tmp_path / "results"))
    assert (status.restarts, status.done) == (3, 90)
    assert len(rows_of(tmp_path / "results")) == 90


def test_a_shard_for_a_worker_that_died_just_now_ends_no_job() -> None:
    pool = LocalPool.__new__(LocalPool)
    mine, theirs = multiprocessing.Pipe()
    theirs.close()
    pool._workers = [(None, mine)]
    pool.submit(0, Shard("job000000", []))


def test_what_a_worker_says_at_its_end_is_told_apart() -> None:
    ended = local._as_event(1, problem_of(ValueError("odd")))
    assert (ended.kind, ended.worker) == ("ended", 1) and "ValueError: odd" in ended.message
    failed = local._as_event(0, problem_of(HarError("The disk is full.")))
    assert (failed.kind, failed.message) == ("failed", "The disk is full.")
    assert ray_pool._no_accident(RuntimeError("Exit code: 1. The process receives a SIGTERM."))
    assert not ray_pool._no_accident(RuntimeError("the process was killed by the OOM killer"))


def test_actor_that_is_told_to_end_writes_the_batch_at_hand_and_says_so(
    inline: None, tmp_path: Path
) -> None:
    photographs = write_photographs(tmp_path / "photographs", 40)
    score([str(photographs / "photo_001.jpg")], str(tmp_path / "results"))
    work = Scoring(to=str(tmp_path / "results"), bundle=str(tmp_path / "models" / "tiny"))
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        actor = ray_pool._Actor(work.files(), work)
        said = actor.do(Shard("again000000", list(list_sources([str(photographs)]))))
        assert next(said) == Report(32, 2)
        signal.raise_signal(signal.SIGTERM)
        assert list(said) == [Problem("", again=True)]
    finally:
        signal.signal(signal.SIGTERM, before)
    (part,) = PartsFolder.parts(actor._worker._folder, "again000000")  # type: ignore[union-attr]
    assert (part.start, part.stop) == (0, 32)


def test_newer_rows_win_whatever_the_clocks_say(
    photographs: Path, inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    score([str(photographs)], str(results))
    (photographs / POISON).write_bytes((photographs / "photo_001.jpg").read_bytes() + b"new")
    with monkeypatch.context() as patch:
        patch.setattr(parts.time, "time_ns", lambda: 10**18)  # of 2001
        assert score([str(photographs)], str(results)).total == 1
    table = rows_of(results)
    changed = table.loc[table["uri"].str.endswith(POISON), "size"].item()
    assert changed == (photographs / POISON).stat().st_size
    assert score([str(photographs)], str(results)).total == 0
