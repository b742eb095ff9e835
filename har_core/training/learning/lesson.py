"""Which photographs make each batch, and what is done to them: the same whenever it is asked."""

import math
from collections.abc import Sequence

import numpy as np

from har_core.training.learning.augmentation import AugmentationSettings, draw_augmentations


class Lesson:
    """The batches of every epoch, each a function of seed, epoch and step alone.

    So a teacher's opinions of the batches can be written down once, and a resumed run goes on with
    the batches that it would have seen.

    Parameters
    ----------
    rows : ndarray of int, shape (N,)
        Rows of the store of photographs that are learned from.
    batch_size : int
        Photographs per batch; the last of an epoch is filled up with its first.
    seeds : sequence of int
        Of order and augmentation.
    augmentation : AugmentationSettings
        Strengths.
    """

    def __init__(
        self,
        rows: np.ndarray,
        *,
        batch_size: int,
        seeds: Sequence[int],
        augmentation: AugmentationSettings,
    ) -> None:
        self._rows = np.asarray(rows, np.int32)
        self._batch_size = batch_size
        self.seeds = tuple(seeds)
        self._augmentation = augmentation
        self._epoch = -1
        self._order = self._rows

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return math.ceil(len(self._rows) / self._batch_size)

    def batch(self, epoch: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows, int32 (B,), and the draws, float32 (B, 13), of one batch."""
        if epoch != self._epoch:
            order = np.random.default_rng([*self.seeds, epoch]).permutation(self._rows)
            self._order = np.resize(order, self.steps * self._batch_size)
            self._epoch = epoch
        rows = self._order[step * self._batch_size : (step + 1) * self._batch_size]
        rng = np.random.default_rng([*self.seeds, epoch, step])
        return rows, draw_augmentations(rng, self._batch_size, self._augmentation)
