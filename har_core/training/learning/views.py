"""What fine-tuning sees: photographs, changed at random, and what it is to learn of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from har_core.progress import Progress
from har_core.training.distillation.teachers import Opinions, Teachers
from har_core.training.distillation.unlabelled import NOTHING, read_unlabelled
from har_core.training.learning.augmentation import mix_targets
from har_core.training.learning.lesson import Lesson
from har_core.training.preparation import PreparedDataset
from har_core.training.run_folder import OPINIONS_FILE
from har_core.training.settings import TrainingSettings

# Inputs, what was drawn for them, targets, size of the pixels.
Batch = tuple[np.ndarray, np.ndarray, np.ndarray, int]


class Views:
    """The photographs that are learned from, those without a label included, and their targets.

    Parameters
    ----------
    prepared : PreparedDataset
    settings : TrainingSettings
    seeds : sequence of int
        Of the order of the photographs and of their changes.
    folder : Path
        Existing, for pixels and opinions that are kept on the disk.
    progress : callable
        See `har_core.training.run.train`.

    Attributes
    ----------
    unlabelled : Unlabelled
    targets : ndarray of float32, shape (N, C)
        What is to be learned of the photographs with a label, before they are mixed.
    lesson : Lesson
        Of all photographs; those without a label come behind the others.

    Raises
    ------
    ModelBundleError
        If a teacher cannot be used, see `Teachers`.
    DatasetError
        If there is nothing in the folder of photographs without labels.
    """

    def __init__(
        self,
        prepared: PreparedDataset,
        settings: TrainingSettings,
        seeds: Sequence[int],
        folder: Path,
        progress: Progress,
    ) -> None:
        self._prepared = prepared
        self._settings = settings
        self._opinions = folder / OPINIONS_FILE
        self._teachers = Teachers(settings.teachers, prepared) if settings.teachers else None
        self.unlabelled = NOTHING
        if settings.unlabelled and self._teachers is not None:
            self.unlabelled = read_unlabelled(settings.unlabelled, prepared, folder, progress)
        smoothing = settings.label_smoothing
        one_hot = np.eye(len(prepared.class_names), dtype=np.float32)[prepared.label_indices]
        self.targets = one_hot * (1 - smoothing) + smoothing / one_hot.shape[1]
        unlabelled = len(one_hot) + np.arange(len(self.unlabelled.table))
        self.lesson = Lesson(
            np.concatenate([prepared.rows_of("train"), unlabelled]),
            batch_size=settings.batch_size,
            seeds=seeds,
            augmentation=settings.augmentation,
        )

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        settings, lesson = self._settings, self.lesson
        views = settings.epochs
        order = np.arange(lesson.steps)
        opinions = None
        if self._teachers is not None:
            views = settings.views or views
            shape = (views, lesson.steps, settings.batch_size, self.targets.shape[1])
            opinions = Opinions(self._teachers, self._opinions, shape)
            if settings.views:
                order = np.random.default_rng([*lesson.seeds, 1, epoch]).permutation(order)
        size = settings.small_size if settings.is_small(epoch) else settings.size
        for step in order:
            rows, draws = lesson.batch(epoch % views, int(step))
            pixels, targets = self._photographs(rows)
            targets = mix_targets(targets, draws)
            if opinions is not None:
                opinion = opinions.of(epoch % views, int(step), pixels, draws)
                known = (rows < len(self.targets)) & (rows[::-1] < len(self.targets))
                weight = np.where(known, settings.teacher_weight, 1)[:, np.newaxis]
                targets = ((1 - weight) * targets + weight * opinion).astype(np.float32)
            yield pixels, draws, targets, size

    def _photographs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels and label targets, zeros for photographs without a label."""
        n = len(self.targets)
        labelled = rows < n
        pixels = np.empty((len(rows), *self._prepared.pixels.shape[1:]), np.uint8)
        targets = np.zeros((len(rows), self.targets.shape[1]), np.float32)
        pixels[labelled] = self._prepared.pixels[rows[labelled]]
        targets[labelled] = self.targets[rows[labelled]]
        pixels[~labelled] = self.unlabelled.pixels[rows[~labelled] - n]
        return pixels, targets
