"""The optimiser: AdamW with layer-wise learning rates and averaged weights, and its schedule."""

import math
from typing import Any

from har_core.training.network import layer_depths


def cosine_learning_rate(step: int, *, total: int, warmup: int, peak: float) -> float:
    """Return the learning rate of a step: linear warm-up, then a cosine down to zero.

    Parameters
    ----------
    step : int
        From 0 to ``total - 1``.
    total, warmup : int
        Steps in all, and of them warm-up.
    peak : float
        Learning rate at the end of the warm-up.

    Returns
    -------
    float
        Depends on nothing but the arguments, so that a resumed run follows the same schedule.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def set_trainable(network: Any, *, frozen_blocks: int) -> None:
    """Freeze all normalisation, and the stages before a block.

    The first stages see the most pixels, so that they take the most time, and change the least.

    Parameters
    ----------
    network : keras.Model
        See `har_core.training.network.layer_depths`.
    frozen_blocks : int
        The stem and this many blocks keep their weights; 0 trains the stem, too.
    """
    import keras

    depths = layer_depths(network)
    deepest_trained = max(depths.values()) - frozen_blocks
    for layer in network.layers:
        # In Keras a frozen BatchNormalization also keeps its statistics.
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not normalises and depths[layer.name] <= deepest_trained


def make_optimizer(
    network: Any,
    *,
    weight_decay: float,
    layer_decay: float,
    head_factor: float,
    ema_momentum: float,
) -> Any:
    """Build AdamW with layer-wise learning rates and a moving average of the weights.

    Early layers of a pretrained network are general and need to change less: the learning rate
    of a stage is multiplied by ``layer_decay`` for each stage between it and the head (as in
    ULMFiT, Howard and Ruder 2018, arXiv:1801.06146).

    Parameters
    ----------
    network : keras.Model
        See `har_core.training.network.layer_depths`.
    weight_decay : float
        Decoupled weight decay (Loshchilov and Hutter 2017, arXiv:1711.05101), not applied to
        biases and normalisation.
    layer_decay : float
        In (0, 1]; 1 trains all stages alike.
    head_factor : float
        Multiplies the learning rate of the layers behind the backbone.
    ema_momentum : float
        Momentum of the exponential moving average, in [0, 1).

    Returns
    -------
    keras.optimizers.AdamW
        Built for the network's trainable variables.
    """
    import keras

    depths = layer_depths(network)
    factors = {
        variable.path: head_factor if depths[layer.name] == 0 else layer_decay ** depths[layer.name]
        for layer in network.layers
        for variable in layer.trainable_variables
    }

    class LayerwiseAdamW(keras.optimizers.AdamW):
        def build(self, variables: Any) -> None:
            self._factors = [factors[variable.path] for variable in variables]
            super().build(variables)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            factor = self._factors[self._get_variable_index(variable)]
            super().update_step(gradient, variable, learning_rate * factor)

    optimizer = LayerwiseAdamW(
        weight_decay=weight_decay,
        use_ema=True,
        ema_momentum=ema_momentum,
        global_clipnorm=1.0,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(network.trainable_variables)
    return optimizer
