"""Teachers, their opinions, students: run one after the other, each result kept at once."""

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.learning.network import (
    BATCH,
    Batch,
    CompiledNetwork,
    Network,
    Optimization,
)
from benchmarks.learning.packing import RESULTS, SEED, unpack_photographs, unpack_weights
from benchmarks.learning.variants import Variant, variants
from har_core.storage.files import write_atomically
from har_core.training.learning.augmentation import AugmentationSettings, mix_targets
from har_core.training.learning.lesson import Lesson

SEEDS: Final = (1, 2)
_STUDENT: Final = "mobilenet"  # the same network learns labels as a teacher
_SMOOTHING: Final = 0.1
_FIRST_SIZE: Final = 0.53  # of the steps, as in recipes/har15.toml


@dataclass(frozen=True)
class Budget:
    """How much is learned.

    Parameters
    ----------
    teacher_epochs : tuple of (float, int)
        Epochs of a teacher by the share of the labels that it has.
    teacher_size, judged_size : int
        Sides in pixels at which teachers learn, and at which all but the student's network judge.
    scale : float
        Multiplies the sizes of the variants.
    steps : int
        Of a student.
    views : int
        Of each photograph, judged by the teachers once.
    at_most : int, optional
        Photographs of each kind.
    bfloat16 : bool
    """

    teacher_epochs: tuple[tuple[float, int], ...] = ((1.0, 22), (0.5, 32), (0.25, 44))
    teacher_size: int = 128
    judged_size: int = 160
    scale: float = 1.0
    steps: int = 1300
    views: int = 6
    at_most: int | None = None
    bfloat16: bool = True


TRIAL: Final = Budget(
    teacher_epochs=((1.0, 1), (0.5, 1), (0.25, 1)),
    teacher_size=64,
    judged_size=64,
    scale=0.5,
    steps=2,
    views=1,
    at_most=600,
    bfloat16=False,
)


