"""One compiled training step, on whichever backend Keras runs: TensorFlow, JAX or torch."""

from collections.abc import Callable
from typing import Any

import numpy as np

Prepare = Callable[[Any, Any, int], Any]


class Learner:
    """A network and its optimiser; steps are compiled once for each size of pixels.

    Parameters
    ----------
    network : keras.Model
        Its outputs are probabilities.
    optimizer : keras.optimizers.Optimizer
        Built for the network's trainable variables.
    prepare : callable
        From a batch of inputs, what was drawn for it and a size to what the network takes; it is
        compiled with the step, so that it runs where the network does.

    Notes
    -----
    On JAX the step takes and gives back the state: the variables of network and optimiser lag
    behind until `synchronise`.
    """

    def __init__(self, network: Any, optimizer: Any, prepare: Prepare) -> None:
        import keras

        self.network = network
        self.optimizer = optimizer
        self.prepare = prepare
        backend: dict[str, type[Any]] = {
            "jax": _JaxSteps,
            "torch": _TorchSteps,
            "tensorflow": _TensorFlowSteps,
        }
        self._steps: Any = backend[keras.backend.backend()](self)

    def step(
        self, inputs: np.ndarray, draws: np.ndarray, targets: np.ndarray, size: int, rate: float
    ) -> Any:
        """Learn from one batch; return its loss, which may still be computing.

        Parameters
        ----------
        inputs : ndarray, shape (N, ...)
            E.g. photographs, uint8 (N, S, S, 3).
        draws : ndarray of float32, shape (N, D)
            What is done to each, see `har_core.training.learning.augmentation`.
        targets : ndarray of float32, shape (N, C)
            Class probabilities to learn, of the changed photographs.
        size : int
            Side that the network sees, in pixels.
        rate : float
            Learning rate.
        """
        return self._steps.step((inputs, draws, targets), size, np.float32(rate))

    def synchronise(self) -> None:
        """Bring the variables of network and optimiser up to date with the last step."""
        self._steps.synchronise()

    def reload(self) -> None:
        """Go on from the present variables of network and optimiser."""
        self._steps.reload()

    def loss(self, targets: Any, probabilities: Any) -> Any:
        """Return the mean cross-entropy of probabilities to soft targets."""
        import keras
        from keras import ops

        probabilities = ops.cast(probabilities, "float32")
        return ops.mean(keras.losses.categorical_crossentropy(targets, probabilities))


def on_accelerator() -> bool:
    """Tell whether Keras' backend computes on something faster than a CPU."""
    import keras

    match keras.backend.backend():
        case "jax":
            import jax

            return bool(jax.default_backend() != "cpu")
        case "torch":
            import torch

            return bool(torch.cuda.is_available())
        case _:
            import tensorflow as tf

            return bool(tf.config.list_physical_devices("GPU"))


class _JaxSteps:
    """State lives in lists that the step takes and gives back; variables lag behind."""

    def __init__(self, learner: Learner) -> None:
        import jax

        network, optimizer = learner.network, learner.optimizer

        def loss(trainable: Any, fixed: Any, batch: Any, size: int) -> Any:
            inputs, draws, targets = batch
            prepared = learner.prepare(inputs, draws, size)
            outputs, fixed = network.stateless_call(trainable, fixed, prepared, training=True)
            return learner.loss(targets, outputs), fixed

        rate_index = [v is optimizer.learning_rate for v in optimizer.variables].index(True)

        def step(
            trainable: Any, fixed: Any, optimised: Any, batch: Any, rate: Any, size: int
        ) -> Any:
            optimised = [*optimised[:rate_index], rate, *optimised[rate_index + 1 :]]
            differentiate = jax.value_and_grad(loss, has_aux=True)
            (value, fixed), gradients = differentiate(trainable, fixed, batch, size)
            trainable, optimised = optimizer.stateless_apply(optimised, gradients, trainable)
            return value, trainable, fixed, optimised

        self._step = jax.jit(step, static_argnames="size", donate_argnums=(0, 1, 2))
        self._copy = jax.jit(lambda state: jax.tree.map(jax.numpy.copy, state))
        self._variables = (
            network.trainable_variables,
            network.non_trainable_variables,
            optimizer.variables,
        )
        self.reload()

    def reload(self) -> None:
        self._trainable, self._fixed, self._optimised = self._copy(
            [[variable.value for variable in variables] for variables in self._variables]
        )

    def step(self, batch: Any, size: int, rate: Any) -> Any:
        value, self._trainable, self._fixed, self._optimised = self._step(
            self._trainable, self._fixed, self._optimised, batch, rate, size=size
        )
        return value

    def synchronise(self) -> None:
        # Copies: the next step takes the originals.
        state = self._copy([self._trainable, self._fixed, self._optimised])
        for variables, values in zip(self._variables, state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


class _TensorFlowSteps:
    def __init__(self, learner: Learner) -> None:
        import tensorflow as tf

        network, optimizer = learner.network, learner.optimizer
        self._rate = optimizer.learning_rate

        def step(inputs: Any, draws: Any, targets: Any, size: int) -> Any:
            prepared = learner.prepare(inputs, draws, size)
            with tf.GradientTape() as tape:
                value = learner.loss(targets, network(prepared, training=True))
            variables = network.trainable_variables
            gradients = tape.gradient(value, [variable.value for variable in variables])
            optimizer.apply(gradients, variables)
            return value

        # Nothing in it depends on a tensor's value: converting its code would only take longer.
        self._step = tf.function(step, reduce_retracing=True, autograph=False)

    def step(self, batch: Any, size: int, rate: Any) -> Any:
        self._rate.assign(rate)
        return self._step(*_tensors(*batch), size)

    def synchronise(self) -> None:
        """Nothing to do: variables are what the step changes."""

    def reload(self) -> None:
        """Nothing to do, see `synchronise`."""


class _TorchSteps:
    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def step(self, batch: Any, size: int, rate: Any) -> Any:
        import torch

        learner = self._learner
        network = learner.network
        learner.optimizer.learning_rate.assign(rate)
        inputs, draws, targets = _tensors(*batch)
        with torch.no_grad():
            prepared = learner.prepare(inputs, draws, size)
        network.zero_grad()
        value = learner.loss(targets, network(prepared, training=True))
        value.backward()
        variables = network.trainable_variables
        with torch.no_grad():
            learner.optimizer.apply([variable.value.grad for variable in variables], variables)
        return value.detach()

    def synchronise(self) -> None:
        """Nothing to do: variables are what the step changes."""

    def reload(self) -> None:
        """Nothing to do, see `synchronise`."""


def _tensors(*arrays: Any) -> list[Any]:
    from keras import ops

    return [ops.convert_to_tensor(array) for array in arrays]
