"""Training: a frozen backbone's features for the head, then fine-tuning, then a bundle."""

import dataclasses
import math
import platform
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.analysis.suspects import cross_validated_probabilities
from har_core.dataset.table import Location
from har_core.errors import DatasetError, HarError, ModelBundleError
from har_core.evaluation.answers import fit_rules
from har_core.evaluation.calibration import fit_temperature, negative_log_likelihood
from har_core.evaluation.result import EvaluationResult
from har_core.extras import require_training_extra
from har_core.images.decoding import decode_square, read_bytes
from har_core.images.preprocessing import Preprocessing, resize_image, scale_pixels
from har_core.keras_io.onnx_export import export_onnx
from har_core.model.bundle import models_dir, write_bundle
from har_core.model.class_indices import format_class_indices
from har_core.model.loading import find_model
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    CROSS_VALIDATED_FILE,
    KERAS_FILE,
    MODEL_CARD_FILE,
    ONNX_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    TRAINING_LOG_FILE,
    BundleManifest,
    check_bundle_name,
    read_manifest,
)
from har_core.model.records import join_probabilities
from har_core.model.temperature import apply_temperature
from har_core.progress import Progress
from har_core.storage.disk_arrays import make_disk_array
from har_core.storage.paths import exists
from har_core.training.ancestry import (
    Teachers,
    bundle_of_weights,
    check_held_out,
    find_cross_validation,
)
from har_core.training.answering import learn_novelty
from har_core.training.augmentation import augment_batch
from har_core.training.model_card import format_model_card
from har_core.training.network import (
    ARCHITECTURE,
    INPUT_SIZE,
    build_network,
    resize_input,
    split_at_features,
)
from har_core.training.optimization import cosine_learning_rate, make_optimizer, set_trainable
from har_core.training.preparation import PreparedDataset, prepare_dataset
from har_core.training.run_folder import Checkpoint, RunFolder, log_csv
from har_core.training.settings import TrainingSettings

PREPROCESSING: Final[Preprocessing] = "minus_one_to_one"
HEAD_STAGE: Final = "head"
FINE_TUNING_STAGE: Final = "fine-tuning"
_INFERENCE_BATCH: Final = 64
_PROBE_PHOTOGRAPHS: Final = 64
_CROSS_VALIDATED: Final = "cross_validated.parquet"

EpochReport = Callable[[dict[str, Any]], None]


