import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pytest

from har_core.errors import InvalidImageError
from har_core.images.decoding import decode_image
from tests.fuzz.__main__ import MAX_MEGABYTES
from tests.fuzz.corpus import heavy_file, small_files
from tests.fuzz.measuring import measure, measure_decoding
from tests.fuzz.mutations import make_input

SEED = 2024
# The heavy and the noisy inputs are left to `python -m tests.fuzz`.
NUMBERS = [number for number in range(4, 800) if number % 200 > 3]


@pytest.mark.parametrize("name", sorted(small_files()))
def test_undamaged_file_of_the_corpus_is_read(name):
    assert sorted(decode_image(small_files()[name]).shape) == [3, 44, 60]  # some are turned


measures_memory = pytest.mark.skipif(sys.platform != "linux", reason="it is read from /proc")


@pytest.fixture(scope="module")
def own_process() -> Iterator[ProcessPoolExecutor]:
    """Start a process in which nothing else takes memory, as threads of earlier tests do here."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@measures_memory
@pytest.mark.parametrize(
    "name", ["jpeg 50 megapixels", "tiff float 50 megapixels", "webp 30 megapixels"]
)
def test_largest_allowed_picture_stays_within_the_memory_limit(name, own_process):
    cost = own_process.submit(measure_decoding, heavy_file(name)).result()
    assert cost.outcome == "pixels"
    assert cost.megabytes < MAX_MEGABYTES


@measures_memory
def test_damaged_files_end_in_pixels_or_invalid_image_error_within_the_memory_limit(own_process):
    measured = [*own_process.map(partial(measure, SEED), NUMBERS)]
    assert [m for m in measured if not m.is_allowed] == []
    assert max(m.megabytes for m in measured) < MAX_MEGABYTES
    outcomes = {m.outcome for m in measured}
    assert {"pixels", "damaged", "truncated", "not_an_image", "too_many_pixels"} <= outcomes


def test_an_input_follows_from_its_seed_and_number():
    assert make_input(SEED, 77) == make_input(SEED, 77)
    assert make_input(SEED, 77) != make_input(SEED + 1, 77)


def test_random_bytes_are_never_an_image():
    rng = np.random.default_rng(7)
    for length in (1, 2, 3, 4, 8, 16, 100, 5000):
        with pytest.raises(InvalidImageError):
            decode_image(rng.bytes(length))
