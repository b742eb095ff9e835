"""Training: a frozen backbone's features for the head, then fine-tuning, then a bundle."""

import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har_core.extras import load_keras
from har_core.images.preprocessing import resize_image
from har_core.model.manifest import (
    CROSS_VALIDATED_FILE,
    SPLITS_FILE,
    UNLABELLED_FILE,
    BundleManifest,
)
from har_core.progress import EpochReport, Progress
from har_core.storage.disk_arrays import make_disk_array
from har_core.storage.paths import exists
from har_core.training.ancestry import bundle_of_weights, check_held_out, inheritance
from har_core.training.cross_validation import cross_validate
from har_core.training.distillation.teachers import teacher_folder
from har_core.training.forward import decode_photographs, run_in_batches
from har_core.training.learning.augmentation import prepare_pixels
from har_core.training.learning.learner import Learner, on_accelerator
from har_core.training.learning.lesson import Lesson
from har_core.training.learning.optimization import make_optimizer, set_trainable
from har_core.training.learning.stages import (
    FINE_TUNING_STAGE,
    HEAD_STAGE,
    Stages,
)
from har_core.training.learning.views import Batch, Views
from har_core.training.network import INPUT_SIZE, build_network, split_at_features, training_twin
from har_core.training.preparation import PreparedDataset
from har_core.training.publication import publish, training_record
from har_core.training.run_folder import FEATURES_FILE, JUDGED_FILE, RunFolder
from har_core.training.settings import TrainingSettings


