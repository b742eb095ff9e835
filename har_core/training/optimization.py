"""The optimiser's parts: learning-rate schedule and layer-wise learning-rate decay."""

import math
import re
from collections.abc import Sequence
from typing import Any, Final

_BLOCK: Final = re.compile(r"block_(\d+)_")


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


def layer_depths(layer_names: Sequence[str]) -> dict[str, int]:
    """Count the stages between each layer and the output: head 0, last block 2, …, stem.

    Parameters
    ----------
    layer_names : sequence of str
        Names of the network's layers, as in Keras' MobileNetV2.

    Returns
    -------
    dict of str to int
        Layer name to the number of stages between it and the head; 18 for the stem of MobileNetV2.
    """
    blocks = {name: int(match[1]) for name in layer_names if (match := _BLOCK.match(name))}
    last = max(blocks.values(), default=0)
    depths = {}
    for name in layer_names:
        if name in blocks:
            depths[name] = last - blocks[name] + 2
        elif name.startswith("Conv_1"):
            depths[name] = 1
        elif name in ("Conv1", "bn_Conv1") or name.startswith("expanded_conv"):
            depths[name] = last + 2
        else:
            depths[name] = 0
    return depths


def set_trainable(network: Any, *, frozen_blocks: int) -> None:
    """Freeze all normalisation, and the stages before a block.

    The first stages see the most pixels, so that they take the most time, and change the least.

    Parameters
    ----------
    network : keras.Model
        Its layer names tell the stages.
    frozen_blocks : int
        The stem and this many blocks keep their weights; 0 trains the stem, too.
    """
    import keras

    depths = layer_depths([layer.name for layer in network.layers])
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
    ema_momentum: float,
    head_factor: float,
) -> Any:
    """Build AdamW with layer-wise learning rates and a moving average of the weights.

    Early layers of a pretrained network are general and need to change less: the learning rate
    of a stage is multiplied by ``layer_decay`` for each stage between it and the head (as in
    ULMFiT, Howard and Ruder 2018, arXiv:1801.06146).

    Parameters
    ----------
    network : keras.Model
        Its layer names tell the stages.
    weight_decay : float
        Decoupled weight decay (Loshchilov and Hutter 2017, arXiv:1711.05101), not applied to
        biases and normalisation.
    layer_decay : float
        In (0, 1]; 1 trains all stages alike.
    ema_momentum : float
        Momentum of the exponential moving average, in [0, 1).
    head_factor : float
        Multiplies the learning rate of the layers behind the backbone.

    Returns
    -------
    keras.optimizers.AdamW
    """
    import keras

    depths = layer_depths([layer.name for layer in network.layers])
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
        weight_decay=weight_decay, use_ema=True, ema_momentum=ema_momentum, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
