import numpy as np

from har_core.progress import silent
from har_core.training.learning.views import Views
from har_core.training.preparation import prepare_dataset
from har_core.training.settings import TrainingSettings


def test_where_no_teacher_judges_views_every_epoch_shows_others(tiny_dataset, tmp_path):
    prepared = prepare_dataset(tiny_dataset, tmp_path)
    settings = TrainingSettings(epochs=2, views=1)
    views = Views(prepared, settings, [0], tmp_path, silent)
    draws = [next(views.batches(epoch))[1] for epoch in (0, 1)]
    assert not np.array_equal(*draws)
