"""The stages of a run: epochs, learned, measured and remembered, so that a kill costs but one."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from har_core.errors import HarError
from har_core.evaluation.answers import FEW_PHOTOGRAPHS
from har_core.progress import Epoch, EpochReport, Progress
from har_core.training.forward import validation_quality
from har_core.training.learning.learner import Learner
from har_core.training.learning.optimization import cosine_learning_rate
from har_core.training.learning.views import Batch
from har_core.training.run_folder import Checkpoint, RunFolder
from har_core.training.settings import TrainingSettings

HEAD_STAGE: Final = "head"
FINE_TUNING_STAGE: Final = "fine-tuning"
_STAGES: Final = (HEAD_STAGE, FINE_TUNING_STAGE)
_STEPS_AHEAD: Final = 20  # an accelerator may be so many steps behind


@dataclass(eq=False)
class Stages:
    """Learns stage after stage, from wherever the run was interrupted.

    Parameters
    ----------
    run : RunFolder
        Where checkpoints are kept; an existing one is continued.
    network : keras.Model
        The whole network, whose weights are kept when they are the best.
    labels : ndarray of int
        Classes of the validation photographs.
    progress, on_epoch : callable
        See `har_core.training.run.train`.

    Attributes
    ----------
    reached : Checkpoint
        How far the run is, with the log.
    """

    run: RunFolder
    network: Any
    labels: np.ndarray
    progress: Progress
    on_epoch: EpochReport

    def __post_init__(self) -> None:
        self.reached = self.run.read_checkpoint() or Checkpoint(HEAD_STAGE, 0, math.inf)

    def is_done(self, stage: str, epochs: int) -> bool:
        """Tell whether a stage of so many epochs is over."""
        reached = _STAGES.index(self.reached.stage), self.reached.epochs_done
        return epochs == 0 or reached >= (_STAGES.index(stage), epochs)

    def has_begun(self, stage: str) -> bool:
        """Tell whether an epoch of a stage is done."""
        return self.reached.stage == stage and self.reached.epochs_done > 0

    def learn(
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
        """Learn a stage's epochs, without those that are done already.

        Parameters
        ----------
        learner : Learner
            Of the network, of a part of it, or of its twin.
        epochs, steps : int
            Of the stage, and of an epoch.
        peak, warmup_epochs : float
            Of the learning rate, see `cosine_learning_rate`.
        batches : callable
            From an epoch to its batches.
        validate : callable
            Brings the network up to date; gives its probabilities of the validation photographs.
        """
        model, optimizer = learner.network, learner.optimizer
        first_epoch = 0
        if self.has_begun(stage):
            first_epoch = self.reached.epochs_done
            _assign(model.variables, self.reached.variables)
            _assign(optimizer.variables, self.reached.optimizer_variables)
            learner.reload()
        for epoch in range(first_epoch, epochs):
            started, losses, rate = time.monotonic(), list[Any](), peak
            what = Epoch(stage, epoch + 1, of=epochs)
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
                **validation_quality(validate(), self.labels),
                "seconds": time.monotonic() - started,
            }
            _check_numbers(what, row)
            best_loss = self._keep_if_best(row)
            _assign(model.trainable_variables, raw)
            learner.reload()
            values, moments = _values(model.variables), _values(optimizer.variables)
            log = [*self.reached.log, row]
            self.reached = Checkpoint(stage, epoch + 1, best_loss, log, values, moments)
            self.run.write_checkpoint(self.reached)
            self.on_epoch(row)

    def _keep_if_best(self, row: dict[str, Any]) -> float:
        """Keep the network's weights if no epoch before was better; return the lowest loss."""
        # Not top-1: between epochs whose log loss differs by a twentieth it is a toss-up. With
        # few photographs the loss is one, too: 50 chose the third of 16 epochs, right on 70 %
        # of 575 others; the last of twelve had 76 %.
        loss = float(row["validation_calibrated_log_loss"])
        if len(self.labels) >= FEW_PHOTOGRAPHS and loss >= self.reached.best_loss:
            return self.reached.best_loss
        self.run.write_best(row["stage"], self.network.get_weights())
        return loss


def is_trained(reached: Checkpoint, settings: TrainingSettings) -> bool:
    """Tell whether all epochs of a run are done."""
    last = FINE_TUNING_STAGE if settings.epochs else HEAD_STAGE
    epochs = settings.epochs or settings.head_epochs
    return reached.stage == last and reached.epochs_done >= epochs


def _check_numbers(what: str, row: dict[str, Any]) -> None:
    # What follows could only be worse, and would take the place of the best weights so far.
    if not np.isfinite([row["training_loss"], row["validation_log_loss"]]).all():
        raise HarError(
            f"The training has diverged in {what}: the loss is no number any more. Begin anew with "
            "a smaller learning rate."
        )


def _values(variables: list[Any]) -> list[np.ndarray]:
    from keras import ops

    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
