"""Giving a rebuilt network the weights of its Keras 2 file."""

from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError
from har_core.keras_io.legacy_graph import Rebuilt

# The state of a random generator.
_NOT_KEPT: Final = ("StateVar",)


def load_weights(network: Rebuilt, group: Any) -> None:
    """Copy the weights of an HDF5 file into a rebuilt network.

    Parameters
    ----------
    network : Rebuilt
        From `rebuild_network`.
    group : h5py.Group
        ``model_weights`` of the file.

    Raises
    ------
    ModelBundleError
        If a layer's weights are missing, or are other ones than the layer has.
    """
    for part in network.parts:
        trainable, frozen = _stored_order(part)
        stored = _arrays(group, part.name)
        _assign([*trainable, *frozen], stored, part.name)
        _finalize(part)


def _stored_order(part: Rebuilt) -> tuple[list[Any], list[Any]]:
    """Return the weights as Keras 2 stored them: all trainable ones first, layer by layer."""
    if not part.parts:
        return (
            list(getattr(part.layer, "trainable_weights", ())),
            list(getattr(part.layer, "non_trainable_weights", ())),
        )
    pairs = [_stored_order(inner) for inner in part.parts]
    trainable = [weight for first, _ in pairs for weight in first]
    frozen = [weight for _, second in pairs for weight in second]
    return (trainable, frozen) if part.trainable else ([], trainable + frozen)


def _arrays(group: Any, name: str) -> list[np.ndarray]:
    if name not in group:
        return []
    layer = group[name]
    names = _attribute(layer, "weight_names")
    return [
        np.asarray(layer[weight])
        for weight in names
        if weight.rpartition("/")[2].partition(":")[0] not in _NOT_KEPT
    ]


def _attribute(group: Any, name: str) -> list[str]:
    """Read a list of names; Keras splits one that is longer than HDF5 allows."""
    chunks = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(chunks)}" in group.attrs:
        chunks.append(group.attrs[f"{name}{len(chunks)}"])
    return [item.decode() if isinstance(item, bytes) else str(item) for c in chunks for item in c]


def _assign(weights: list[Any], stored: list[np.ndarray], name: str) -> None:
    wanted, given = [tuple(w.shape) for w in weights], [array.shape for array in stored]
    if wanted != given:
        raise ModelBundleError(
            f"the weights of the layer {name!r} are not those that it has: the file holds "
            f"{len(given)} of them, {len(wanted)} are needed, and their shapes must be equal"
        )
    for weight, array in zip(weights, stored, strict=True):
        weight.assign(array)


def _finalize(part: Rebuilt) -> None:
    """Let `Normalization` derive from its weights what it computes with."""
    for inner in part.parts:
        _finalize(inner)
    if hasattr(part.layer, "finalize_state"):
        part.layer.finalize_state()
