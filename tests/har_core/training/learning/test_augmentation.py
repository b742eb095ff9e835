import dataclasses

import numpy as np
import pytest

from har_core.images.preprocessing import resize_image
from har_core.training.learning.augmentation import (
    AugmentationSettings,
    augment,
    draw_augmentations,
    mix_targets,
    unchanged,
)
from tests.drawing import draw_photo

OFF = AugmentationSettings(
    min_crop_area=1, max_aspect_change=1, colour=0, greyscale=0, erasing=0, mixup=0
)


@pytest.fixture(scope="module")
def batch():
    pixels = np.stack([np.asarray(draw_photo(seed=i, size=(256, 256))) for i in range(8)])
    return pixels, np.eye(8, dtype=np.float32)


def run(batch, settings, seed=0, size=256):
    pixels, targets = batch
    draws = draw_augmentations(np.random.default_rng(seed), len(pixels), settings)
    return np.asarray(augment(pixels, draws, size)), mix_targets(targets, draws)


def test_without_strength_each_picture_stays_or_is_mirrored(batch):
    images, targets = run(batch, OFF)
    mirrored = 0
    for original, image in zip(batch[0], images, strict=True):
        differences = [np.abs(o - image).max() for o in (original, original[:, ::-1])]
        assert min(differences) < 0.01
        mirrored += int(np.argmin(differences))
    assert 0 < mirrored < 8
    np.testing.assert_array_equal(targets, batch[1])


def test_same_seed_gives_the_same_batch_and_another_does_not(batch):
    settings = AugmentationSettings()
    first, again, other = (run(batch, settings, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 1


def test_values_stay_in_range(batch):
    images, _ = run(batch, AugmentationSettings(colour=0.9))
    assert images.min() >= 0
    assert images.max() <= 255


def test_mixup_mixes_targets_as_pixels(batch):
    settings = dataclasses.replace(OFF, mixup=1.0)
    colours = np.random.default_rng(0).integers(0, 256, (8, 3)).astype(np.uint8)
    plain = np.broadcast_to(colours[:, None, None], (8, 256, 256, 3))  # mirroring changes nothing
    images, targets = run((plain, batch[1]), settings)
    np.testing.assert_allclose(images[:, 5, 5], targets @ colours, atol=0.01)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert (np.diag(targets) >= 0.5 - 1e-6).all()
    assert (targets[np.arange(8), np.arange(8)[::-1]] > 0).all()


def test_erasing_greys_out_a_rectangle(batch):
    images, _ = run(batch, dataclasses.replace(OFF, erasing=1.0))
    shares = (images == 127.5).all(axis=-1).mean(axis=(1, 2))
    assert (shares > 0.003).all()
    assert (shares < 0.26).all()


def test_whole_photographs_are_resized_as_for_a_prediction(batch):
    resized = np.asarray(augment(batch[0], unchanged(8), 160))
    expected = np.stack([resize_image(pixels, 160) for pixels in batch[0]]).astype(float)
    # Pillow rounds between its two passes.
    assert np.abs(resized - expected).max() < 2


def test_a_view_is_the_same_at_every_size(batch):
    """So a teacher and a student judge one crop, each at its own size."""
    settings = AugmentationSettings(mixup=0.4)
    large, small = (run(batch, settings, seed=3, size=size)[0] for size in (224, 112))
    halved = large.reshape(8, 112, 2, 112, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - small).mean() < 6
    other = run(batch, settings, seed=4, size=112)[0]
    assert np.abs(halved - other).mean() > 20
