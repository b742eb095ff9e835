"""What becomes of an epoch."""

from types import SimpleNamespace

import numpy as np
import pytest

from har_core.errors import HarError
from har_core.progress import silent
from har_core.training.learning.stages import HEAD_STAGE, Stages
from har_core.training.run_folder import RunFolder

N, N_CLASSES = 200, 3


@pytest.mark.parametrize(("loss", "probability"), [(np.nan, 1 / N_CLASSES), (0.5, np.nan)])
def test_training_that_diverges_says_so_and_keeps_what_was_best(tmp_path, loss, probability):
    run = RunFolder(tmp_path / "run")
    run.make()
    network = SimpleNamespace(variables=[], trainable_variables=[], get_weights=lambda: [])
    losses, probabilities = iter([0.7, loss]), iter([1 / N_CLASSES, probability])
    learner = SimpleNamespace(
        network=network,
        optimizer=SimpleNamespace(variables=[], use_ema=False),
        step=lambda rate: next(losses),
        synchronise=silent,
        reload=silent,
    )
    stages = Stages(run, network, np.zeros(N, int), silent, silent)
    with pytest.raises(HarError, match=r"epoch 2/3: .* smaller learning rate"):
        stages.learn(
            HEAD_STAGE,
            learner,
            epochs=3,
            steps=1,
            peak=0.9,
            warmup_epochs=0,
            batches=lambda epoch: iter([()]),
            validate=lambda: np.full((N, N_CLASSES), next(probabilities)),
        )
    checkpoint = run.read_checkpoint()
    assert checkpoint is not None and checkpoint.epochs_done == 1
