"""The same rows from a Ray cluster, also when its workers or the driver are killed."""

import contextlib
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from har_core.errors import HarError
from har_core.scale.engines import ray_pool
from har_core.scale.jobs import Where
from har_core.scale.results import Results
from har_core.scale.scanned.scanning import scan_sources
from har_core.scale.scoring import Scoring, score
from har_core.scale.sources.listing import list_sources
from har_core.scale.status import read_status
from har_core.scale.working import Maker, Report, Shard, Work
from tests.drawing import give_8_bits
from tests.har_core.scale.conftest import rows_of, write_photographs
from tests.patience import PATIENCE_S

N = 200


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a cluster that no driver takes along; return its address."""
    pytest.importorskip("ray", reason="ray is not installed (requirements-scale.txt)")
    from ray.cluster_utils import Cluster

    started = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    yield started.address
    started.shutdown()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return write_photographs(tmp_path / "photographs", N)


def test_rows_are_bit_equal_to_those_of_this_machine_also_after_a_kill(
    cluster: str,
    photographs: Path,
    inline: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_8_bits(tmp_path / "models" / "tiny")
    score([str(photographs)], str(tmp_path / "local"), precision="int8")
    pools: list[ray_pool.RayPool] = []

    class Pool(ray_pool.RayPool):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            pools.append(self)

    def kill(what: str, done: int, total: int) -> None:
        if what.startswith("Scoring") and 0 < done < total and not killed:
            killed.append(next(iter(pools[0].pids.values())))  # the first that was ready
            os.kill(killed[0], signal.SIGKILL)

    killed: list[int] = []
    monkeypatch.setattr(ray_pool, "RayPool", Pool)
    monkeypatch.chdir(tmp_path)
    status = score(
        [str(photographs)],
        "ray",
        engine="ray",
        address=cluster,
        precision="int8",
        progress=kill,
    )
    assert killed and status.restarts == 1
    pd.testing.assert_frame_equal(rows_of(tmp_path / "ray"), rows_of(tmp_path / "local"))
    found = read_status(Results(str(tmp_path / "ray")))
    assert found is not None and found.address == cluster
    assert found.cluster is not None
    assert (found.cluster["nodes"], found.cluster["cpus"]) == (1, 2)


def test_cluster_is_left_again_if_the_work_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    class Work:
        def files(self) -> dict[str, bytes]:
            raise FileNotFoundError("model.onnx")

    left: list[bool] = []
    fake = SimpleNamespace(
        init=lambda *_, **__: None,
        get_runtime_context=lambda: SimpleNamespace(gcs_address="10.0.0.1:6379"),
        cluster_resources=dict,
        put=list,
        shutdown=lambda: left.append(True),
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(ray_pool, "require_scale_extra", lambda *_: None)
    with pytest.raises(FileNotFoundError):
        ray_pool.RayPool(Work())  # type: ignore[arg-type]
    assert left == [True]


def test_driver_that_was_killed_is_started_again(
    cluster: str, photographs: Path, inline: None, tmp_path: Path
) -> None:
    score([str(photographs)], str(tmp_path / "local"))
    # A table of paths, which a job lists anew.
    source, results = tmp_path / "paths.parquet", tmp_path / "results"
    paths = sorted(str(path.relative_to(tmp_path)) for path in photographs.rglob("*.jpg"))
    pq.write_table(pa.table({"image_path": paths, "label": ["x"] * N}), source)
    code = (
        "import sys; from har_core.scale.scoring import score, Scoring;"
        "source, to, bundle, address = sys.argv[1:];"
        "work = Scoring(to=to, bundle=bundle, part_rows=16);"
        "score([source], to, engine='ray', address=address, workers=1, work=work)"
    )
    bundle = tmp_path / "models" / "tiny"
    driver = subprocess.Popen([sys.executable, "-c", code, source, results, bundle, cluster])
    end = time.monotonic() + PATIENCE_S
    while len(list(results.glob("part-*"))) < 2:
        assert time.monotonic() < end and driver.poll() is None
        time.sleep(0.005)
    driver.kill()
    driver.wait()
    assert len(rows_of(results)) < N
    work = Scoring(to=str(results), bundle=str(bundle))
    status = score([str(source)], str(results), engine="ray", address=cluster, workers=1, work=work)
    assert status.answered > 0 and status.answered + status.total == N
    pd.testing.assert_frame_equal(rows_of(results), rows_of(tmp_path / "local"))


def test_interrupted_job_keeps_what_its_actors_have_made(
    cluster: str, photographs: Path, inline: None, tmp_path: Path
) -> None:
    score([str(photographs)], str(tmp_path / "local"))
    results, done_before = tmp_path / "results", []

    def interrupt(what: str, done: int, total: int) -> None:
        if what.startswith("Scoring") and 0 < done < total:
            done_before.append(done)
            raise KeyboardInterrupt

    # It writes at a shard's end.
    work = Scoring(to=str(results), bundle=str(tmp_path / "models" / "tiny"))
    arguments = {"engine": "ray", "address": cluster, "workers": 1}
    with pytest.raises(KeyboardInterrupt):
        score([str(photographs)], str(results), **arguments, progress=interrupt, work=work)
    assert done_before and done_before[0] <= len(rows_of(results)) < N
    status = score([str(photographs)], str(results), **arguments)
    assert status.answered + status.total == N and status.answered > 0
    pd.testing.assert_frame_equal(rows_of(results), rows_of(tmp_path / "local"))


def test_actor_that_cannot_begin_is_replaced_and_says_why(cluster: str, tmp_path: Path) -> None:
    # Of a function, so that it travels whole: actors do not import the tests.
    @dataclass(frozen=True, kw_only=True)
    class Broken(Work):
        def begin(self) -> Maker[Any]:
            raise ValueError("too old")

    with contextlib.closing(ray_pool.RayPool(Broken(to=str(tmp_path)), cluster, 1)) as pool:
        for _ in range(2):
            (event,) = pool.wait(PATIENCE_S)
            assert event.kind == "ended" and "(ValueError: too old)" in event.message


def test_scan_finds_the_same_on_a_cluster(
    cluster: str, photographs: Path, inline: None, tmp_path: Path
) -> None:
    cut, n = tmp_path / "cut.tar", 9
    with tarfile.open(cut, "w") as archive:
        for path in sorted(photographs.glob("*.jpg"))[:n]:
            archive.add(path, path.name)
        end = archive.offset
    cut.write_bytes(cut.read_bytes()[:end])
    sources = [str(photographs / "more" / "*.jpg"), str(cut)]
    here = scan_sources(sources, str(tmp_path / "here"))
    there = scan_sources(sources, str(tmp_path / "there"), where=Where("ray", cluster, 1))
    assert here.measured == there.measured == N // 4 + n + 1
    assert (here.photographs["reason"] == "unreadable_source").sum() == 1
    pd.testing.assert_frame_equal(there.photographs, here.photographs)


def test_actor_leaves_nothing_in_the_temporary_folder_since_it_is_killed(
    photographs: Path, inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score([str(photographs)], str(tmp_path / "results"))
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    work = Scoring(to=str(tmp_path / "results"), bundle=str(tmp_path / "models" / "tiny"))
    actor = ray_pool._Actor(work.files(), work)
    assert actor.ready()[1] is None and not list(folder.iterdir())
    (photograph,) = list_sources([str(photographs / "photo_001.jpg")])
    (report,) = actor.do(Shard("again000000", [photograph]))
    assert report == Report(1, 0)


def test_without_ray_the_message_says_what_to_install(
    inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from har_core import extras

    photographs = write_photographs(tmp_path / "photographs", 1)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(HarError, match=r"^--engine ray needs ray: pip install .*\[scale\]"):
        score([str(photographs)], str(tmp_path / "results"), engine="ray")
