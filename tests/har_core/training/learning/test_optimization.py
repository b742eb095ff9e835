import numpy as np
import pytest

from har_core.training.learning.optimization import make_optimizer


@pytest.fixture
def network():
    import keras

    pixels = keras.Input((4,))
    x = keras.layers.Dense(4, name="block_1_dense")(pixels)
    x = keras.layers.Dense(4, name="block_2_dense")(x)
    return keras.Model(pixels, keras.layers.Dense(4, name="action")(x))


def steps(network, **changes):
    """Return how far each variable moves in one step with equal gradients, by its path."""
    import keras

    options = {"weight_decay": 0.0, "layer_decay": 0.5, "ema_momentum": 0.5, "head_factor": 3.0}
    optimizer = make_optimizer(network, **options | changes)
    variables = network.trainable_variables
    optimizer.build(variables)
    optimizer.learning_rate.assign(0.01)
    before = [variable.numpy().copy() for variable in variables]
    optimizer.apply([keras.ops.full(variable.shape, 0.1) for variable in variables], variables)
    return {
        variable.path: np.abs(variable.numpy() - old).max()
        for variable, old in zip(variables, before, strict=True)
    }


def test_each_stage_learns_slower_than_the_one_behind_it(network):
    moved = steps(network)
    assert moved["block_2_dense/kernel"] == pytest.approx(0.01 * 0.5**2, rel=1e-3)
    assert moved["block_1_dense/kernel"] == pytest.approx(0.01 * 0.5**3, rel=1e-3)
    assert moved["action/kernel"] == pytest.approx(0.01 * 3, rel=1e-3)


def test_biases_do_not_decay(network):
    for variable in network.trainable_variables:
        variable.assign(np.ones(variable.shape))
    plain = steps(network)
    for variable in network.trainable_variables:
        variable.assign(np.ones(variable.shape))
    decayed = steps(network, weight_decay=0.5)
    for path, moved in plain.items():
        assert (decayed[path] > 1.1 * moved) == path.endswith("kernel"), path
