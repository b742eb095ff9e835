"""The same rows from a Ray cluster, also when its workers are killed."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from har_core.errors import HarError
from har_core.scale.engines import ray_pool
from har_core.scale.scoring import score
from tests.har_core.scale.conftest import rows_of, write_photographs


def test_rows_are_bit_equal_to_those_of_this_machine_also_after_a_kill(
    inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="ray is not installed (requirements-scale.txt)")
    photographs = write_photographs(tmp_path / "photographs", 200)
    score([str(photographs)], str(tmp_path / "local"))
    pools: list[ray_pool.RayPool] = []

    class Pool(ray_pool.RayPool):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            pools.append(self)

    def kill(what: str, done: int, total: int) -> None:
        if what.startswith("Scoring") and 0 < done < total and not killed:
            killed.append(pools[0].pids[0])
            os.kill(killed[0], signal.SIGKILL)

    killed: list[int] = []
    monkeypatch.setattr(ray_pool, "RayPool", Pool)
    monkeypatch.chdir(tmp_path)
    status = score(
        [str(photographs)],
        "ray",
        engine="ray",
        workers=2,
        progress=kill,
    )
    assert killed and status.restarts == 1
    pd.testing.assert_frame_equal(rows_of(tmp_path / "ray"), rows_of(tmp_path / "local"))


def test_without_ray_the_message_says_what_to_install(
    inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from har_core import extras

    photographs = write_photographs(tmp_path / "photographs", 1)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(HarError, match=r"^--engine ray needs ray: pip install .*\[scale\]"):
        score([str(photographs)], str(tmp_path / "results"), engine="ray")
