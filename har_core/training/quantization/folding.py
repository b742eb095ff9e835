"""The same network without batch normalisation: each one folded into the convolution before it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from har_core.errors import ModelBundleError
from har_core.training.network import SEQUENCE_LAYER

Rebuild = Callable[[Any, dict[str, Any]], Any]


def fold_normalisation(network: Any, rebuild: Rebuild | None = None) -> Any:
    """Return a network of the same function whose normalisation does nothing.

    Parameters
    ----------
    network : keras.Model
        From `har_core.training.network.build_network`: every normalisation follows a convolution.
    rebuild : callable, optional
        From a layer and the configuration of what takes its place to that layer, or None for
        Keras' own; see `har_core.training.quantization.twin`.

    Returns
    -------
    keras.Model
        Layers have the same names; weights are its own; takes pixels of any size.

    Raises
    ------
    ModelBundleError
        If a normalisation follows no convolution.
    """
    import keras

    folded = {
        layer.name: normalised_convolution(layer)
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    convolutions = {convolution.name for convolution in folded.values()}

    def take_place(layer: Any) -> Any:
        if layer.name == SEQUENCE_LAYER:
            return keras.layers.Reshape((-1, layer.output.shape[-1]), name=SEQUENCE_LAYER)
        config = layer.get_config()
        if layer.name in convolutions:
            config["use_bias"] = True
        replacement = rebuild(layer, config) if rebuild is not None else None
        if replacement is not None:
            return replacement
        if layer.name in folded:
            return keras.layers.Identity(name=layer.name)
        return type(layer).from_config(config)

    pixels = keras.Input((None, None, 3), name="pixels")
    twin = keras.models.clone_model(
        network, input_tensors=pixels, clone_function=take_place, call_function=_call
    )
    load_folded_weights(twin, network)
    return twin


def load_folded_weights(twin: Any, network: Any) -> None:
    """Give a network from `fold_normalisation` the present weights of the one it was made of."""
    import keras

    normalised = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            normalised[normalised_convolution(layer).name] = layer
    for layer in network.layers:
        if layer.name in normalised:
            twin.get_layer(layer.name).set_weights(_folded(layer, normalised[layer.name]))
        elif layer.weights and not isinstance(layer, keras.layers.BatchNormalization):
            twin.get_layer(layer.name).set_weights(layer.get_weights())


def normalised_convolution(normalisation: Any) -> Any:
    """Return the layer whose outputs a normalisation takes.

    Raises
    ------
    ModelBundleError
        If it is no convolution.
    """
    import keras

    source = normalisation.input._keras_history.operation
    if not isinstance(source, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        raise ModelBundleError(
            f"The normalisation {normalisation.name!r} follows no convolution, so the network "
            "cannot be computed with 8 bits."
        )
    return source


def _call(layer: Any, *inputs: Any, mask: Any = None, **settings: Any) -> Any:
    """Call what takes a layer's place; normalisation alone is called with a mask, always None."""
    return layer(*inputs, **settings)


def _folded(convolution: Any, normalisation: Any) -> list[np.ndarray]:
    """Return kernel and bias of both layers in one."""
    import keras

    kernel, *bias = convolution.get_weights()
    of_normalisation = {weight.name: weight.numpy() for weight in normalisation.weights}
    factor = 1 / np.sqrt(of_normalisation["moving_variance"] + np.float64(normalisation.epsilon))
    factor = factor * of_normalisation.get("gamma", 1.0)
    offset = ((bias[0] if bias else 0.0) - of_normalisation["moving_mean"]) * factor
    offset = offset + of_normalisation.get("beta", 0.0)
    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    kernel = kernel * (factor[:, np.newaxis] if depthwise else factor)
    return [kernel.astype(np.float32), offset.astype(np.float32)]
