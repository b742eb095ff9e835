import numpy as np
import pandas as pd

from har_core.progress import silent
from har_core.training.distillation.unlabelled import Unlabelled
from har_core.training.learning import views as views_module
from har_core.training.learning.views import Views
from har_core.training.preparation import prepare_dataset
from har_core.training.settings import TrainingSettings


def test_where_no_teacher_judges_views_every_epoch_shows_others(tiny_dataset, tmp_path):
    prepared = prepare_dataset(tiny_dataset, tmp_path)
    settings = TrainingSettings(epochs=2, views=1)
    views = Views(prepared, settings, [0], tmp_path, silent)
    draws = [next(views.batches(epoch))[1] for epoch in (0, 1)]
    assert not np.array_equal(*draws)


def test_only_what_mixes_no_unlabelled_photograph_is_learned_by_its_labels_too(
    tiny_dataset, tmp_path, monkeypatch
):
    prepared = prepare_dataset(tiny_dataset, tmp_path)
    opinion = np.array([0.5, 0.25, 0.25], np.float32)

    class OneOpinion:
        def __init__(self, *given):
            pass

        def probabilities(self, pixels, draws):
            return np.tile(opinion, (len(pixels), 1))

    more = Unlabelled(pd.DataFrame({"sha256": ["a", "b", "c"]}), prepared.pixels[:3])
    monkeypatch.setattr(views_module, "Teachers", OneOpinion)
    monkeypatch.setattr(views_module, "read_unlabelled", lambda *given: more)
    settings = TrainingSettings(
        epochs=1,
        batch_size=4,
        label_smoothing=0,
        teachers=("t",),
        teacher_weight=0.25,
        unlabelled="u",
    )
    views = Views(prepared, settings, [0], tmp_path, silent)
    known = [*np.eye(3)[prepared.label_indices], None, None, None]
    mixed = 0
    for step, (_, draws, targets, _) in enumerate(views.batches(0)):
        rows, _ = views.lesson.batch(0, step)
        for row, other, weight, target in zip(rows, rows[::-1], draws[:, -1], targets, strict=True):
            expected = opinion
            if known[row] is not None and known[other] is not None:
                label = weight * known[row] + (1 - weight) * known[other]
                expected = 0.75 * label + 0.25 * opinion
                mixed += row != other and weight < 0.99
            np.testing.assert_allclose(target, expected, atol=1e-3)
    assert mixed
