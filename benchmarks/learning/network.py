"""A network whose trained weights are one vector, so that one compiled step serves all variants.

`har_core.training.learning.learner` compiles a step for each setting of the optimiser. Here these
are arguments; what a step computes is the same.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from har_core.training.learning.augmentation import prepare_pixels, unchanged
from har_core.training.learning.optimization import cosine_learning_rate, set_trainable
from har_core.training.network import build_network, layer_depths, training_twin

BATCH: Final = 256
_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-7
_STEPS_AHEAD: Final = 50

# Rows of the photographs, what was drawn for them, targets, size of the pixels.
Batch = tuple[np.ndarray, np.ndarray, np.ndarray, int]


class State(NamedTuple):
    """Weights, their moments and moving average, float32 (P,); steps done; random key."""

    weights: Any
    first: Any
    second: Any
    average: Any
    count: Any
    key: Any


@dataclass(frozen=True)
class Optimization:
    """Settings of one run; see `har_core.training.learning.optimization.make_optimizer`.

    Parameters
    ----------
    rate : float
        Peak of the learning rate, for the last block.
    ema_steps : float
        Time constant of the moving average, in steps; 0 turns it off.
    warmup : float
        Share of the steps.
    """

    rate: float
    head_factor: float
    layer_decay: float
    weight_decay: float
    dropout: float
    ema_steps: float
    warmup: float


class Network:
    """A classifier on JAX.

    Parameters
    ----------
    weights : str
        See `har_core.training.network.build_network`.
    n_classes : int
    head : {"lstm", "pooled"}
    bfloat16 : bool
        Let the backbone compute in mixed precision.
    """

    def __init__(self, weights: str, n_classes: int, head: str, *, bfloat16: bool) -> None:
        import keras

        network = build_network(n_classes, backbone_weights=weights, dropout=0.0, head=head)
        self._twin = training_twin(network, bfloat16=bfloat16, fused=True)
        set_trainable(self._twin, frozen_blocks=0)
        # Behind it are dropout, whose rate is an argument, and the layer before the softmax.
        self._body = keras.Model(self._twin.input, self._twin.get_layer("dropout").input)
        variables = self._twin.trainable_variables
        depths = layer_depths(self._twin)
        depth_of = {
            variable.path: depths[layer.name]
            for layer in self._twin.layers
            for variable in layer.trainable_variables
        }
        self.n_classes = n_classes
        self.n_weights = sum(math.prod(variable.shape) for variable in variables)
        self._dtype = "bfloat16" if bfloat16 else "float32"
        self._shapes = [tuple(variable.shape) for variable in variables]
        self._fixed = [np.asarray(variable) for variable in self._body.non_trainable_variables]
        self._depths = self._spread([depth_of[variable.path] for variable in variables])
        # Normalisation is frozen: only biases are left to be spared.
        self.decayed = self._spread([float("bias" not in v.path) for v in variables])

    def start(self, seed: int) -> State:
        """Return the state before the first step; the seed is that of the dropout."""
        weights = np.concatenate([np.ravel(v) for v in self._twin.trainable_variables])
        zeros = np.zeros_like(weights)
        state = State(weights, zeros, zeros, weights, np.int32(0), jax.random.key(seed))
        return jax.tree.map(jnp.array, state)  # copies: a step takes what it is given

    def factors(self, optimization: Optimization) -> np.ndarray:
        """Return the share of the learning rate for each weight, float32 (P,)."""
        shares = optimization.layer_decay ** self._depths.astype(np.float64)
        shares = np.where(self._depths == 0, optimization.head_factor, shares)
        return shares.astype(np.float32)

    def step(
        self,
        state: State,
        settings: tuple[Any, Any, Any, Any],
        per_weight: tuple[Any, Any],
        pixels: Any,
        rows: Any,
        draws: Any,
        targets: Any,
        *,
        size: int,
    ) -> tuple[State, Any]:
        """Learn from a batch; return the new state and the loss.

        Parameters
        ----------
        state : State
        settings : tuple of float
            Learning rate, weight decay, dropout, momentum of the moving average.
        per_weight : tuple of arrays, shape (P,)
            See `factors`, and 1 where weights decay.
        pixels : array of uint8, shape (N, S, S, 3)
            All photographs.
        rows, draws, targets : arrays
            Of the batch.
        size : int
        """
        rate, weight_decay, dropout, momentum = settings
        factors, decayed = per_weight
        key, drop_key = jax.random.split(state.key)

        def drop(hidden: Any) -> Any:
            kept = jax.random.uniform(drop_key, hidden.shape) >= dropout
            return jnp.where(kept, hidden / (1 - dropout), 0)

        def loss(weights: Any) -> Any:
            images = prepare_pixels(pixels[rows], draws, size, dtype=self._dtype)
            scores = self._scores(weights, images, drop)
            return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(scores), axis=-1))

        value, gradient = jax.value_and_grad(loss)(state.weights)
        gradient /= jnp.maximum(1.0, jnp.sqrt(jnp.sum(gradient**2)))
        count = state.count + 1
        first = _BETAS[0] * state.first + (1 - _BETAS[0]) * gradient
        second = _BETAS[1] * state.second + (1 - _BETAS[1]) * gradient**2
        correction = jnp.sqrt(1 - _BETAS[1] ** count) / (1 - _BETAS[0] ** count)
        weights = state.weights * (1 - rate * weight_decay * decayed)
        weights -= rate * factors * correction * first / (jnp.sqrt(second) + _EPSILON)
        momentum = jnp.where(count == 1, 0, momentum)
        average = momentum * state.average + (1 - momentum) * weights
        return State(weights, first, second, average, count, key), value

    def probabilities(self, weights: Any, pixels: Any, rows: Any, draws: Any, *, size: int) -> Any:
        """Return the answers, float32 (B, C), to views of photographs."""
        images = prepare_pixels(pixels[rows], draws, size, dtype=self._dtype)
        return jax.nn.softmax(self._scores(weights, images, lambda hidden: hidden))

    def _scores(self, weights: Any, images: Any, drop: Callable[[Any], Any]) -> Any:
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        pieces = jnp.split(weights, ends[:-1])
        *body, kernel, bias = (
            piece.reshape(shape) for piece, shape in zip(pieces, self._shapes, strict=True)
        )
        hidden, _ = self._body.stateless_call(body, self._fixed, images, training=False)
        return drop(hidden.astype(jnp.float32)) @ kernel + bias

    def _spread(self, values: list[Any]) -> np.ndarray:
        """Return one value a weight from one a variable, float32 (P,)."""
        return np.repeat(np.array(values, np.float32), [math.prod(shape) for shape in self._shapes])


class CompiledNetwork:
    """A network on photographs that stay on the device, compiled by threads meanwhile.

    Parameters
    ----------
    network : Network
    pixels : jax.Array of uint8, shape (N, S, S, 3)
    batch_size : int
        Of a step; answers are given to `BATCH` views at once.
    sizes : sequence of int
        Sides in pixels that it learns at.
    judged_size : int
        Side at which it answers.
    threads : Executor
    """

    def __init__(
        self,
        network: Network,
        pixels: Any,
        *,
        batch_size: int,
        sizes: Iterable[int],
        judged_size: int,
        threads: Executor,
    ) -> None:
        self.batch_size = batch_size
        self._network = network
        self._pixels = pixels
        self._decayed = jnp.array(network.decayed)

        def shaped(*shape: int, dtype: Any = jnp.float32) -> Any:
            return jax.ShapeDtypeStruct(shape, dtype)

        vector = shaped(network.n_weights)
        key = jax.eval_shape(lambda: jax.random.key(0))
        state = State(vector, vector, vector, vector, shaped(dtype=jnp.int32), key)
        photographs = shaped(*pixels.shape, dtype=jnp.uint8)
        n_draws = unchanged(1).shape[1]

        def compile_step(size: int) -> Any:
            step = jax.jit(partial(network.step, size=size), donate_argnums=0)
            batch = (shaped(batch_size, dtype=jnp.int32), shaped(batch_size, n_draws))
            targets = shaped(batch_size, network.n_classes)
            scalars = (shaped(),) * 4
            return step.lower(
                state, scalars, (vector, vector), photographs, *batch, targets
            ).compile()

        def compile_answers() -> Any:
            answers = jax.jit(partial(network.probabilities, size=judged_size))
            batch = (shaped(BATCH, dtype=jnp.int32), shaped(BATCH, n_draws))
            return answers.lower(vector, photographs, *batch).compile()

        self._steps: dict[int, Future[Any]] = {
            size: threads.submit(compile_step, size) for size in set(sizes)
        }
        self._answers: Future[Any] = threads.submit(compile_answers)

    def learn(
        self, optimization: Optimization, seed: int, batches: Iterable[Batch], total: int
    ) -> np.ndarray:
        """Return the averaged weights, float32 (P,), after `total` batches."""
        state = self._network.start(seed)
        per_weight = jnp.array(self._network.factors(optimization)), self._decayed
        momentum = 1 - 1 / max(1.0, optimization.ema_steps)
        warmup = round(optimization.warmup * total)
        losses = []
        for i, (rows, draws, targets, size) in enumerate(batches):
            rate = cosine_learning_rate(i, total=total, warmup=warmup, peak=optimization.rate)
            numbers = (rate, optimization.weight_decay, optimization.dropout, momentum)
            settings = tuple(map(np.float32, numbers))
            state, loss = self._steps[size].result()(
                state, settings, per_weight, self._pixels, rows, draws, targets
            )
            losses.append(loss)
            if i >= _STEPS_AHEAD:
                losses[i - _STEPS_AHEAD].block_until_ready()
        return np.asarray(state.average)

    def answer(self, weights: Any, rows: np.ndarray, draws: np.ndarray) -> Any:
        """Return the answers, (256, C), to as many views, which may still be computing."""
        return self._answers.result()(weights, self._pixels, rows.astype(np.int32), draws)

    def answers(self, weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the answers, float32 (N, C), to whole photographs."""
        on_device, whole = jnp.array(weights), unchanged(BATCH)
        filled = np.resize(rows, -(-len(rows) // BATCH) * BATCH).reshape(-1, BATCH)
        outputs = [self.answer(on_device, part, whole) for part in filled]
        return np.concatenate([np.asarray(output) for output in outputs])[: len(rows)]
