"""Giving a rebuilt network the weights of its Keras 2 file."""

import re
from collections import Counter
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError
from har_core.keras_io.legacy_graph import Rebuilt

# The state of a random generator.
_NOT_KEPT: Final = ("StateVar",)

# Where the ``.keras`` files of Keras 2 hold a layer's own weights, and those of layers inside it,
# in the order in which Keras 3 lists them.
_PLACES: Final = (
    "",
    "cell",
    "layer",
    "layer/cell",
    "forward_layer/cell",
    "backward_layer/cell",
    "_query_dense",
    "_key_dense",
    "_value_dense",
    "_output_dense",
)


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


def load_archive_weights(network: Rebuilt, group: Any) -> None:
    """Copy the weights of a ``.keras`` file of Keras 2 into a rebuilt network.

    Parameters
    ----------
    network : Rebuilt
        From `rebuild_network`.
    group : h5py.Group
        ``model.weights.h5`` of the archive.

    Raises
    ------
    ModelBundleError
        If a layer's weights are missing, or are other ones than the layer has.
    """
    # Up to TensorFlow 2.13 under the name of an attribute of Keras.
    names = [n for n in ("layers", "_layer_checkpoint_dependencies") if n in group]
    container = group[names[0]] if names else {}
    # Layers are told apart by their classes, and those of one class are counted.
    seen: Counter[str] = Counter()
    for part in network.parts:
        name = _snake_case(part.kind)
        number, seen[name] = seen[name], seen[name] + 1
        stored = container.get(f"{name}_{number}" if number else name, {})
        if part.parts:
            inside = stored.get("layer", {}) if part.kind == "TimeDistributed" else stored
            load_archive_weights(part.parts[0] if inside is not stored else part, inside)
        elif getattr(part.layer, "weights", ()):
            arrays = [array for place in _PLACES for array in _own_arrays(stored, place)]
            _assign(part.layer.weights, arrays, part.name)
            _finalize(part)


def _snake_case(name: str) -> str:
    """Write a class name as Keras 2 did, e.g. ``separable_conv2d``."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _own_arrays(stored: Any, place: str) -> list[np.ndarray]:
    path = f"{place}/vars" if place else "vars"
    if path not in stored:
        return []
    return [np.asarray(stored[path][number]) for number in sorted(stored[path], key=int)]


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
