"""What a Ray cluster says of itself."""

import os
from dataclasses import dataclass
from typing import Any

from har_core.errors import HarError
from har_core.extras import require_scale_extra
from har_core.progress import Progress, silent


@dataclass(frozen=True)
class ClusterState:
    """A Ray cluster at a moment.

    Parameters
    ----------
    nodes, dead_nodes : int
        Machines that take part, and that did.
    cpus, free_cpus : float
    memory, object_store, free_object_store : float
        Bytes.
    """

    nodes: int
    dead_nodes: int
    cpus: float
    free_cpus: float
    memory: float
    object_store: float
    free_object_store: float


def cluster_state(address: str = "", *, progress: Progress = silent) -> ClusterState:
    """Ask a cluster how it is.

    Connects for a few seconds: to be called in a process of its own.

    Parameters
    ----------
    address : str
        Default: that which ``RAY_ADDRESS`` names, or the one that this machine is part of.
    progress : callable, optional
        Called with (what is being done, done, total).

    Raises
    ------
    HarError
        If Ray is not installed, or there is no such cluster.
    """
    require_scale_extra("Ray's state", ("ray",))
    import ray

    progress("Asking Ray", 0, 1)
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise HarError(
            f"There is no Ray cluster at {address!r}. Start the pages on one of its machines, or "
            "set RAY_ADDRESS."
        ) from error
    try:
        return state_of(ray)
    finally:
        ray.shutdown()


def state_of(ray: Any) -> ClusterState:
    """Return how the cluster is that the module ``ray`` is connected with."""
    alive = [bool(node["Alive"]) for node in ray.nodes()]
    all_of, free = ray.cluster_resources(), ray.available_resources()
    return ClusterState(
        sum(alive),
        len(alive) - sum(alive),
        all_of.get("CPU", 0.0),
        free.get("CPU", 0.0),
        all_of.get("memory", 0.0),
        all_of.get("object_store_memory", 0.0),
        free.get("object_store_memory", 0.0),
    )