class Measuring:
    """All runs on one device.

    Parameters
    ----------
    folder : Path
        See `benchmarks.learning.packing`.
    runs : Path
        Folder for results and teachers; those that are there are not made again.
    budget : Budget
    """

    def __init__(self, folder: Path, runs: Path, budget: Budget) -> None:
        runs.mkdir(exist_ok=True)
        self._runs = runs
        self._budget = budget
        self._began = time.monotonic()
        photographs = unpack_photographs(folder, budget.at_most)
        n_labelled = len(photographs.labels)
        self._learned = np.flatnonzero(~photographs.measured)
        self._measured = np.flatnonzero(photographs.measured)
        self._unlabelled = np.arange(n_labelled, len(photographs.pixels))
        self._groups = photographs.groups
        one_hot = np.eye(photographs.labels.max() + 1, dtype=np.float32)[photographs.labels]
        self._targets = one_hot * (1 - _SMOOTHING) + _SMOOTHING / one_hot.shape[1]
        self._opinions: dict[Any, np.ndarray] = {}
        self._results: dict[str, Any] = {}
        if (runs / RESULTS).exists():
            with np.load(runs / RESULTS) as kept:
                self._results.update(kept)
        self._results["labels"] = photographs.labels[self._measured]
        self._results["groups"] = photographs.groups[self._measured]
        self._say(f"{n_labelled} photographs with labels and {len(self._unlabelled)} without")
        keras.utils.set_random_seed(SEED)  # of the heads' first weights
        pixels, threads = jax.device_put(photographs.pixels), ThreadPoolExecutor()
        self._networks = {}
        for name, head in ((_STUDENT, "lstm"), ("lite0", "pooled")):
            student = name == _STUDENT
            weights = unpack_weights(folder / f"{name}.npz")
            self._networks[name] = CompiledNetwork(
                Network(weights, one_hot.shape[1], head, bfloat16=budget.bfloat16),
                pixels,
                batch_size=BATCH if student else BATCH // 2,
                sizes=[budget.teacher_size, *map(self._scaled, (96, 128) if student else ())],
                judged_size=self._scaled(128) if student else budget.judged_size,
                threads=threads,
            )

    def run(self, seconds: float) -> None:
        """Make all runs that are not there yet, or those that can begin in time."""
        for seed in SEEDS:
            for name, variant in variants().items():
                if f"{name}|{seed}" in self._results:
                    continue
                if time.monotonic() - self._began > seconds:
                    self._say(f"no time for {name}, seed {seed}")
                    continue
                self._keep(name, seed, _STUDENT, self._study(variant, seed))

    def _study(self, variant: Variant, seed: int) -> np.ndarray:
        """Return the weights of a student."""
        lesson = self._lesson(variant)
        total = round(variant.length * self._budget.steps)
        judged = [self._opinions_of(teacher, variant) for teacher in variant.teachers]

        def batches() -> Iterator[Batch]:
            for done in range(total):
                epoch, place = divmod(done, lesson.steps)
                order = np.random.default_rng([seed, epoch]).permutation(lesson.steps)
                step = int(order[place])
                # Labels can be learned of views that never come again.
                view = epoch % self._budget.views if judged else epoch + 1000 * seed
                rows, draws = lesson.batch(view, step)
                if judged:
                    opinions = [opinion[view, step] for opinion in judged]
                    targets = np.stack(opinions).mean(axis=0, dtype=np.float32)
                else:
                    targets = mix_targets(self._targets[rows], draws)
                size = variant.sizes[done >= round(_FIRST_SIZE * total)]
                yield rows, draws, targets, self._scaled(size)

        optimization = Optimization(
            rate=6e-4,
            head_factor=2.0,
            layer_decay=variant.layer_decay,
            weight_decay=0.05,
            dropout=0.1,
            ema_steps=0.032 * total * variant.averaged,
            warmup=0.02,
        )
        return self._networks[_STUDENT].learn(optimization, seed, batches(), total)

    def _teach(self, name: str, share: float) -> np.ndarray:
        """Return the weights of a teacher, learned now or kept."""
        path = self._runs / f"{name}_{share}.npy"
        if path.exists():
            return np.load(path)
        network, epochs = self._networks[name], dict(self._budget.teacher_epochs)[share]
        lesson = Lesson(
            self._part(share),
            batch_size=network.batch_size,
            seeds=[SEED, len(name)],
            augmentation=AugmentationSettings(mixup=0.2),
        )

        def batches() -> Iterator[Batch]:
            for i in range(epochs * lesson.steps):
                rows, draws = lesson.batch(*divmod(i, lesson.steps))
                targets = mix_targets(self._targets[rows], draws)
                yield rows, draws, targets, self._budget.teacher_size

        optimization = Optimization(
            rate=4e-4,
            head_factor=2.0 if name == _STUDENT else 4.0,
            layer_decay=0.9,
            weight_decay=0.02,
            dropout=0.3,
            ema_steps=1.5 * lesson.steps,
            warmup=0.1,
        )
        weights = network.learn(optimization, SEED % 1000, batches(), epochs * lesson.steps)
        self._keep(f"teacher {name}, {share:.0%} of the labels", 0, name, weights)
        np.save(path, weights)
        return weights

    def _opinions_of(self, teacher: str, variant: Variant) -> np.ndarray:
        """Return what a teacher thinks of every view, float16 (views, steps, 256, C)."""
        seen = (variant.labelled, variant.unlabelled, variant.augmentation, variant.same_view)
        if (teacher, *seen) not in self._opinions:
            network, lesson = self._networks[teacher], self._lesson(variant)
            weights = self._teach(teacher, variant.labelled)
            views = [
                [lesson.batch(view, step) for step in range(lesson.steps)]
                for view in range(self._budget.views)
            ]
            if variant.same_view:
                on_device = jnp.array(weights)
                judged = [[network.answer(on_device, *batch) for batch in view] for view in views]
            else:
                rows = self._pool(variant)
                whole = np.empty((rows.max() + 1, self._targets.shape[1]), np.float32)
                whole[rows] = network.answers(weights, rows)
                judged = [[mix_targets(whole[r], draws) for r, draws in view] for view in views]
            self._opinions[teacher, *seen] = np.asarray(judged, np.float16)
        return self._opinions[teacher, *seen]

    def _lesson(self, variant: Variant) -> Lesson:
        rows, augmentation = self._pool(variant), variant.augmentation
        return Lesson(rows, batch_size=BATCH, seeds=[SEED], augmentation=augmentation)

    def _pool(self, variant: Variant) -> np.ndarray:
        """Return the rows that a student learns from."""
        order = np.random.default_rng(SEED).permutation(self._unlabelled)
        some = np.sort(order[: round(variant.unlabelled * len(order))])
        return np.concatenate([self._part(variant.labelled), some])

    def _part(self, share: float) -> np.ndarray:
        """Return labelled rows of whole groups; a larger share holds every smaller one."""
        groups, group_of = np.unique(self._groups[self._learned], return_inverse=True)
        place = np.empty(len(groups), np.int64)
        place[np.random.default_rng(SEED).permutation(len(groups))] = np.arange(len(groups))
        fits = np.cumsum(np.bincount(place[group_of])) <= np.ceil(share * len(self._learned))
        return self._learned[fits[place[group_of]]]

    def _scaled(self, size: int) -> int:
        return round(self._budget.scale * size)

    def _keep(self, name: str, seed: int, network: str, weights: np.ndarray) -> None:
        answers = self._networks[network].answers(weights, self._measured)
        self._results[f"{name}|{seed}"] = answers.astype(np.float16)
        right = answers.argmax(axis=1) == self._targets[self._measured].argmax(axis=1)
        self._say(f"{name}, seed {seed}: {right.mean():.1%} right")
        out = io.BytesIO()
        np.savez_compressed(out, **self._results)
        write_atomically(self._runs / RESULTS, out.getvalue())

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {text}", flush=True)
