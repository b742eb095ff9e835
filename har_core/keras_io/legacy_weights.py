"""Giving a rebuilt network the weights of its Keras 2 file."""

import re
from collections import Counter
from typing import Any, Final

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
        stored = _datasets(group, part.name)
        _assign([*trainable, *frozen], stored, part.name)
    _finalize(network.layer)


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
    container = group_in(group, names[0]) if names else {}
    # Layers are told apart by their classes, and those of one class are counted.
    seen: Counter[str] = Counter()
    for part in network.parts:
        name = _snake_case(part.kind)
        number, seen[name] = seen[name], seen[name] + 1
        stored = group_in(container, f"{name}_{number}" if number else name)
        if part.parts and part.kind == "TimeDistributed":
            load_archive_weights(part.parts[0], group_in(stored, "layer"))
        elif part.parts:
            load_archive_weights(part, stored)
        elif getattr(part.layer, "weights", ()):
            own = [dataset for place in _PLACES for dataset in _own_datasets(stored, place)]
            _assign(part.layer.weights, own, part.name)
            _finalize(part.layer)


def _snake_case(name: str) -> str:
    """Write a class name as Keras 2 did, e.g. ``separable_conv2d``."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def group_in(parent: Any, name: str) -> Any:
    """Return a group of this very file (links lead elsewhere), empty if there is none."""
    from keras.src.saving.saving_lib import safe_get_h5_group

    return safe_get_h5_group(parent, name) if name in parent else {}


def _dataset(group: Any, name: str) -> Any:
    """Return a dataset of this very file; its numbers are not read yet."""
    from keras.src.saving.saving_lib import safe_get_h5_dataset

    return safe_get_h5_dataset(group, name)


def _own_datasets(stored: Any, place: str) -> list[Any]:
    own = group_in(stored, f"{place}/vars" if place else "vars")
    return [_dataset(own, number) for number in sorted(own, key=int)]


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


def _datasets(group: Any, name: str) -> list[Any]:
    layer = group_in(group, name)
    if not len(layer):
        return []
    return [
        _dataset(layer, weight)
        for weight in _attribute(layer, "weight_names")
        if weight.rpartition("/")[2].partition(":")[0] not in _NOT_KEPT
    ]


def _attribute(group: Any, name: str) -> list[str]:
    """Read a list of names; Keras splits one that is longer than HDF5 allows."""
    chunks = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(chunks)}" in group.attrs:
        chunks.append(group.attrs[f"{name}{len(chunks)}"])
    return [item.decode() if isinstance(item, bytes) else str(item) for c in chunks for item in c]


def _assign(weights: list[Any], stored: list[Any], name: str) -> None:
    """Read datasets into weights, if their shapes are equal."""
    wanted, given = [tuple(w.shape) for w in weights], [dataset.shape for dataset in stored]
    if wanted != given:
        raise ModelBundleError(
            f"the weights of the layer {name!r} are not those that it has: the file holds "
            f"{len(given)} of them, {len(wanted)} are needed, and their shapes must be equal"
        )
    for weight, dataset in zip(weights, stored, strict=True):
        weight.assign(dataset[()])


def _finalize(layer: Any) -> None:
    """Let every `Normalization`, in whatever wrapper, derive what it computes with."""
    for inner in layer._flatten_layers():
        if hasattr(inner, "finalize_state"):
            inner.finalize_state()
