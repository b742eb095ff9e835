"""What a cluster says of itself, without one."""

import sys
from types import SimpleNamespace

import pytest

from har_core.errors import HarError
from har_core.scale.engines import ray_state


class FakeRay(SimpleNamespace):
    """Two machines, one of which has left."""

    def __init__(self, refuses: bool = False) -> None:
        super().__init__(asked=[], closed=0)
        self._refuses = refuses

    def init(self, address: str, **_: object) -> None:
        self.asked.append(address)
        if self._refuses:
            raise ConnectionError("nobody there")

    def nodes(self) -> list[dict[str, bool]]:
        return [{"Alive": True}, {"Alive": False}]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 8.0, "memory": 4e9, "object_store_memory": 2e9}

    def available_resources(self) -> dict[str, float]:
        return {"object_store_memory": 1.5e9}  # a kind that is used up is missing

    def shutdown(self) -> None:
        self.closed += 1


def test_a_cluster_is_described_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(ray_state, "require_scale_extra", lambda *_: None)
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    state = ray_state.cluster_state()
    assert state == ray_state.ClusterState(1, 1, 8.0, 0.0, 4e9, 2e9, 1.5e9)
    assert fake.asked == ["ray://head:10001"] and fake.closed == 1


def test_without_a_cluster_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", FakeRay(refuses=True))
    monkeypatch.setattr(ray_state, "require_scale_extra", lambda *_: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(HarError, match="There is no Ray cluster at 'auto'"):
        ray_state.cluster_state()