def train(
    dataset: Location,
    name: str,
    settings: TrainingSettings | None = None,
    *,
    csv: str | Path | None = None,
    runs_dir: str | Path = "runs",
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    on_epoch: EpochReport | None = None,
) -> BundleManifest:
    """Train the network on a dataset folder and write it as a model bundle.

    The photographs are split 80/10/10 by near-duplicate group. The validation split selects the
    epoch, by its log loss after the temperature that suits it best, and fits the temperature;
    the test split is used once, at the end, for the metrics in the bundle. With
    ``settings.refit`` the validation photographs are trained on, and nothing is chosen.

    Parameters
    ----------
    dataset : str, Path or Dataset
        Dataset folder, see `har_core.dataset.table.open_dataset`.
    name : str
        Name of the bundle, written into `har_core.model.bundle.models_dir`.
    settings : TrainingSettings, optional
        Default settings if None; a resumed run keeps the recorded ones.
    csv : str or Path, optional
        Table to use instead of ``train.csv``.
    runs_dir : str or Path
        The run keeps its checkpoints in ``runs_dir/name``, and removes them when it is done.
    resume : bool
        Continue an interrupted run of that name; at most one epoch is repeated.
    overwrite : bool
        Replace a bundle of that name.
    progress : callable, optional
        Called with (what is being done, done, total).
    on_epoch : callable, optional
        Called with each row of the log.

    Returns
    -------
    BundleManifest
        Of the bundle that was written.

    Raises
    ------
    DatasetError
        If the dataset cannot be trained on, or changed since the interrupted run.
    ModelBundleError
        If the backbone cannot be loaded, the bundle exists, its ONNX graph disagrees with Keras,
        or there is no bundle to refit.
    HarError
        If there is nothing to resume, or something that was not asked to be resumed.
    """
    require_training_extra("Training")
    destination = models_dir() / check_bundle_name(name)
    run = RunFolder(Path(runs_dir) / name)
    if exists(destination) and not overwrite:
        raise ModelBundleError(
            f"{destination} exists already; choose another --name or add --overwrite"
            + (f", or remove {run.path} if that run is the bundle's." if resume else ".")
        )
    recorded = run.read_settings()
    if recorded is None and resume:
        raise HarError(f"There is no interrupted run in {run.path}; start without --resume.")
    if recorded is not None and not resume:
        raise HarError(
            f"{run.path} holds an interrupted run: continue it with --resume, or remove the folder."
        )
    if recorded is not None:
        try:
            settings = TrainingSettings.from_dict(recorded["settings"])
        except (KeyError, TypeError) as error:
            raise HarError(
                f"{run.path} was recorded by another version of this program ({error}). Remove the "
                "folder to start anew."
            ) from error
    settings = settings or TrainingSettings()
    run.make()
    try:
        prepared = prepare_dataset(
            dataset,
            run.path,
            csv=csv,
            seed=settings.seed,
            splits_of=settings.splits_of,
            validation_needed=not settings.refit,
            progress=progress,
        )
        trainer = Trainer(prepared, settings, run, progress, on_epoch)
        if recorded is None:
            run.write_settings(
                {
                    "settings": dataclasses.asdict(settings),
                    "dataset": prepared.fingerprint,
                    **_versions(),
                }
            )
    except BaseException:
        if recorded is None:  # nothing to resume yet
            run.remove()
        raise
    if recorded is not None and recorded["dataset"] != prepared.fingerprint:
        raise DatasetError(
            f"{dataset} is not the dataset that the run in {run.path} was started on: photographs "
            "or labels changed. Remove the run folder to start anew."
        )
    trainer.train_head()
    trainer.fine_tune()
    manifest = trainer.write_bundle(destination, overwrite)
    run.remove()
    return manifest


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
    progress, on_epoch : callable, optional
        See `train`.
    """

    def __init__(
        self,
        prepared: PreparedDataset,
        settings: TrainingSettings,
        run: RunFolder,
        progress: Progress | None,
        on_epoch: EpochReport | None,
    ) -> None:
        import keras

        if settings.refit:
            prepared = prepared.with_validation_in_training()
        self.prepared = prepared
        self.settings = settings
        self.run = run
        self.progress = progress
        self.on_epoch = on_epoch
        sizes = {self._size_of(epoch) for epoch in range(settings.epochs)}
        self.teachers = Teachers(settings.teachers, prepared, sizes) if settings.teachers else None
        self.origin = bundle_of_weights(settings.backbone_weights)
        if self.origin is not None:
            check_held_out(self.origin, prepared)
        self.chosen_temperature = self._find_temperature() if settings.refit else None
        keras.utils.set_random_seed(settings.seed)
        self.network = build_network(
            len(prepared.class_names),
            backbone_weights=settings.backbone_weights,
            dropout=settings.dropout,
        )
        # A network that goes on from another must see other crops than that one saw.
        self._seeds = [settings.seed]
        if self.origin is not None:
            self._seeds.append(zlib.crc32(Path(settings.backbone_weights).read_bytes()))
        self.train_rows = prepared.rows_of("train")
        self.validation_rows = prepared.rows_of("validation")
        self.validation_pixels = self._decode_rows("validation", self.validation_rows)
        smoothing = settings.label_smoothing
        one_hot = np.eye(len(prepared.class_names), dtype=np.float32)[prepared.label_indices]
        self.targets = one_hot * (1 - smoothing) + smoothing / one_hot.shape[1]
        self.checkpoint = run.read_checkpoint()

    def _find_temperature(self) -> float:
        """Return the temperature that a refit takes over; it has no photographs to fit one."""
        if self.origin is None:
            raise ModelBundleError(
                "A refit goes on from a model that was chosen before: let --backbone-weights point "
                "to the model.keras of its bundle."
            )
        if not self.settings.temperature_of:
            return read_manifest(self.origin).temperature
        fitted = find_model(self.settings.temperature_of)
        check_held_out(fitted, self.prepared)
        return read_manifest(fitted).temperature

    def train_head(self) -> None:
        """Stage 1: the head learns from features that the frozen backbone gives once."""
        import keras

        epochs, done = self.settings.head_epochs, self.checkpoint
        if done is not None and (done.stage != HEAD_STAGE or done.epochs_done == epochs):
            return
        backbone, head = split_at_features(self.network)
        features = self._compute_features(backbone, self.train_rows)
        validation_features = self._run_on("validation", backbone, self.validation_pixels)
        self._cross_validate(backbone, features, validation_features)
        optimizer = keras.optimizers.Adam(global_clipnorm=1.0)
        batch_size = self.settings.batch_size

        def batches(epoch: int) -> Iterator[tuple[Any, Any]]:
            order = self._order(HEAD_STAGE, epoch)
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                yield features[chosen].astype(np.float32), self.targets[self.train_rows[chosen]]

        self._run_stage(
            HEAD_STAGE,
            model=head,
            model_of_epoch=lambda epoch: head,
            optimizer=optimizer,
            epochs=epochs,
            peak=self.settings.head_learning_rate,
            warmup_epochs=0.0,
            batches=batches,
            predict_validation=lambda: _run_in_batches(head, validation_features),
        )
        (self.run.path / "features.npy").unlink(missing_ok=True)

    def fine_tune(self) -> None:
        """Stage 2: the whole network learns from augmented photographs."""
        settings = self.settings
        if settings.epochs == 0:
            return
        if self.checkpoint is None or self.checkpoint.stage == HEAD_STAGE:
            self.network.set_weights(self.run.read_best(HEAD_STAGE))
        set_trainable(self.network, frozen_blocks=settings.frozen_blocks)
        small = resize_input(self.network, settings.small_size)
        optimizer = make_optimizer(
            self.network,
            weight_decay=settings.weight_decay,
            layer_decay=settings.layer_decay,
            head_factor=settings.head_factor,
            ema_momentum=1 - 1 / max(1.0, settings.ema_epochs * self._steps_per_epoch),
        )
        self._run_stage(
            FINE_TUNING_STAGE,
            model=self.network,
            model_of_epoch=lambda epoch: small if settings.is_small(epoch) else self.network,
            optimizer=optimizer,
            epochs=settings.epochs,
            peak=settings.learning_rate,
            warmup_epochs=settings.warmup_epochs,
            batches=self._augmented_batches,
            predict_validation=lambda: self._run_on(
                "validation", self.network, self.validation_pixels
            ),
        )

    def write_bundle(self, destination: Path, overwrite: bool) -> BundleManifest:
        """Evaluate the best epoch on the test split and write the bundle."""
        import keras

        self.network.set_weights(self.run.read_best(FINE_TUNING_STAGE, HEAD_STAGE))
        assert self.checkpoint is not None
        table, class_names = self.prepared.table, self.prepared.class_names
        labels = self.prepared.label_indices
        test_rows = self.prepared.rows_of("test")
        test_pixels = self._decode_rows("test", test_rows)
        validation = self._run_on("validation", self.network, self.validation_pixels)
        test = self._run_on("test", self.network, test_pixels)
        temperature = self.chosen_temperature
        if temperature is None:
            temperature = fit_temperature(labels[self.validation_rows], validation)
        rules = fit_rules(
            labels[self.validation_rows], apply_temperature(validation, temperature), "validation"
        )
        result = EvaluationResult.from_predictions(
            table["label"].iloc[test_rows],
            apply_temperature(test, 1.0),
            class_names,
            filenames=table["filename"].iloc[test_rows],
            groups=table["duplicate_group"].iloc[test_rows],
            sha256=table["sha256"].iloc[test_rows],
        ).calibrated(temperature, rules)
        rows = np.concatenate([self.validation_rows, test_rows])
        predictions = table.loc[rows, ["filename", "label", "split", "sha256"]].reset_index(
            drop=True
        )
        predictions = join_probabilities(
            predictions, class_names, np.concatenate([validation, test])
        )
        manifest = BundleManifest(
            name=destination.name,
            architecture=ARCHITECTURE,
            input_size=INPUT_SIZE,
            preprocessing=PREPROCESSING,
            class_names=class_names,
            temperature=temperature,
            training=self._training_record(),
            metrics={"split": "test", "n": len(test_rows), **result.headline()},
            answers=rules.to_dict(),
        )
        with tempfile.TemporaryDirectory() as folder:
            keras_file, onnx_file = Path(folder, KERAS_FILE), Path(folder, ONNX_FILE)
            # A model of the same layers that was never compiled leaves the optimizer behind.
            plain = keras.Model(self.network.input, self.network.output, name=self.network.name)
            plain.save(keras_file)
            probe = scale_pixels(test_pixels[:_PROBE_PHOTOGRAPHS], PREPROCESSING)
            self._report("Exporting the network to ONNX", 0, 1)
            export_onnx(plain, onnx_file, probe=probe)
            learned = learn_novelty(onnx_file.read_bytes(), manifest, table, progress=self.progress)
            splits = table[["filename", "label", "split", "duplicate_group", "sha256"]]
            judged = self.run.path / _CROSS_VALIDATED
            return write_bundle(
                destination,
                manifest,
                {
                    **({CROSS_VALIDATED_FILE: judged} if exists(judged) else {}),
                    KERAS_FILE: keras_file,
                    ONNX_FILE: onnx_file,
                    CLASS_INDICES_FILE: format_class_indices(class_names).encode(),
                    SPLITS_FILE: splits.to_parquet(index=False, compression="zstd"),
                    PREDICTIONS_FILE: predictions.to_parquet(index=False, compression="zstd"),
                    TRAINING_LOG_FILE: log_csv(self.checkpoint.log),
                    MODEL_CARD_FILE: format_model_card(manifest, result).encode(),
                    **learned,
                },
                overwrite=overwrite,
            )

    def _cross_validate(
        self, backbone: Any, features: np.ndarray, validation_features: np.ndarray
    ) -> None:
        """Judge every photograph by a regression on frozen features that was fitted without it.

        Whoever looks for wrong labels needs such probabilities. Later it is too late: fine-tuned
        features have learned the training photographs' labels, the wrong ones included. So a
        backbone that was trained before gives none; an ancestor's record serves then.
        """
        ancestors = list(map(find_model, self.settings.teachers))
        if self.origin is not None:
            ancestors.append(self.origin)
        record = find_cross_validation(ancestors, self.prepared)
        if record is not None:
            self.run.write(_CROSS_VALIDATED, record)
            return
        if self.origin is not None:
            return
        test_rows = self.prepared.rows_of("test")
        test_features = self._run_on("test", backbone, self._decode_rows("test", test_rows))
        rows = np.concatenate([self.train_rows, self.validation_rows, test_rows])
        pooled = np.concatenate(
            [
                block.mean(axis=1, dtype=np.float32)
                for block in (features, validation_features, test_features)
            ]
        )
        table = self.prepared.table.loc[rows, ["filename", "label", "sha256"]]
        try:
            probabilities, class_names = cross_validated_probabilities(
                pooled,
                table["label"].to_numpy(dtype=str),
                self.prepared.table.loc[rows, "duplicate_group"].to_numpy(),
                progress=self.progress,
            )
        except DatasetError:  # too few photographs of a class; the model can do without
            return
        table = join_probabilities(table, list(class_names), probabilities)
        content = table.sort_index().to_parquet(index=False, compression="zstd")
        self.run.write(_CROSS_VALIDATED, content)

    @property
    def _steps_per_epoch(self) -> int:
        return math.ceil(len(self.train_rows) / self.settings.batch_size)

    def _run_stage(
        self,
        stage: str,
        *,
        model: Any,
        model_of_epoch: Callable[[int], Any],
        optimizer: Any,
        epochs: int,
        peak: float,
        warmup_epochs: float,
        batches: Callable[[int], Iterator[tuple[Any, Any]]],
        predict_validation: Callable[[], np.ndarray],
    ) -> None:
        optimizer.build(model.trainable_variables)
        previous = self.checkpoint
        best_loss = previous.best_loss if previous else math.inf
        log = list(previous.log) if previous else []
        first_epoch = 0
        if previous is not None and previous.stage == stage:
            first_epoch = previous.epochs_done
            _assign(self.network.variables, previous.variables)
            _assign(optimizer.variables, previous.optimizer_variables)
        steps = self._steps_per_epoch
        for epoch in range(first_epoch, epochs):
            started, losses = time.monotonic(), []
            what = f"{stage} epoch {epoch + 1}/{epochs}"
            self._report(what, 0, steps)  # the first step compiles, which takes a while
            stepped = model_of_epoch(epoch)
            if not stepped.compiled:
                stepped.compile(optimizer, loss="categorical_crossentropy", jit_compile=False)
            for step, (x, y) in enumerate(batches(epoch), start=epoch * steps):
                rate = cosine_learning_rate(
                    step, total=epochs * steps, warmup=round(warmup_epochs * steps), peak=peak
                )
                optimizer.learning_rate.assign(rate)
                losses.append(float(stepped.train_on_batch(x, y)))
                self._report(what, step - epoch * steps + 1, steps)
            raw = [np.asarray(v) for v in model.trainable_variables]
            if optimizer.use_ema:
                optimizer.finalize_variable_values(model.trainable_variables)
            row: dict[str, Any] = {
                "stage": stage,
                "epoch": epoch + 1,
                "training_loss": float(np.mean(losses)),
                "learning_rate": float(rate),
            }
            if len(self.validation_rows):
                validation_labels = self.prepared.label_indices[self.validation_rows]
                row |= _quality(predict_validation(), validation_labels)
            row["seconds"] = time.monotonic() - started
            log.append(row)
            # Not top-1: between epochs whose log loss differs by a twentieth it is a toss-up.
            loss = row.get("validation_calibrated_log_loss")
            if loss is None or loss < best_loss:
                best_loss = best_loss if loss is None else loss
                self.run.write_best(stage, self.network.get_weights())
            _assign(model.trainable_variables, raw)
            self.checkpoint = Checkpoint(
                stage,
                epoch + 1,
                best_loss,
                log,
                [np.asarray(v) for v in self.network.variables],
                [np.asarray(v) for v in optimizer.variables],
            )
            self.run.write_checkpoint(self.checkpoint)
            if self.on_epoch is not None:
                self.on_epoch(row)

    def _augmented_batches(self, epoch: int) -> Iterator[tuple[Any, Any]]:
        import tensorflow as tf

        order = self._order(FINE_TUNING_STAGE, epoch)
        n_classes = self.targets.shape[1]
        side = self.prepared.pixels.shape[1]
        size = self._size_of(epoch)

        def gather() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
            for step, start in enumerate(range(0, len(order), self.settings.batch_size)):
                rows = self.train_rows[order[start : start + self.settings.batch_size]]
                seed = np.random.default_rng([*self._seeds, epoch, step]).integers(2**31, size=2)
                yield self.prepared.pixels[rows], self.targets[rows], seed

        def augment(pixels: Any, targets: Any, seed: Any) -> tuple[Any, Any]:
            return augment_batch(pixels, targets, seed, size, self.settings.augmentation)

        dataset = tf.data.Dataset.from_generator(
            gather,
            output_signature=(
                tf.TensorSpec((None, side, side, 3), tf.uint8),
                tf.TensorSpec((None, n_classes), tf.float32),
                tf.TensorSpec((2,), tf.int32),
            ),
        )
        options = tf.data.Options()
        # Nothing here is tuned, and ending the thread that tunes can take a minute.
        options.autotune.enabled = False
        dataset = dataset.map(augment).prefetch(2).with_options(options)
        for pixels, targets in dataset.as_numpy_iterator():
            if self.teachers is not None:
                weight = self.settings.teacher_weight
                targets = (1 - weight) * targets + weight * self.teachers.probabilities(pixels)
            yield scale_pixels(pixels, PREPROCESSING), targets

    def _size_of(self, epoch: int) -> int:
        """Return the side of the photographs that a fine-tuning epoch sees."""
        return self.settings.small_size if self.settings.is_small(epoch) else INPUT_SIZE

    def _order(self, stage: str, epoch: int) -> np.ndarray:
        """Return the order of the training photographs, as positions in `train_rows`."""
        seed = [*self._seeds, len(stage), epoch]
        return np.random.default_rng(seed).permutation(len(self.train_rows))

    def _compute_features(self, backbone: Any, rows: np.ndarray) -> np.ndarray:
        shape = (len(rows), *backbone.output_shape[1:])
        features = make_disk_array(self.run.path / "features.npy", shape, np.float16)
        self._report("Computing features", 0, len(rows))
        for start in range(0, len(rows), _INFERENCE_BATCH):
            chosen = rows[start : start + _INFERENCE_BATCH]
            pixels = np.stack([resize_image(self.prepared.pixels[r], INPUT_SIZE) for r in chosen])
            features[start : start + len(chosen)] = _run_in_batches(backbone, pixels, PREPROCESSING)
            self._report("Computing features", start + len(chosen), len(rows))
        return features

    def _run_on(self, split: str, model: Any, pixels: np.ndarray) -> np.ndarray:
        """Run the network, or its backbone, on the decoded photographs of a held-out split."""

        def report(done: int) -> None:
            self._report(f"Running on the {split} split", done, len(pixels))

        return _run_in_batches(model, pixels, PREPROCESSING, report)

    def _decode_rows(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Decode photographs exactly as a prediction does; uint8 (N, 224, 224, 3)."""
        pixels = np.empty((len(rows), INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
        for i, path in enumerate(self.prepared.table["path"].iloc[rows]):
            pixels[i] = decode_square(read_bytes(path), INPUT_SIZE)
            self._report(f"Reading the {split} split", i + 1, len(rows))
        return pixels

    def _report(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)

    def _training_record(self) -> dict[str, Any]:
        assert self.checkpoint is not None
        counts = self.prepared.table["split"].value_counts()
        settings = dataclasses.asdict(self.settings)
        # Names, not paths, which would tell strangers about this machine.
        weights = Path(self.settings.backbone_weights).name
        settings["backbone_weights"] = f"{self.origin.name}/{weights}" if self.origin else weights
        settings["teachers"] = [Path(name).name for name in self.settings.teachers]
        settings["temperature_of"] = Path(self.settings.temperature_of).name
        settings["splits_of"] = Path(self.settings.splits_of).name
        return {
            "settings": settings,
            "photographs": {split: int(n) for split, n in counts.items()},
            "skipped": self.prepared.skipped.to_dict("records"),
            "dataset_fingerprint": self.prepared.fingerprint,
            "training_seconds": round(sum(row["seconds"] for row in self.checkpoint.log)),
            **_versions(),
        }


def _versions() -> dict[str, Any]:
    packages = ("tensorflow", "keras", "numpy", "pillow", "scikit-learn", "onnxruntime")
    return {
        "python": platform.python_version(),
        "packages": {package: version(package) for package in packages},
    }


def _run_in_batches(
    model: Any,
    inputs: np.ndarray,
    preprocessing: Preprocessing | None = None,
    report: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Run a model in inference mode, scaling pixels first; float32."""
    outputs = [np.empty((0, *model.output_shape[1:]), np.float32)]
    for start in range(0, len(inputs), _INFERENCE_BATCH):
        batch = inputs[start : start + _INFERENCE_BATCH]
        scaled = batch if preprocessing is None else scale_pixels(batch, preprocessing)
        # Calling the model directly would keep every layer's output of the batch in memory.
        outputs.append(model.predict_on_batch(scaled))
        if report is not None:
            report(start + len(batch))
    return np.concatenate(outputs)


def _quality(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the log's validation columns; *calibrated* is at the temperature that suits best."""
    temperature = fit_temperature(labels, probabilities, negative_log_likelihood)
    calibrated = apply_temperature(probabilities, temperature)
    return {
        "validation_top1": float((probabilities.argmax(axis=1) == labels).mean()),
        "validation_log_loss": float(negative_log_likelihood(labels, probabilities).mean()),
        "validation_calibrated_log_loss": float(negative_log_likelihood(labels, calibrated).mean()),
    }


def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
