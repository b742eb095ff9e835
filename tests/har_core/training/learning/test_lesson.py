"""Every epoch sees all photographs, in another order and otherwise cropped, also when resumed."""

import numpy as np

from har_core.training.learning.augmentation import AugmentationSettings
from har_core.training.learning.lesson import Lesson

ROWS = np.arange(10, 20)


def lesson(*seeds: int) -> Lesson:
    return Lesson(ROWS, batch_size=4, seeds=seeds, augmentation=AugmentationSettings())


def test_every_epoch_has_all_photographs_in_another_order_and_otherwise_cropped() -> None:
    one = lesson(0)
    epochs = [[one.batch(epoch, step) for step in range(one.steps)] for epoch in range(3)]
    orders = [tuple(np.concatenate([rows for rows, _ in epoch])) for epoch in epochs]
    assert [len(order) for order in orders] == [12] * 3
    assert all(set(order) == set(ROWS) and order[10:] == order[:2] for order in orders)
    assert len(set(orders)) == 3
    draws = {crops.tobytes() for epoch in epochs for _, crops in epoch}
    assert len(draws) == 9


def test_a_batch_is_the_same_whenever_it_is_asked_for_and_another_by_another_seed() -> None:
    first, later = lesson(0, 1), lesson(0, 1)
    later.batch(0, 2)
    for a, b in zip(first.batch(1, 1), later.batch(1, 1), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first.batch(1, 1)[0], lesson(0, 2).batch(1, 1)[0])
    assert not np.array_equal(first.batch(1, 1)[1], lesson(0, 2).batch(1, 1)[1])
