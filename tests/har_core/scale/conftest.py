"""Photographs enough for several shards, and a way to look at results."""

from pathlib import Path

import pandas as pd
import pytest

from har_core.scale import jobs
from har_core.scale.engines.pool import Event
from har_core.scale.results import Results
from har_core.scale.working import Shard, Work, Worker
from tests.drawing import CLASS_NAMES, photo_bytes


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Write 90 different small pictures, six of which are broken."""
    return write_photographs(tmp_path / "photographs", 90)


def write_photographs(folder: Path, n: int) -> Path:
    """Write different small pictures, every 15th of which is broken, to a folder and one below."""
    (folder / "more").mkdir(parents=True)
    drawn = [photo_bytes(CLASS_NAMES[i % 3], i, size=(60, 40)) for i in range(12)]
    for i in range(n):
        content = drawn[i % 12] + b"%d" % i  # behind the end of the picture: another sha256
        if i % 15 == 7:
            content = content[:200]
        (folder / ("more" if i % 4 == 0 else ".") / f"photo_{i:03d}.jpg").write_bytes(content)
    return folder


def rows_of(results: str | Path) -> pd.DataFrame:
    """Return all rows, sorted; checks that there is one for each input."""
    import pyarrow as pa

    table = pa.concat_tables(Results(str(results)).read_rows()).to_pandas()
    assert not table["uri"].duplicated().any()
    return table.sort_values("uri", ignore_index=True)


class InlinePool:
    """One worker without a process, which takes a second to start."""

    size = 1
    address = ""

    def __init__(self, work: Work, size: int | None = None) -> None:
        self._worker = Worker(work)
        self._events = [Event(0, "ready")]

    def submit(self, worker: int, shard: Shard) -> None:
        self._events += [Event(0, "report", r) for r in self._worker.do(shard)]
        self._events.append(Event(0, "finished"))

    def wait(self, seconds: float) -> list[Event]:
        happened, self._events = self._events, []
        return happened

    def state(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def inline(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Score with the tiny model, in this process."""
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)
