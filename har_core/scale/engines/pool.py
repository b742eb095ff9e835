"""What an engine is: workers that are started, given shards, and replaced when they die."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from har_core.scale.engines.ray_state import ClusterState
from har_core.scale.working import Report, Shard


@dataclass(frozen=True)
class Event:
    """What became of a worker.

    Parameters
    ----------
    worker : int
        From 0 to the pool's size.
    kind : {"ready", "report", "finished", "failed", "died", "ended"}
        It can begin; it is further with its shard; that is done; the whole job cannot go on; the
        worker ended for no reason that is known, or for one that is no photograph's fault (it was
        told to, or met something that nobody foresaw), and another is starting in its place.
    report : Report or None
    message : str
        Why the job cannot go on, or what the worker met.
    """

    worker: int
    kind: Literal["ready", "report", "finished", "failed", "died", "ended"]
    report: Report | None = None
    message: str = ""


class Pool(Protocol):
    """Workers of an engine, each with one core and one model.

    Attributes
    ----------
    size : int
        How many there are.
    address : str
        Of the cluster that they are part of; ``""`` if they are of this machine alone.
    """

    size: int
    address: str

    def submit(self, worker: int, shard: Shard) -> None:
        """Give a worker that is ready, or has finished, its next shard."""

    def wait(self, seconds: float) -> Sequence[Event]:
        """Return what has happened, at the latest after so many seconds."""

    def state(self) -> ClusterState | None:
        """Say how the cluster is; None without one."""

    def close(self) -> None:
        """End all workers, whatever they do; they write what they have made."""
