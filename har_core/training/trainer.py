"""Training: a frozen backbone's features for the head, then fine-tuning, then a bundle."""

import math
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.evaluation.answers import FEW_PHOTOGRAPHS
from har_core.images.preprocessing import resize_image
from har_core.model.loading import find_model
from har_core.model.manifest import (
    CROSS_VALIDATED_FILE,
    SPLITS_FILE,
    UNLABELLED_FILE,
    BundleManifest,
)
from har_core.progress import Progress
from har_core.storage.disk_arrays import make_disk_array
from har_core.storage.paths import exists
from har_core.training.ancestry import bundle_of_weights, check_held_out, knows_labels
from har_core.training.cross_validation import cross_validate
from har_core.training.distillation.teachers import Opinions, Teachers
from har_core.training.distillation.unlabelled import Unlabelled, read_unlabelled
from har_core.training.forward import decode_photographs, run_in_batches, validation_quality
from har_core.training.learning.augmentation import mix_targets, prepare_pixels
from har_core.training.learning.learner import Learner, on_accelerator
from har_core.training.learning.lesson import Lesson
from har_core.training.learning.optimization import (
    cosine_learning_rate,
    make_optimizer,
    set_trainable,
)
from har_core.training.network import INPUT_SIZE, build_network, split_at_features, training_twin
from har_core.training.preparation import PreparedDataset
from har_core.training.publication import publish, training_record
from har_core.training.run_folder import Checkpoint, RunFolder
from har_core.training.settings import TrainingSettings

HEAD_STAGE: Final = "head"
FINE_TUNING_STAGE: Final = "fine-tuning"
_CROSS_VALIDATED: Final = "cross_validated.parquet"
_OPINIONS: Final = "opinions.npy"
_STEPS_AHEAD: Final = 20  # an accelerator may be so many steps behind

