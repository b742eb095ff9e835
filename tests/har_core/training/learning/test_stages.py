"""What becomes of an epoch: kept if it is the best, refused if it diverged, never learned twice."""

from types import SimpleNamespace

import numpy as np
import pytest

from har_core.errors import HarError
from har_core.evaluation.answers import FEW_PHOTOGRAPHS
from har_core.progress import silent
from har_core.training.events import EventLog, read_events
from har_core.training.learning import stages as module
from har_core.training.learning.stages import HEAD_STAGE, Stages
from har_core.training.run_folder import RunFolder

N, N_CLASSES, STEPS = FEW_PHOTOGRAPHS, 3, 2


class Killed(BaseException):
    """Stands for a kill: nothing in the program catches it."""


def learn(run, *, epochs=3, n=N, loss=0.7, validate=None, progress=silent, after=silent):
    """Go on with a run whose only weight counts its steps; return the epochs that it learned."""
    import keras

    counter, learned = keras.Variable([0.0]), []
    network = SimpleNamespace(
        variables=[counter],
        trainable_variables=[counter],
        get_weights=lambda: [keras.ops.convert_to_numpy(counter)],
    )

    def step(rate):
        counter.assign_add([1.0])
        return loss

    def batches(epoch):
        learned.append(epoch + 1)
        return iter([()] * STEPS)

    learner = SimpleNamespace(
        network=network,
        optimizer=SimpleNamespace(variables=[], use_ema=False),
        step=step,
        synchronise=silent,
        reload=silent,
    )
    Stages(run, network, np.zeros(n, int), progress, after).learn(
        HEAD_STAGE,
        learner,
        epochs=epochs,
        steps=STEPS,
        peak=0.9,
        warmup_epochs=0,
        batches=batches,
        validate=validate or (lambda: np.full((n, N_CLASSES), 1 / N_CLASSES)),
    )
    return learned


def measure(monkeypatch, *losses):
    """Let epochs have these calibrated log losses on the validation photographs."""
    left = iter(losses)
    monkeypatch.setattr(
        module,
        "validation_quality",
        lambda *of: {"validation_log_loss": 1.0, "validation_calibrated_log_loss": next(left)},
    )


@pytest.mark.parametrize(("loss", "probability"), [(np.nan, 1 / N_CLASSES), (0.5, np.nan)])
def test_training_that_diverges_says_so_and_keeps_what_was_best(run, loss, probability):
    learn(run, epochs=1)
    with pytest.raises(HarError, match=r"epoch 2/3: .* smaller learning rate"):
        learn(run, loss=loss, validate=lambda: np.full((N, N_CLASSES), probability))
    checkpoint = run.read_checkpoint()
    assert checkpoint is not None and checkpoint.epochs_done == 1
    assert run.read_best(HEAD_STAGE) == [STEPS]


def test_events_say_which_epoch_of_how_many_it_is(run, tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    learn(run, epochs=2, progress=log.progress)
    said = [{k: e[k] for k in ("what", "stage", "epoch", "epochs")} for e in read_events(log.path)]
    first = {"what": "head epoch 1/2", "stage": HEAD_STAGE, "epoch": 1, "epochs": 2}
    assert said[0] == first
    assert said[-1] == first | {"what": "head epoch 2/2", "epoch": 2}


@pytest.mark.parametrize(("n", "kept"), [(FEW_PHOTOGRAPHS, 2), (FEW_PHOTOGRAPHS - 1, 3)])
def test_the_epoch_of_the_lowest_loss_is_kept_unless_few_photographs_tell(
    run, monkeypatch, n, kept
):
    measure(monkeypatch, 0.9, 0.5, 0.7)
    learn(run, n=n)
    assert run.read_best(HEAD_STAGE) == [kept * STEPS]


def test_a_killed_stage_goes_on_where_it_was_and_remembers_its_best_epoch(
    run, tmp_path, monkeypatch
):
    def kill(row):
        if row["epoch"] == 2:
            raise Killed

    measure(monkeypatch, 0.5, 0.9, 0.7)
    with pytest.raises(Killed):
        learn(run, after=kill)
    assert learn(run) == [3]
    assert run.read_best(HEAD_STAGE) == [STEPS]
    measure(monkeypatch, 0.5, 0.9, 0.7)
    straight = RunFolder(tmp_path / "straight")
    straight.make()
    assert learn(straight) == [1, 2, 3]
    one, other = run.read_checkpoint(), straight.read_checkpoint()
    assert one.variables == other.variables == [3 * STEPS]
    assert one.best_loss == 0.5
    rates = [row["learning_rate"] for row in one.log]
    assert rates[0] > rates[1] > rates[2]
    assert rates == [row["learning_rate"] for row in other.log]
