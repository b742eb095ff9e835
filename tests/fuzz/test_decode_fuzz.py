import warnings

import numpy as np
import pytest

from har_core.errors import InvalidImageError
from har_core.images import decode_image
from tests.drawing import draw_photo, encode

MUTANTS_PER_FORMAT = 60


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file as disks, networks and attackers do."""
    damaged = bytearray(data)
    kind = rng.integers(0, 6)
    # Half of the damage hits the header, where the parsers decide most.
    span = len(damaged) if rng.random() < 0.5 else min(len(damaged), 128)
    start = int(rng.integers(0, span))
    length = int(rng.integers(1, 16))
    if kind == 0:
        return bytes(damaged[:start])
    if kind == 1:
        del damaged[start : start + length]
    elif kind == 2:
        damaged[start:start] = rng.bytes(length)
    elif kind == 3:
        damaged[start : start + length] = rng.choice([b"\0", b"\xff", b"\x7f"]) * length
    elif kind == 4:
        damaged[start:] = damaged[: len(damaged) - start]
    else:
        for position in rng.integers(0, span, length):
            damaged[position] ^= 1 << int(rng.integers(0, 8))
    return bytes(damaged)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "MPO"])
def test_damaged_file_gives_pixels_or_invalid_image_error(image_format):
    photo = draw_photo(size=(40, 30))
    options = {"save_all": True, "append_images": [photo]} if image_format == "MPO" else {}
    sound = encode(photo, image_format, **options)
    rng = np.random.default_rng([2024, *image_format.encode()])
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(MUTANTS_PER_FORMAT):
            try:
                pixels = decode_image(mutate(sound, rng), min_side=8)
            except InvalidImageError as error:
                refused += 1
                assert str(error).endswith(".")
            else:
                assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert refused > 0


def test_random_bytes_are_never_an_image():
    rng = np.random.default_rng(7)
    for length in (1, 2, 3, 4, 8, 16, 100, 5000):
        with pytest.raises(InvalidImageError):
            decode_image(rng.bytes(length))
