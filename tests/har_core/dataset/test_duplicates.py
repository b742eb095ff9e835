import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from har_core.dataset import duplicates
from har_core.dataset.duplicates import (
    DUPLICATE_CORRELATION,
    duplicate_groups,
    groups_of,
    hashed_pairs,
    near_duplicate_pairs,
    pairs_of_thumbnails,
)
from har_core.images.fingerprints import (
    fingerprint_image,
    grey_thumbnail,
    low_frequencies,
    mirror_fingerprints,
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


def test_copies_of_a_file_are_a_group_whatever_it_shows():
    """A picture of one colour resembles nothing, and is what its copy is."""
    content, pairs = np.array(["b", "a", "b", "c", "d"]), np.array([[1, 3]])
    assert groups_of(content, pairs).tolist() == [0, 1, 0, 1, 2]
    assert groups_of(content[:0]).tolist() == []


def test_plain_pictures_resemble_nothing():
    plain = Image.new("RGB", (64, 64), (9, 9, 9))
    assert len(near_duplicate_pairs(fingerprints(plain, plain))[0]) == 0
    noisy = plain.copy()  # a grey level here and there, as compression leaves it
    noisy.paste((10, 10, 10), (0, 0, 64, 20))
    assert len(near_duplicate_pairs(fingerprints(noisy, noisy))[0]) == 0


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
    assert hashed_pairs(thumbnails[:2])[0].shape == hashed_pairs(thumbnails[:0])[0].shape == (0, 2)
    np.testing.assert_allclose(of_found, correlations, atol=1e-5)


def altered_copies(n: int) -> np.ndarray:
    """Return thumbnails of coarse random patches, the second half altered copies of the first."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (n // 2, 8, 8)).repeat(4, axis=1).repeat(4, axis=2)
    noise = rng.normal(size=coarse.shape) * rng.uniform(5, 35, (len(coarse), 1, 1))
    altered = np.clip(coarse + noise, 0, 255)
    altered[::2] = altered[::2, :, ::-1]
    return np.concatenate([coarse, altered]).reshape(2 * len(coarse), -1).astype(np.uint8)


def test_no_bound_is_below_the_correlation_that_it_bounds() -> None:
    prints = normalise_thumbnails(altered_copies(200))
    first, second = (each.ravel() for each in np.indices((len(prints), len(prints))))
    plain = prints @ prints.T
    either = np.maximum(plain, prints @ mirror_fingerprints(prints).T)
    bounds = low_frequencies(prints).bounds(first, second).reshape(either.shape)
    assert (bounds >= either - 1e-4).all()
    assert np.median(bounds - either) < 0.5  # or it would rule out nothing


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_pair_that_barely_reaches_the_correlation_is_found(mirrored: bool) -> None:
    """Of pictures of few frequencies the bounds are the correlation itself."""
    across, down = np.cos(np.outer([1, 2], np.arange(32) + 0.5) * np.pi / 32)
    first, other = (np.outer(wave, across).ravel() / 16 for wave in (across, down))
    for above in (1e-3, -1e-3):
        wanted = DUPLICATE_CORRELATION + above
        second = wanted * first + np.sqrt(1 - wanted**2) * other
        pictures = np.stack([first, second]).astype(np.float32)
        if mirrored:
            pictures[1:] = mirror_fingerprints(pictures[1:])
        pairs, correlations = near_duplicate_pairs(pictures)
        assert len(pairs) == (above > 0)
        np.testing.assert_allclose(correlations, [wanted] * len(pairs), rtol=1e-5)


def test_comparing_everything_misses_no_pair_at_the_edge_of_a_block(monkeypatch) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    prints = normalise_thumbnails(altered_copies(60))
    either = np.maximum(prints @ prints.T, prints @ mirror_fingerprints(prints).T)
    wanted = np.argwhere(np.triu(either >= DUPLICATE_CORRELATION, 1))
    assert len(wanted) >= 20
    assert near_duplicate_pairs(prints)[0].tolist() == wanted.tolist()
    assert near_duplicate_pairs(prints[:0])[0].shape == (0, 2)


def test_hashing_misses_less_than_a_hundredth_of_the_pairs_near_the_threshold() -> None:
    thumbnails = altered_copies(4000)
    exact, correlations = near_duplicate_pairs(thumbnails)
    near = correlations < 0.94
    assert near.sum() > 100
    found = set(map(tuple, hashed_pairs(thumbnails)[0].tolist()))
    missed = [tuple(pair) not in found for pair in exact[near].tolist()]
    assert np.mean(missed) < 0.01


def test_more_photographs_than_are_compared_are_hashed(monkeypatch) -> None:
    thumbnails = altered_copies(40)
    asked = []
    monkeypatch.setattr(duplicates, "hashed_pairs", lambda *given: asked.append(given) or "hashed")
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 40)
    assert len(pairs_of_thumbnails(thumbnails)[0]) > 0
    assert not asked
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 39)
    assert pairs_of_thumbnails(thumbnails) == "hashed"