class Trainer:
    """One run's network, data and progress; `train` is what most callers want.

    Parameters
    ----------
    prepared : PreparedDataset
        What is learned from and measured on.
    settings : TrainingSettings
        The recipe.
    run : RunFolder
        Where checkpoints are kept; an existing one is continued.
    progress, on_epoch : callable
        See `train`.
    """

    def __init__(
        self,
        prepared: PreparedDataset,
        settings: TrainingSettings,
        run: RunFolder,
        progress: Progress,
        on_epoch: EpochReport,
    ) -> None:
        load_keras()
        import keras

        self.prepared = prepared
        self.settings = settings
        self.run = run
        self.progress = progress
        self.origin = bundle_of_weights(settings.backbone_weights)
        seeds = [settings.seed]
        if self.origin is not None:
            check_held_out(self.origin, prepared, splits_of=settings.splits_of)
            # A network that goes on from another must see other crops than that one saw.
            seeds.append(zlib.crc32(Path(settings.backbone_weights).read_bytes()))
        self.views = Views(prepared, settings, seeds, run.path, progress)
        keras.utils.set_random_seed(settings.seed)
        self.network = build_network(
            len(prepared.class_names),
            backbone_weights=settings.backbone_weights,
            dropout=settings.dropout,
            head=settings.head,
        )
        self._validation_pixels = decode_photographs(
            self._paths("validation"), "Reading the validation split", progress
        )
        labels = prepared.label_indices[prepared.rows_of("validation")]
        self.stages = Stages(run, self.network, labels, progress, on_epoch)

    def learn(self) -> None:
        """Go through both stages, from wherever the run was interrupted."""
        self._train_head()
        self._fine_tune()
        self.network.set_weights(self.run.read_best(FINE_TUNING_STAGE, HEAD_STAGE))

    def keep_network(self) -> None:
        """Leave the network in the run's folder, with a record of what it has seen."""
        splits = self.prepared.table[["filename", "label", "split", "duplicate_group", "sha256"]]
        self.run.write(SPLITS_FILE, splits.to_parquet(index=False, compression="zstd"))
        inherited, _ = inheritance(self._ancestors(), splits)
        for name, content in inherited.items():
            self.run.write(name, content)
        self.run.write_network(self.network)

    def write_bundle(self, destination: Path, overwrite: bool) -> BundleManifest:
        """Evaluate the network on the test split, for the first time, and write the bundle."""
        judged, unlabelled = self.run.path / JUDGED_FILE, self.views.unlabelled.table
        further, unrecorded = inheritance(self._ancestors(), self.prepared.table)
        if exists(judged):
            further[CROSS_VALIDATED_FILE] = judged.read_bytes()
        if len(unlabelled):
            further[UNLABELLED_FILE] = unlabelled.to_parquet(index=False, compression="zstd")
        return publish(
            self.network,
            self.prepared,
            destination,
            training=training_record(
                self.settings,
                self.prepared,
                seconds=sum(row["seconds"] for row in self.stages.reached.log),
                origin=self.origin,
                n_unlabelled=len(unlabelled),
            )
            | unrecorded,
            log=self.stages.reached.log,
            further_files=further,
            overwrite=overwrite,
            progress=self.progress,
        )

    def _ancestors(self) -> list[Path]:
        """Return the folders of the models that this one goes on from or learns from."""
        teachers = map(teacher_folder, self.settings.teachers)
        return [*teachers, *([self.origin] if self.origin is not None else [])]

    def _train_head(self) -> None:
        """Stage 1: the head learns from features that the frozen backbone gives once."""
        import keras

        if self.stages.is_done(HEAD_STAGE, self.settings.head_epochs):
            return
        backbone, head = split_at_features(self.network)
        features = self._compute_features(backbone)
        validation_features = self._on_validation(backbone)
        judged = cross_validate(
            self.prepared,
            lambda: np.concatenate(
                [
                    features.mean(axis=1, dtype=np.float32),
                    validation_features.mean(axis=1),
                    self._means_of_test(backbone),
                ]
            ),
            origin=self.origin,
            teachers=self.settings.teachers,
            progress=self.progress,
        )
        if judged is not None:
            self.run.write(JUDGED_FILE, judged)
        optimizer = keras.optimizers.Adam(global_clipnorm=1.0)
        optimizer.build(head.trainable_variables)
        lesson = Lesson(
            np.arange(len(features)),
            batch_size=self.settings.batch_size,
            seeds=[*self.views.lesson.seeds, len(HEAD_STAGE)],
            augmentation=self.settings.augmentation,
        )
        targets = self.views.targets[self.prepared.rows_of("train")]

        def batches(epoch: int) -> Iterator[Batch]:
            for step in range(lesson.steps):
                rows, draws = lesson.batch(epoch, step)
                yield features[rows].astype(np.float32), draws, targets[rows], 0

        self.stages.learn(
            HEAD_STAGE,
            Learner(head, optimizer, lambda features, draws, size: features),
            epochs=self.settings.head_epochs,
            steps=lesson.steps,
            peak=self.settings.head_learning_rate,
            warmup_epochs=0.0,
            batches=batches,
            validate=lambda: run_in_batches(head, validation_features),
        )
        (self.run.path / FEATURES_FILE).unlink(missing_ok=True)

    def _fine_tune(self) -> None:
        """Stage 2: the whole network learns from augmented photographs."""
        import keras

        settings = self.settings
        if self.stages.is_done(FINE_TUNING_STAGE, settings.epochs):
            return
        if settings.head_epochs and not self.stages.has_begun(FINE_TUNING_STAGE):
            self.network.set_weights(self.run.read_best(HEAD_STAGE))
        steps = self.views.lesson.steps
        fast = on_accelerator()
        twin = training_twin(self.network, bfloat16=fast, fused=keras.backend.backend() == "jax")
        set_trainable(twin, frozen_blocks=settings.frozen_blocks)
        optimizer = make_optimizer(
            twin,
            weight_decay=settings.weight_decay,
            layer_decay=settings.layer_decay,
            head_factor=settings.head_factor,
            ema_momentum=1 - 1 / max(1.0, settings.ema_epochs * steps),
        )
        prepare = partial(prepare_pixels, dtype="bfloat16" if fast else "float32")

        def validate() -> np.ndarray:
            self.network.set_weights(twin.get_weights())
            return self._on_validation(self.network)

        self.stages.learn(
            FINE_TUNING_STAGE,
            Learner(twin, optimizer, prepare),
            epochs=settings.epochs,
            steps=steps,
            peak=settings.learning_rate,
            warmup_epochs=settings.warmup_epochs,
            batches=self.views.batches,
            validate=validate,
        )

    def _compute_features(self, backbone: Any) -> np.ndarray:
        rows = self.prepared.rows_of("train")
        shape = (len(rows), *backbone.output_shape[1:])
        features = make_disk_array(self.run.path / FEATURES_FILE, shape, np.float16)
        self.progress("Computing features", 0, len(rows))
        for start in range(0, len(rows), self.settings.batch_size):
            chosen = rows[start : start + self.settings.batch_size]
            pixels = np.stack([resize_image(self.prepared.pixels[r], INPUT_SIZE) for r in chosen])
            features[start : start + len(chosen)] = run_in_batches(backbone, pixels, scaled=False)
            self.progress("Computing features", start + len(chosen), len(rows))
        return features

    def _means_of_test(self, backbone: Any) -> np.ndarray:
        """Return the mean features, (N, 1280), of the test photographs, a batch at a time."""
        paths, size = self._paths("test"), self.settings.batch_size
        means = []
        for start in range(0, len(paths), size):
            pixels = decode_photographs(paths.iloc[start : start + size])
            means.append(run_in_batches(backbone, pixels, scaled=False).mean(axis=1))
            self.progress("Running on the test split", start + len(pixels), len(paths))
        return np.concatenate(means)

    def _on_validation(self, model: Any) -> np.ndarray:
        """Run the network, or its backbone, on the validation photographs."""
        what = "Running on the validation split"
        return run_in_batches(
            model, self._validation_pixels, scaled=False, what=what, progress=self.progress
        )

    def _paths(self, split: str) -> pd.Series:
        return self.prepared.table["path"].iloc[self.prepared.rows_of(split)]
