"""Making probabilities of what a network from elsewhere gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from har_core.errors import ModelBundleError

_SUM_TOLERANCE: Final = 1e-3
Ending = Literal["softmax", "sigmoid", "linear", "other", "unknown"]
_ENDINGS: Final[dict[str, Ending]] = {
    "softmax": "softmax",
    "sigmoid": "sigmoid",
    "linear": "linear",
    "log_softmax": "linear",  # of which a softmax makes the probabilities, too
}
Addition = Literal["none", "softmax", "two_classes", "sigmoid_and_two_classes"]


@dataclass(frozen=True)
class OutputRule:
    """What must follow a network so that it gives one probability per class.

    Parameters
    ----------
    addition : {"none", "softmax", "two_classes", "sigmoid_and_two_classes"}
        Of one output p, ``two_classes`` makes (1 - p, p).
    n_classes : int
        Probabilities that come out then.
    note : str or None
        What to tell the user; None where nothing is added.
    """

    addition: Addition
    n_classes: int
    note: str | None = None


def rule_for_outputs(outputs: np.ndarray, ending: Ending, source: str | Path) -> OutputRule:
    """Decide what must follow a network, by what it gives and by how it ends.

    Parameters
    ----------
    outputs : ndarray of float, shape (N, C)
        Of the network on any pictures.
    ending : {"softmax", "sigmoid", "linear", "other", "unknown"}
        Its last activation.
    source : str or Path
        What to call the network.

    Returns
    -------
    OutputRule

    Raises
    ------
    ModelBundleError
        If no probabilities of one class per photograph can be made of the outputs; with advice.
    """
    if not np.isfinite(outputs).all():
        raise ModelBundleError(f"{source} gives NaN or infinite outputs; its weights are broken.")
    count = outputs.shape[1]
    are_shares = outputs.min() >= 0 and outputs.max() <= 1 + _SUM_TOLERANCE
    if count == 1:
        return _rule_for_one(ending, source, are_shares)
    sums = outputs.sum(axis=1)
    if are_shares and np.abs(sums - 1).max() <= _SUM_TOLERANCE:
        return OutputRule("none", count)
    if ending == "linear" or (ending == "unknown" and not are_shares):
        note = "The network gives logits; a softmax was added."
        return OutputRule("softmax", count, note)
    if ending == "sigmoid" or (ending == "unknown" and are_shares):
        advice = (
            "they look like independent probabilities (sigmoid); only one class per photograph is "
            "supported, so the network must be trained with a softmax at its end"
        )
    elif ending == "softmax" and are_shares:
        advice = "they are rounded; convert the network without rounding its softmax (to 8 bits)"
    else:
        advice = "the network must end in a softmax, or in a layer without activation (logits)"
    raise ModelBundleError(
        f"The outputs of {source} are no probabilities: they lie in [{outputs.min():.3g}, "
        f"{outputs.max():.3g}] and sum to {sums.min():.3g} … {sums.max():.3g} instead of 1; "
        f"{advice}."
    )


def _rule_for_one(ending: Ending, source: str | Path, are_shares: bool) -> OutputRule:
    meaning = "probability of the second class (index 1); the first has the rest"
    if ending == "sigmoid" or (ending == "unknown" and are_shares):
        note = f"The network has one output (sigmoid), taken for the {meaning}."
        return OutputRule("two_classes", 2, note)
    if ending in ("linear", "unknown"):
        note = f"The network gives one logit; a sigmoid was added, and it is the {meaning}."
        return OutputRule("sigmoid_and_two_classes", 2, note)
    raise ModelBundleError(
        f"{source} has one output that is no sigmoid; a network for two classes ends in one "
        "sigmoid, or in a softmax over two."
    )


def apply_rule(rule: OutputRule, outputs: np.ndarray) -> np.ndarray:
    """Make probabilities of a network's outputs.

    Parameters
    ----------
    rule : OutputRule
        From `rule_for_outputs`.
    outputs : ndarray of float, shape (N, C)
        What the network gives.

    Returns
    -------
    ndarray of float64, shape (N, ``rule.n_classes``)
    """
    given = np.asarray(outputs, dtype=np.float64)
    if rule.addition == "none":
        return given
    if rule.addition == "softmax":
        powers = np.exp(given - given.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    # Written so that no logit, however large, overflows.
    second = given if rule.addition == "two_classes" else np.exp(-np.logaddexp(0, -given))
    return np.concatenate([1 - second, second], axis=1)


def keras_ending(network: Any) -> Ending:
    """Return the last activation of a Keras network, looking into models inside it."""
    import keras

    last, call, _ = network.outputs[0]._keras_history
    while _changes_no_value(last):
        last, call, _ = last._inbound_nodes[call].input_tensors[0]._keras_history
    if isinstance(last, keras.Model):
        return keras_ending(last)
    activation = getattr(last, "activation", None)
    if activation is None:  # a layer or operation called Softmax, say
        return _ENDINGS.get(type(last).__name__.lower(), "unknown")
    return _ENDINGS.get(getattr(activation, "__name__", ""), "other")


def _changes_no_value(operation: Any) -> bool:
    if type(operation).__name__ == "Activation":
        return getattr(operation.activation, "__name__", "") == "linear"  # which sets a precision
    return type(operation).__name__ in ("Cast", "Dropout", "Flatten", "Identity", "Reshape")


def with_probabilities(network: Any, rule: OutputRule) -> Any:
    """Return a Keras network that gives probabilities; `network` itself if it does already."""
    import keras

    if rule.addition == "none":
        return network
    # Whatever the precision inside, probabilities are float32. Layers with names of their own,
    # because operations would be named like what the network may hold already.
    if rule.addition == "softmax":
        added = keras.layers.Softmax(name="added_softmax", dtype="float32")
        return keras.Model(network.inputs[0], added(network.outputs[0]), name=network.name)
    of_logit = rule.addition == "sigmoid_and_two_classes"
    # softmax(0, z) is (1 - sigmoid(z), sigmoid(z)).
    added = keras.layers.Dense(
        2,
        activation="softmax" if of_logit else None,
        name="added_two_classes",
        dtype="float32",
    )
    outputs = added(network.outputs[0])
    kernel, bias = ([[0, 1]], [0, 0]) if of_logit else ([[-1, 1]], [1, 0])
    added.set_weights([np.asarray(kernel, np.float32), np.asarray(bias, np.float32)])
    return keras.Model(network.inputs[0], outputs, name=network.name)
