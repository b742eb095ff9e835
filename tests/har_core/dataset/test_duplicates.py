import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from har_core.dataset.duplicates import (
    DUPLICATE_CORRELATION,
    duplicate_groups,
    fingerprint_image,
    grey_thumbnail,
    hashed_pairs,
    near_duplicate_pairs,
    normalise_thumbnails,
)
from tests.drawing import draw_photo
from tests.faults import draw_scene


def fingerprints(*images):
    return np.stack([fingerprint_image(np.asarray(image)) for image in images])


def reencoded(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer).convert("RGB")


def test_copies_are_found_and_different_pictures_are_not():
    original = draw_photo(seed=1)
    pictures = [
        original,
        reencoded(original),
        original.resize((120, 80)),
        ImageOps.mirror(original),
        ImageEnhance.Brightness(original).enhance(0.7),
        draw_photo(seed=2),
    ]
    pairs, correlations = near_duplicate_pairs(fingerprints(*pictures))
    found = set(map(tuple, pairs.tolist()))
    assert found == {(i, j) for i in range(5) for j in range(i + 1, 5)}
    assert (correlations >= DUPLICATE_CORRELATION).all()


def test_plain_pictures_resemble_nothing():
    plain = Image.new("RGB", (64, 64), (9, 9, 9))
    assert len(near_duplicate_pairs(fingerprints(plain, plain))[0]) == 0


def test_chains_share_a_group():
    groups = duplicate_groups(5, np.array([[0, 3], [3, 4]]))
    assert groups[0] == groups[3] == groups[4]
    assert len({groups[0], groups[1], groups[2]}) == 3
    assert duplicate_groups(2, np.empty((0, 2), int)).tolist() == [0, 1]


def test_hashing_finds_the_pairs_that_comparing_everything_finds() -> None:
    scenes = [draw_scene(seed, (96, 64)) for seed in range(300)]
    copies = [ImageOps.mirror(scene) if i % 2 else scene for i, scene in enumerate(scenes[:60])]
    blurred = [copy.filter(ImageFilter.GaussianBlur(0.8)) for copy in copies]
    plain = [Image.new("RGB", (96, 64), "white")] * 100
    pictures = [*scenes, *blurred, *plain]
    thumbnails = np.array([grey_thumbnail(np.asarray(picture)) for picture in pictures])
    exact, correlations = near_duplicate_pairs(normalise_thumbnails(thumbnails))
    assert len(exact) >= 60
    found, of_found = hashed_pairs(thumbnails)
    assert found.tolist() == exact.tolist()
    np.testing.assert_allclose(of_found, correlations, atol=1e-5)