# Inputs, what was drawn for them, targets, size of the pixels.
Batch = tuple[np.ndarray, np.ndarray, np.ndarray, int]
EpochReport = Callable[[dict[str, Any]], None]


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
        import keras

        self.prepared = prepared
        self.settings = settings
        self.run = run
        self.progress = progress
        self.on_epoch = on_epoch
        self.teachers = Teachers(settings.teachers, prepared) if settings.teachers else None
        self.origin = bundle_of_weights(settings.backbone_weights)
        if self.origin is not None:
            check_held_out(self.origin, prepared, splits_of=settings.splits_of)
        self.unlabelled: Unlabelled | None = None
        if settings.unlabelled and self.teachers is not None:
            self.unlabelled = read_unlabelled(settings.unlabelled, prepared, run.path, progress)
        keras.utils.set_random_seed(settings.seed)
        self.network = build_network(
            len(prepared.class_names),
            backbone_weights=settings.backbone_weights,
            dropout=settings.dropout,
            head=settings.head,
        )
        # A network that goes on from another must see other crops than that one saw.
        self._seeds = [settings.seed]
        if self.origin is not None:
            self._seeds.append(zlib.crc32(Path(settings.backbone_weights).read_bytes()))
        self.train_rows = prepared.rows_of("train")
        self.validation_rows = prepared.rows_of("validation")
        self.validation_pixels = self._decode("validation")
        smoothing = settings.label_smoothing
        one_hot = np.eye(len(prepared.class_names), dtype=np.float32)[prepared.label_indices]
        self.targets = one_hot * (1 - smoothing) + smoothing / one_hot.shape[1]
        self.checkpoint = run.read_checkpoint()

    def learn(self) -> None:
        """Go through both stages, from wherever the run was interrupted."""
        self._train_head()
        self._fine_tune()
        self.network.set_weights(self.run.read_best(FINE_TUNING_STAGE, HEAD_STAGE))

    def keep_network(self) -> None:
        """Leave the network in the run's folder, with a record of what it has seen."""
        splits = self.prepared.table[["filename", "label", "split", "duplicate_group", "sha256"]]
        self.run.write(SPLITS_FILE, splits.to_parquet(index=False, compression="zstd"))
        self.run.write_network(self.network)

    def write_bundle(self, destination: Path, overwrite: bool) -> BundleManifest:
        """Evaluate the network on the test split, for the first time, and write the bundle."""
        assert self.checkpoint is not None
        judged = self.run.path / _CROSS_VALIDATED
        further = {CROSS_VALIDATED_FILE: judged.read_bytes()} if exists(judged) else {}
        if self.unlabelled is not None:
            further[UNLABELLED_FILE] = self.unlabelled.table.to_parquet(
                index=False, compression="zstd"
            )
        return publish(
            self.network,
            self.prepared.table,
            self.prepared.class_names,
            destination,
            training=training_record(
                self.settings,
                self.prepared,
                seconds=sum(row["seconds"] for row in self.checkpoint.log),
                origin=self.origin,
                n_unlabelled=0 if self.unlabelled is None else len(self.unlabelled.table),
            ),
            log=self.checkpoint.log,
            further_files=further,
            overwrite=overwrite,
            progress=self.progress,
        )

    def _train_head(self) -> None:
        """Stage 1: the head learns from features that the frozen backbone gives once."""
        import keras

        epochs, done = self.settings.head_epochs, self.checkpoint
        if epochs == 0 or (
            done is not None and (done.stage != HEAD_STAGE or done.epochs_done == epochs)
        ):
            return
        backbone, head = split_at_features(self.network)
        features = self._compute_features(backbone)
        validation_features = self._run_on("validation", backbone, self.validation_pixels)
        self._cross_validate(backbone, features, validation_features)
        optimizer = keras.optimizers.Adam(global_clipnorm=1.0)
        optimizer.build(head.trainable_variables)
        batch_size = self.settings.batch_size
        n = len(self.train_rows)

        def batches(epoch: int) -> Iterator[Batch]:
            order = np.random.default_rng([*self._seeds, len(HEAD_STAGE), epoch]).permutation(n)
            order = np.resize(order, math.ceil(n / batch_size) * batch_size)
            for chosen in order.reshape(-1, batch_size):
                inputs = features[chosen].astype(np.float32)
                draws = np.zeros((batch_size, 1), np.float32)
                yield inputs, draws, self.targets[self.train_rows[chosen]], 0

        def validate() -> np.ndarray:
            return run_in_batches(head, validation_features)

        self._run_stage(
            HEAD_STAGE,
            Learner(head, optimizer, lambda features, draws, size: features),
            epochs=epochs,
            steps=math.ceil(n / batch_size),
            peak=self.settings.head_learning_rate,
            warmup_epochs=0.0,
            batches=batches,
            validate=validate,
        )
        (self.run.path / "features.npy").unlink(missing_ok=True)

    def _fine_tune(self) -> None:
        """Stage 2: the whole network learns from augmented photographs."""
        import keras

        settings, done = self.settings, self.checkpoint
        if settings.epochs == 0 or (
            done is not None
            and done.stage == FINE_TUNING_STAGE
            and done.epochs_done == settings.epochs
        ):
            return
        if settings.head_epochs and (done is None or done.stage == HEAD_STAGE):
            self.network.set_weights(self.run.read_best(HEAD_STAGE))
        extra = 0 if self.unlabelled is None else len(self.unlabelled.table)
        rows = np.concatenate([self.train_rows, len(self.targets) + np.arange(extra)])
        lesson = Lesson(
            rows,
            batch_size=settings.batch_size,
            seeds=self._seeds,
            augmentation=settings.augmentation,
        )
        fast = on_accelerator()
        twin = training_twin(self.network, bfloat16=fast, fused=keras.backend.backend() == "jax")
        set_trainable(twin, frozen_blocks=settings.frozen_blocks)
        optimizer = make_optimizer(
            twin,
            weight_decay=settings.weight_decay,
            layer_decay=settings.layer_decay,
            head_factor=settings.head_factor,
            ema_momentum=1 - 1 / max(1.0, settings.ema_epochs * lesson.steps),
        )
        prepare = partial(prepare_pixels, dtype="bfloat16" if fast else "float32")

        def validate() -> np.ndarray:
            self.network.set_weights(twin.get_weights())
            return self._run_on("validation", self.network, self.validation_pixels)

        self._run_stage(
            FINE_TUNING_STAGE,
            Learner(twin, optimizer, prepare),
            epochs=settings.epochs,
            steps=lesson.steps,
            peak=settings.learning_rate,
            warmup_epochs=settings.warmup_epochs,
            batches=partial(self._augmented_batches, lesson),
            validate=validate,
        )

    def _run_stage(
        self,
        stage: str,
        learner: Learner,
        *,
        epochs: int,
        steps: int,
        peak: float,
        warmup_epochs: float,
        batches: Callable[[int], Iterator[Batch]],
        validate: Callable[[], np.ndarray],
    ) -> None:
        model, optimizer = learner.network, learner.optimizer
        previous = self.checkpoint
        best_loss = previous.best_loss if previous else math.inf
        log = list(previous.log) if previous else []
        first_epoch = 0
        if previous is not None and previous.stage == stage:
            first_epoch = previous.epochs_done
            _assign(model.variables, previous.variables)
            _assign(optimizer.variables, previous.optimizer_variables)
            learner.reload()
        labels = self.prepared.label_indices[self.validation_rows]
        for epoch in range(first_epoch, epochs):
            started, losses, rate = time.monotonic(), list[Any](), peak
            what = f"{stage} epoch {epoch + 1}/{epochs}"
            self.progress(what, 0, steps)  # the first step compiles, which takes a while
            for step, batch in enumerate(batches(epoch), start=epoch * steps):
                rate = cosine_learning_rate(
                    step, total=epochs * steps, warmup=round(warmup_epochs * steps), peak=peak
                )
                losses.append(learner.step(*batch, rate))
                if len(losses) >= _STEPS_AHEAD:
                    losses[-_STEPS_AHEAD] = float(losses[-_STEPS_AHEAD])
                self.progress(what, len(losses), steps)
            learner.synchronise()
            raw = _values(model.trainable_variables)
            if optimizer.use_ema:
                optimizer.finalize_variable_values(model.trainable_variables)
            row: dict[str, Any] = {
                "stage": stage,
                "epoch": epoch + 1,
                "training_loss": float(np.mean([float(loss) for loss in losses])),
                "learning_rate": rate,
                **validation_quality(validate(), labels),
                "seconds": time.monotonic() - started,
            }
            log.append(row)
            # Not top-1: between epochs whose log loss differs by a twentieth it is a toss-up. With
            # few photographs the loss is one, too: 50 chose the third of 16 epochs, right on 70 %
            # of 575 others; the last of twelve had 76 %.
            is_few = len(labels) < FEW_PHOTOGRAPHS
            if is_few or row["validation_calibrated_log_loss"] < best_loss:
                best_loss = row["validation_calibrated_log_loss"]
                self.run.write_best(stage, self.network.get_weights())
            _assign(model.trainable_variables, raw)
            learner.reload()
            values, moments = _values(model.variables), _values(optimizer.variables)
            self.checkpoint = Checkpoint(stage, epoch + 1, best_loss, log, values, moments)
            self.run.write_checkpoint(self.checkpoint)
            self.on_epoch(row)

    def _augmented_batches(self, lesson: Lesson, epoch: int) -> Iterator[Batch]:
        settings = self.settings
        views = settings.views or settings.epochs
        order = np.arange(lesson.steps)
        opinions = None
        if self.teachers is not None:
            shape = (views, lesson.steps, settings.batch_size, len(self.prepared.class_names))
            opinions = Opinions(self.teachers, self.run.path / _OPINIONS, shape)
            if settings.views:
                order = np.random.default_rng([*self._seeds, 1, epoch]).permutation(order)
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
        pixels = np.empty((len(rows), *self.prepared.pixels.shape[1:]), np.uint8)
        targets = np.zeros((len(rows), self.targets.shape[1]), np.float32)
        pixels[labelled] = self.prepared.pixels[rows[labelled]]
        targets[labelled] = self.targets[rows[labelled]]
        if self.unlabelled is not None:
            pixels[~labelled] = self.unlabelled.pixels[rows[~labelled] - n]
        return pixels, targets

    def _compute_features(self, backbone: Any) -> np.ndarray:
        rows = self.train_rows
        shape = (len(rows), *backbone.output_shape[1:])
        features = make_disk_array(self.run.path / "features.npy", shape, np.float16)
        self.progress("Computing features", 0, len(rows))
        for start in range(0, len(rows), self.settings.batch_size):
            chosen = rows[start : start + self.settings.batch_size]
            pixels = np.stack([resize_image(self.prepared.pixels[r], INPUT_SIZE) for r in chosen])
            features[start : start + len(chosen)] = run_in_batches(backbone, pixels, scaled=False)
            self.progress("Computing features", start + len(chosen), len(rows))
        return features

    def _cross_validate(
        self, backbone: Any, features: np.ndarray, validation_features: np.ndarray
    ) -> None:
        test_features = partial(self._run_test_features, backbone)
        content = cross_validate(
            self.prepared,
            features,
            validation_features,
            test_features,
            ancestors=self._ancestors(),
            is_pretrained_only=self.origin is None or not knows_labels(self.origin, self.prepared),
            progress=self.progress,
        )
        if content is not None:
            self.run.write(_CROSS_VALIDATED, content)

    def _ancestors(self) -> list[Path]:
        """Return the bundles that the network builds on."""
        teachers = [RunFolder(name) for name in self.settings.teachers]
        bundles = [find_model(str(run.path)) for run in teachers if not run.has_network]
        return bundles if self.origin is None else [*bundles, self.origin]

    def _run_test_features(self, backbone: Any) -> np.ndarray:
        return self._run_on("test", backbone, self._decode("test"))

    def _run_on(self, split: str, model: Any, pixels: np.ndarray) -> np.ndarray:
        """Run the network, or its backbone, on the decoded photographs of a held-out split."""

        def report(done: int) -> None:
            self.progress(f"Running on the {split} split", done, len(pixels))

        return run_in_batches(model, pixels, scaled=False, report=report)

    def _decode(self, split: str) -> np.ndarray:
        paths = self.prepared.table["path"].iloc[self.prepared.rows_of(split)]
        return decode_photographs(paths, f"Reading the {split} split", self.progress)


def _values(variables: list[Any]) -> list[np.ndarray]:
    from keras import ops

    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
